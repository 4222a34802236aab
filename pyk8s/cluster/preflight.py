"""What makes a machine unfit to be a node."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from pyk8s.artifacts.catalog import ARCHITECTURES, machine_arch
from pyk8s.cluster.model import LOCAL_API_PORT, LOCAL_ETCD_PORT, Cluster, Node

MEMORY_MIB = {"control plane": 1700, "worker": 700}
"""The least memory; kubeadm asks the same 1700 MiB of a control plane."""
FREE_MIB = 4096
CLOCK_SECONDS = 60
"""Certificates are valid from a little before they are issued: a clock further behind refuses them."""


def machine_problems(
    host: str, probe: Mapping[str, Any], cluster: Cluster | None, *, now: float, fail_cgroup_v1: bool = True
) -> list[str]:
    """Return one sentence for each reason why this machine cannot be a node; ``now`` is the controller's clock."""
    machine = probe.get("machine")
    if not machine:
        return [f"{host}: {_silence(probe)}"]
    node = _node(host, cluster)
    found = [*_system(machine), *_size(machine, node), *_clock(machine, now)]
    taken = sorted(_wanted_ports(node, cluster) & set(machine["taken_ports"]))
    if taken:
        found.append(f"something else listens on TCP {', '.join(map(str, taken))}")
    if node and node.address not in machine["addresses"]:
        found.append(
            f"the address {node.address} is not one of its own ({', '.join(machine['addresses'])}): correct node_ip"
        )
    if cluster and cluster.minor >= 31 and machine["cgroup"] == 1 and fail_cgroup_v1:
        found.append(
            f"it has cgroup v1, which Kubernetes {cluster.config.kubernetes_version} refuses: boot it with "
            "systemd.unified_cgroup_hierarchy=1, or set kubelet_fail_cgroup_v1: false"
        )
    return [f"{host}: {problem}" for problem in found]


@dataclasses.dataclass(frozen=True)
class Down:
    """The machines that a run leaves out because they are down, with the reason, or ``problems`` why it cannot."""

    left_out: Mapping[str, str]
    problems: tuple[str, ...] = ()


def without_the_dead(probes: Mapping[str, Mapping[str, Any]], cluster: Cluster | None) -> Down:
    """Say whether the machines that SSH does not reach may be left out of a run, given every host's probe.

    They may where the cluster stands already, and without them a control plane and a majority of etcd's members are
    left. A first installation wants every machine.
    """
    down = {host: _silence(probe) for host, probe in probes.items() if probe.get("unreachable")}
    found = [probe["machine"] for probe in probes.values() if probe.get("machine")]
    if not down or cluster is None or not any("kubelet" in machine["placed"] for machine in found):
        return Down({}, tuple(f"{host}: {why}" for host, why in down.items()))
    problems = []
    if all(node.name in down for node in cluster.control_plane if node.name in probes):
        problems.append("no control plane is reached, and without one nothing can be done")
    members = [node.name for node in cluster.etcd if node.name not in down]
    if len(members) < cluster.etcd_quorum:
        problems.append(
            f"etcd has lost its majority: {len(members)} of {len(cluster.etcd)} members are reached, "
            f"{cluster.etcd_quorum} are needed"
        )
    if problems:
        return Down({}, (*(f"{host}: {why}" for host, why in down.items()), *problems))
    return Down(down)


def new_members(probes: Mapping[str, Mapping[str, Any]], cluster: Cluster | None) -> list[str]:
    """Return one sentence for each machine that would be a new etcd member of a cluster that stands.

    Its etcd would begin a cluster of its own, with no data, and the apiserver beside it would show an empty Kubernetes.
    """
    placed = {host: probe["machine"]["placed"] for host, probe in probes.items() if probe.get("machine")}
    if cluster is None or not any("kubelet" in components for components in placed.values()):
        return []
    members = [node.name for node in cluster.etcd]
    old = [name for name in members if "etcd" in placed.get(name, ["etcd"])]
    return [
        f"{name}: it has no etcd, and the cluster stands: members are those of the first installation. Keep group etcd "
        f"as it was ({', '.join(old)}), or begin anew (in a lab: pyk8s lab down). A member that lost its data: "
        "docs/07-operate.md"
        for name in members
        if name not in old
    ]


def _silence(probe: Mapping[str, Any]) -> str:
    """Say why a probe brought nothing: no way to the machine, or what failed there."""
    reason = next(iter(str(probe.get("msg") or "").strip().splitlines()), "")
    if probe.get("unreachable"):
        return f"unreachable over SSH: {reason or 'no reason was given'}"
    if not probe.get("failed") and not reason:
        return "it was not looked at: the probe did not run there"
    heard = str(probe.get("module_stderr") or "").strip().splitlines()
    told = [part for part in (reason, *heard[-1:]) if part]
    return f"looking at it failed: {': '.join(told) or 'no reason was given'}"


def _node(host: str, cluster: Cluster | None) -> Node | None:
    return next((node for node in cluster.nodes if node.name == host), None) if cluster else None


def _wanted_ports(node: Node | None, cluster: Cluster | None) -> set[int]:
    """Return the TCP ports that pyk8s will listen on there."""
    if not node or not cluster:
        return set()
    etcd = {2379, 2380, 2381} if node.is_etcd else set()
    front = {cluster.config.api_port, LOCAL_ETCD_PORT, 10257, 10259} if node.is_control_plane else set()
    return etcd | front | ({LOCAL_API_PORT, 7444, 10248, 10249, 10250, 10256} if node.runs_kubelet else set())


def _system(machine: Mapping[str, Any]) -> list[str]:
    found = []
    if machine["architecture"] not in ARCHITECTURES:
        found.append(f"its architecture {machine['architecture']} is not supported ({', '.join(ARCHITECTURES)} are)")
    elif ARCHITECTURES[machine["architecture"]] != machine_arch():
        found.append(f"it is {machine['architecture']}, and the controller fetches binaries for {machine_arch()} alone")
    if machine["init"] != "systemd":
        found.append(f"its init is {machine['init']}, not systemd")
    if machine["uid"] != 0:
        found.append("the tasks do not run as root: set ansible_user: root, or ansible_become: true")
    if tuple(machine["python"]) < (3, 9):
        found.append(f"its Python is {machine['python'][0]}.{machine['python'][1]}; 3.9 or newer is needed")
    return found


def _size(machine: Mapping[str, Any], node: Node | None) -> list[str]:
    found = []
    role = "control plane" if node and node.is_control_plane else "worker"
    if machine["memory_mib"] < MEMORY_MIB[role]:
        found.append(f"it has {machine['memory_mib']} MiB of memory; a {role} needs {MEMORY_MIB[role]}")
    if machine["free_mib"] < FREE_MIB:
        found.append(f"/var/lib has {machine['free_mib']} MiB free; {FREE_MIB} are needed")
    return found


def _clock(machine: Mapping[str, Any], now: float) -> list[str]:
    skew = machine["clock"] - now
    if abs(skew) <= CLOCK_SECONDS:
        return []
    side = "ahead of" if skew > 0 else "behind"
    return [f"its clock is {abs(skew):.0f} s {side} the controller's: set up time synchronization"]
