"""The clusters of the golden trees, and what site.yml places on their nodes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import cache
from typing import Any

import yaml

from pyk8s import paths
from pyk8s.ansible.support import role_defaults
from pyk8s.artifacts.catalog import load_catalog
from pyk8s.cluster.config import ClusterConfig
from pyk8s.cluster.model import Cluster, Node, SshTarget
from pyk8s.render import UNKNOWN_MACHINE, Tree, manifests, render

ONLY_CONTROL_PLANES = "inventory_hostname in groups.control_plane"
Texts = dict[str, str]
"""Relative path to content: ``<node>/<component>/etc/...``, ``<node>/MODES`` and ``manifests/<component>.yaml``."""


@dataclasses.dataclass(frozen=True)
class Case:
    """One golden tree: a cluster, and the nodes that are rendered."""

    name: str
    cluster: Cluster
    nodes: tuple[str, ...]


def node(name: str, last: int, *groups: str) -> Node:
    """Return a machine with an address for documentation."""
    return Node(name, f"192.0.2.{last}", frozenset(groups), SshTarget(f"192.0.2.{last}"))


def stacked(version: str, **keys: Any) -> Cluster:
    """Return three control planes that are etcd members too, and two workers."""
    front = [node(f"cp{n}", 10 + n, "control_plane", "etcd") for n in (1, 2, 3)]
    workers = [node(f"w{n}", 20 + n, "workers") for n in (1, 2)]
    return Cluster(ClusterConfig(cluster_name="golden", kubernetes_version=version, **keys), (*front, *workers))


def dedicated(version: str, **keys: Any) -> Cluster:
    """Return three machines of etcd alone, two control planes and two workers."""
    members = [node(f"etcd{n}", 30 + n, "etcd") for n in (1, 2, 3)]
    front = [node(f"cp{n}", 10 + n, "control_plane") for n in (1, 2)]
    workers = [node(f"w{n}", 20 + n, "workers") for n in (1, 2)]
    return Cluster(
        ClusterConfig(cluster_name="golden", kubernetes_version=version, **keys), (*members, *front, *workers)
    )


@cache
def cases() -> tuple[Case, ...]:
    """Return a case for the newest release of each supported minor, and one in which every key is another."""
    releases = load_catalog().releases
    plain = [Case(minor, stacked(row.newest), ("cp1", "w1")) for minor, row in releases.items()]
    other = dedicated(
        releases["1.36"].newest,
        api_endpoint="api.example.com",
        api_port=8443,
        api_virtual_ip="192.0.2.10",
        audit="none",
        cluster_domain="k8s.example.com",
        failure_detection="fast",
        image_mirror="http://192.0.2.2:5000",
        kube_proxy_mode="nftables",
        pod_cidr="10.200.0.0/16",
        pod_network="vxlan",
        secrets_encryption="none",
        service_cidr="10.201.0.0/20",
    )
    return (*plain, Case("1.36-other-keys", other, ("cp1", "etcd1", "w1")))


def tasks_of(role: str) -> list[dict[str, Any]]:
    """Return the tasks of a role."""
    found: list[dict[str, Any]] = yaml.safe_load((paths.ROLES / role / "tasks" / "main.yml").read_text("utf-8"))
    return found


@cache
def plays() -> tuple[tuple[frozenset[str], tuple[str, ...]], ...]:
    """Return site.yml as (groups, roles) in order."""
    site = yaml.safe_load((paths.ROOT / "site.yml").read_text("utf-8"))
    return tuple((frozenset(p["hosts"].split(":")), tuple(r["role"] for r in p["roles"])) for p in site)


def components_of(machine: Node) -> Iterator[str]:
    """Yield the components whose trees site.yml places on a machine, in order."""
    for groups, roles in plays():
        for task in (task for role in roles if groups & machine.groups for task in tasks_of(role)):
            only_front = task.get("when") == ONLY_CONTROL_PLANES
            if "pyk8s.node.place" in task and (machine.is_control_plane or not only_front):
                yield task["pyk8s.node.place"]["component"]


def applied_components() -> Iterator[str]:
    """Yield the components whose manifests site.yml applies."""
    for task in (task for _, roles in plays() for role in roles for task in tasks_of(role)):
        if "pyk8s.node.apply" in task:
            yield task["pyk8s.node.apply"]["component"]


@cache
def defaults() -> dict[str, Any]:
    """Return the default variables of all roles."""
    return {key: value for role in sorted(paths.ROLES.iterdir()) for key, value in role_defaults(role.name).items()}


def variables(component: str, cluster: Cluster) -> dict[str, Any]:
    """Return what ``place`` hands to a component's templates, with a made-up pod range for each node."""
    prefixes = tuple(name.replace("-", "_") + "_" for name in (component, "pod-network"))
    first, second = cluster.config.pod_cidr.split(".")[:2]
    ranges = {n.name: f"{first}.{second}.{index}.0/24" for index, n in enumerate(cluster.kubernetes_nodes)}
    named = {key: value for key, value in defaults().items() if key.startswith(prefixes)}
    machine = {**UNKNOWN_MACHINE, "interfaces": {n.address: "eth0" for n in cluster.nodes}}
    return {"machine": machine, **named, "pod_network_nodes": ranges}


def texts(case: Case) -> Texts:
    """Render all of a case; the answer is the caller's to change."""
    return dict(_rendered(case))


@cache
def _rendered(case: Case) -> Texts:
    found: Texts = {}
    for name in case.nodes:
        machine = case.cluster.node(name)
        modes = []
        for component in components_of(machine):
            tree = render(component, case.cluster, machine, variables(component, case.cluster))
            found |= {f"{name}/{component}{file.path}": file.content.decode() for file in tree.files}
            modes += _modes(component, tree)
        found[f"{name}/MODES"] = "\n".join(modes) + "\n"
    for component in applied_components():
        documents = manifests(component, case.cluster, variables(component, case.cluster))
        found[f"manifests/{component}.yaml"] = yaml.safe_dump_all(documents, sort_keys=True)
    return found


def _modes(component: str, tree: Tree) -> list[str]:
    paths_of = {f"{path}/": owned for path, owned in tree.directories.items()}
    paths_of |= {file.path: file.owned for file in tree.files}
    return [f"{own.mode} {own.owner}:{own.group} {component} {path}" for path, own in sorted(paths_of.items())]
