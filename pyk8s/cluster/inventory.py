"""From an Ansible inventory to a validated Cluster; everything that is wrong is named in one pass."""

from __future__ import annotations

import difflib
import ipaddress
import re
import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from pyk8s import paths
from pyk8s.cluster.config import DNS_LABEL, ClusterConfig
from pyk8s.cluster.model import Cluster, Node, SshTarget
from pyk8s.errors import Pyk8sError

GROUPS = ("control_plane", "etcd", "workers")
OTHER_NAMES = {
    **dict.fromkeys(("master", "masters"), "control_plane"),
    **dict.fromkeys(("node", "nodes", "kube_node"), "workers"),
}
"""What other tools call our groups; names that are merely misspelt are found by likeness."""
WIDEST_SERVICES = 12
"""The shortest prefix of service_cidr: kube-apiserver 1.20 takes no wider one (20 bits of addresses)."""
HOST_KEYS = frozenset({"node_ip"})
MAGIC = frozenset(
    {
        *("environment", "group_names", "groups", "hostvars", "inventory_dir", "inventory_file", "inventory_hostname"),
        *("inventory_hostname_short", "omit", "play_hosts", "playbook_dir", "role_name", "role_names", "role_path"),
        *("vars", "discovered_interpreter_python"),
    }
)
Vars = Mapping[str, Mapping[str, Any]]


class InventoryError(Pyk8sError):
    """An inventory that describes no cluster; ``problems`` holds one sentence for each thing that is wrong."""

    def __init__(self, where: str, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        listed = "\n".join(f"  - {problem}" for problem in self.problems)
        super().__init__(
            f"the inventory {where} is refused, nothing was changed:\n{listed}",
            hint="correct these and run again; inventory/sample explains each key",
        )


def role_variables() -> frozenset[str]:
    """Return every variable that a role accepts, from ``roles/*/meta/argument_specs.yml``."""
    names: set[str] = set()
    for path in sorted(paths.ROLES.glob("*/meta/argument_specs.yml")):
        specs = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]
        names.update(name for spec in specs.values() for name in spec.get("options") or {})
    return frozenset(names)


def from_hostvars(
    hostvars: Vars, groups: Mapping[str, Iterable[str]], where: str = "", *, strict: bool = True
) -> Cluster:
    """Build the Cluster from each host's variables and the groups; raises InventoryError naming all problems.

    Unknown keys are refused when ``strict``: later in a play the variables also hold what tasks registered.
    """
    members = {group: tuple(groups.get(group, ())) for group in GROUPS}
    names = [name for name in hostvars if any(name in hosts for hosts in members.values())]
    problems = [*(_unknown_keys(hostvars) if strict else ()), *_group_problems(members), *_stray(groups)]
    config, bad_keys, config_problems = _config(hostvars, names)
    nodes, node_problems = _nodes(hostvars, members, names)
    problems += [*config_problems, *node_problems, *_network_problems(config, bad_keys, nodes)]
    if problems:
        raise InventoryError(where, problems)
    return Cluster(config, nodes)


def load(path: Path | None = None) -> Cluster:
    """Read an inventory with Ansible's own loader; raises Pyk8sError when it is absent or refused."""
    source = path or paths.DEFAULT_INVENTORY
    if not source.exists():
        raise Pyk8sError(
            f"there is no inventory at {source}", "it was not written yet", "run `pyk8s lab up`, or name yours"
        )
    from ansible.inventory.manager import InventoryManager
    from ansible.parsing.dataloader import DataLoader
    from ansible.vars.manager import VariableManager

    loader = DataLoader()
    inventory = InventoryManager(loader=loader, sources=[str(source)])
    manager = VariableManager(loader=loader, inventory=inventory)
    hosts = inventory.get_hosts()
    hostvars = {host.name: manager.get_vars(host=host, include_hostvars=False) for host in hosts}
    return from_hostvars(hostvars, inventory.get_groups_dict(), str(source))


def _unknown_keys(hostvars: Vars) -> list[str]:
    known = frozenset(ClusterConfig.model_fields) | HOST_KEYS | role_variables()
    where: dict[str, list[str]] = defaultdict(list)
    for host, variables in hostvars.items():
        for key in variables:
            if key not in known and key not in MAGIC and not key.startswith(("ansible_", "molecule_", "__")):
                where[key].append(host)
    found = []
    for key, hosts in sorted(where.items()):
        near = difflib.get_close_matches(key, known, n=1)
        at = "every host" if len(hosts) == len(hostvars) else ", ".join(hosts)
        found.append(f"unknown key {key} (on {at})" + (f": did you mean {near[0]}?" if near else ""))
    return found


def _group_problems(members: Mapping[str, tuple[str, ...]]) -> list[str]:
    found = []
    if not members["control_plane"]:
        found.append("no control plane: the group control_plane has no hosts")
    if not members["etcd"]:
        found.append("no etcd: the group etcd has no hosts (put the control planes there to run it beside them)")
    elif len(members["etcd"]) % 2 == 0:
        found.append(
            f"{len(members['etcd'])} etcd members: an even number survives no more failures than one less; use 1 or 3"
        )
    return found


