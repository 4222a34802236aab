"""Node objects: created before the kubelets start, so that each node's pod range is known first."""

from __future__ import annotations

import dataclasses
import ipaddress
import time
from collections.abc import Mapping
from typing import Any

from pyk8s.cluster.model import CONTROL_PLANE_LABEL, Cluster, Node
from pyk8s.errors import Pyk8sError
from pyk8s.kubeapi import KubeApi

ALLOCATION_SECONDS = 40
NO_ROOM = {"capacity": {"pods": "0"}, "allocatable": {"pods": "0"}}
"""Of a Node whose kubelet has not spoken yet: nothing is placed there. (A kubelet 1.20 fails on a Node without any.)"""
WORKER = "node-role.kubernetes.io/worker"


def manifest(node: Node) -> dict[str, Any]:
    """Return what is kept of a Node for good: its name and the labels of its roles."""
    roles = {CONTROL_PLANE_LABEL: node.is_control_plane, WORKER: node.is_worker}
    labels = {"kubernetes.io/hostname": node.name, **{label: "" for label, held in roles.items() if held}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node.name, "labels": labels}}


def register(cluster: Cluster, *, dry_run: bool = False) -> tuple[bool, dict[str, str]]:
    """Create the missing Nodes with a free pod range each, keep the role labels; return (changed, name to range).

    The range is given here because the controller manager takes ten seconds to begin with that; it respects what a Node
    has, and gives one to a Node that has none. With ``dry_run`` nothing is created. Raises Pyk8sError when a Node that
    came by itself gets no range in time, or when pod_cidr is used up.
    """
    api = KubeApi(cluster)
    networked = cluster.config.pod_network != "none"
    free = planned(cluster, _ranges(api) if networked else {})
    changed = False
    for node in cluster.kubernetes_nodes:
        wanted = manifest(node)
        if api.get(f"/api/v1/nodes/{node.name}") is None:
            changed = True
            if not dry_run:
                api.create("/api/v1/nodes", {**wanted, "spec": _spec(node, free), "status": NO_ROOM})
        changed = api.apply(wanted, dry_run=dry_run) or changed
    return changed, free if dry_run or not networked else _wait_for_ranges(api, cluster)


def _spec(node: Node, free: dict[str, str]) -> dict[str, Any]:
    taints = [dataclasses.asdict(taint) for taint in node.taints]
    pods = {"podCIDR": free[node.name], "podCIDRs": [free[node.name]]} if free else {}
    return {"taints": taints, **pods}


def _ranges(api: KubeApi) -> dict[str, str]:
    listed = (api.get("/api/v1/nodes") or {"items": []})["items"]
    return {item["metadata"]["name"]: item["spec"]["podCIDR"] for item in listed if item["spec"].get("podCIDR")}


def _wait_for_ranges(api: KubeApi, cluster: Cluster) -> dict[str, str]:
    names = [node.name for node in cluster.kubernetes_nodes]
    deadline = time.monotonic() + ALLOCATION_SECONDS
    while True:
        found = _ranges(api)
        missing = [name for name in names if name not in found]
        if not missing:
            return {name: found[name] for name in names}
        if time.monotonic() > deadline:
            raise Pyk8sError(
                f"no pod range for {', '.join(missing)} after {ALLOCATION_SECONDS} s",
                "kube-controller-manager allocates them: it may not be running, or pod_cidr is used up",
                "fab logs --unit kube-controller-manager --node " + cluster.control_plane[0].name,
            )
        time.sleep(0.2)


def planned(cluster: Cluster, known: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return each node's pod range: the one that is known, else a free one; none where pods' network is not ours.

    Raises Pyk8sError when pod_cidr is used up.
    """
    if cluster.config.pod_network == "none":
        return {}
    known = known or {}
    ranges = ipaddress.ip_network(cluster.config.pod_cidr).subnets(new_prefix=24)
    taken = set(known.values())
    free = (str(network) for network in ranges if str(network) not in taken)
    found = {}
    for node in cluster.kubernetes_nodes:
        found[node.name] = known.get(node.name) or next(free, "")
        if not found[node.name]:
            raise Pyk8sError(
                f"no pod range is left for {node.name}",
                f"pod_cidr {cluster.config.pod_cidr} holds {len(taken)} ranges of a /24, all taken by Nodes",
                "remove Nodes that are gone: kubectl delete node NAME",
            )
    return found