def _stray(groups: Mapping[str, Iterable[str]]) -> list[str]:
    """Name the hosts in none of our groups but in one that is called almost so; others, a bastion say, are not ours."""
    ours = {host for group in GROUPS for host in groups.get(group, ())}
    strays: dict[str, list[str]] = defaultdict(list)
    for group, hosts in groups.items():
        for host in hosts:
            if group not in {"all", "ungrouped"} and host not in ours:
                strays[host].append(group)
    found = []
    for host, others in strays.items():
        meant = [(group, near) for group in others if (near := _group_meant(group))]
        if meant:
            found.append(f"{host} is in the unknown group {meant[0][0]}: did you mean {meant[0][1]}?")
    return found


def _group_meant(name: str) -> str:
    """Return the group of ours that a name is like, or nothing."""
    plain = name.lower().replace("-", "_")
    near = difflib.get_close_matches(plain, GROUPS, n=1, cutoff=0.7)
    return OTHER_NAMES.get(plain) or (near[0] if near else "")


def _config(hostvars: Vars, names: list[str]) -> tuple[ClusterConfig, frozenset[str], list[str]]:
    """Return the cluster's keys, which of them are bad (their defaults stand in), and what is wrong."""
    given: dict[str, Any] = {}
    problems = []
    for key in ClusterConfig.model_fields:
        values = {name: hostvars[name][key] for name in names if key in hostvars[name]}
        if not values:
            continue
        given[key] = next(iter(values.values()))
        if any(value != given[key] for value in values.values()) or len(values) != len(names):
            problems.append(f"{key} differs between hosts: it is the cluster's, set it once in group_vars/all.yml")
    try:
        return ClusterConfig.model_validate(given), frozenset(), problems
    except ValidationError as error:
        details = [(".".join(map(str, detail["loc"])), detail["msg"]) for detail in error.errors()]
    problems += [f"{key}: {message.removeprefix('Value error, ')}" for key, message in details if key]
    bad = frozenset(key.partition(".")[0] for key, _ in details if key)
    config = ClusterConfig.model_construct(**{key: value for key, value in given.items() if key not in bad})
    return config, bad, [*problems, *config.conflicts()]


def _nodes(
    hostvars: Vars, members: Mapping[str, tuple[str, ...]], names: list[str]
) -> tuple[tuple[Node, ...], list[str]]:
    nodes, problems = [], []
    seen: dict[str, str] = {}
    for name in names:
        variables = hostvars[name]
        ssh = _ssh(name, variables)
        address = str(variables.get("node_ip") or ssh.host)
        if not _port(variables).isdigit():
            problems.append(f"{name}: ansible_port {_port(variables)!r} is not a number")
        if not re.match(DNS_LABEL, name):
            problems.append(f"{name}: a node's name must be a DNS label (small letters, digits, hyphens; 63 at most)")
        if not _is_ipv4(address):
            problems.append(
                f"{name}: {address!r} is no IPv4 address: set node_ip to its address towards the other nodes"
            )
        elif address in seen:
            problems.append(f"{name} and {seen[address]} have one address, {address}")
        seen.setdefault(address, name)
        nodes.append(Node(name, address, frozenset(g for g, hosts in members.items() if name in hosts), ssh))
    return tuple(nodes), problems


def _ssh(name: str, variables: Mapping[str, Any]) -> SshTarget:
    arguments = shlex.split(str(variables.get("ansible_ssh_common_args") or ""))
    known = [word.partition("=")[2] for word in arguments if word.removeprefix("-o").startswith("UserKnownHostsFile=")]
    return SshTarget(
        host=str(variables.get("ansible_host") or name),
        port=int(_port(variables)) if _port(variables).isdigit() else 0,
        user=str(variables.get("ansible_user") or "root"),
        key_file=str(variables.get("ansible_ssh_private_key_file") or ""),
        known_hosts=known[0] if known else "",
    )


def _port(variables: Mapping[str, Any]) -> str:
    return str(variables.get("ansible_port") or 22)


def _is_ipv4(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 4
    except ValueError:
        return False


def _network_problems(config: ClusterConfig, bad_keys: frozenset[str], nodes: tuple[Node, ...]) -> list[str]:
    ranges = {
        key: ipaddress.ip_network(getattr(config, key)) for key in ("pod_cidr", "service_cidr") if key not in bad_keys
    }
    pods, services = ranges.get("pod_cidr"), ranges.get("service_cidr")
    problems = []
    if pods and services and pods.overlaps(services):
        problems.append(f"pod_cidr {pods} and service_cidr {services} overlap")
    virtual = config.api_virtual_ip
    for node in nodes:
        if virtual and node.address == virtual:
            problems.append(f"api_virtual_ip {virtual} is the address of {node.name}: give it one that no machine has")
        for key, network in ranges.items():
            if _is_ipv4(node.address) and ipaddress.ip_address(node.address) in network:
                problems.append(f"{node.name}: its address {node.address} lies in {key} {network}")
    for key, network in ranges.items():
        if virtual and ipaddress.ip_address(virtual) in network:
            problems.append(f"api_virtual_ip {virtual} lies in {key} {network}")
    if services and services.num_addresses < 16:
        problems.append(f"service_cidr {services} is too small: it must hold at least 16 addresses")
    if services and services.prefixlen < WIDEST_SERVICES:
        problems.append(f"service_cidr {services} is too large: /{WIDEST_SERVICES} is the widest")
    wanted = sum(node.runs_kubelet for node in nodes)
    room = 2 ** (24 - pods.prefixlen) if pods and pods.prefixlen <= 24 else 0
    if pods and config.pod_network != "none" and room < wanted:
        problems.append(f"pod_cidr {pods} has room for {room} nodes of a /24 each, {wanted} are wanted")
    return problems
