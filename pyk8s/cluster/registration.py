"""Node objects: created before the kubelets start, so that each node's pod range is known first."""

from __future__ import annotations

import dataclasses
import ipaddress
import time
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
    """Create the missing Nodes, keep the role labels, wait for pod ranges; return (changed, name to range).

    With ``dry_run`` nothing is created, and what has no range yet gets the next one of the pod network.
    Raises Pyk8sError when the controller manager allocates no range in time.
    """
    if dry_run and not (cluster.directory / "pki" / "super-admin.crt").exists():
        return True, _made_up(cluster, {})
    api = KubeApi(cluster)
    changed = False
    for node in cluster.kubernetes_nodes:
        wanted = manifest(node)
        if api.get(f"/api/v1/nodes/{node.name}") is None:
            changed = True
            if not dry_run:
                spec = {"taints": [dataclasses.asdict(taint) for taint in node.taints]}
                api.create("/api/v1/nodes", {**wanted, "spec": spec, "status": NO_ROOM})
        changed = api.apply(wanted, dry_run=dry_run) or changed
    if cluster.config.pod_network == "none":
        return changed, {}
    return changed, _made_up(cluster, _ranges(api)) if dry_run else _wait_for_ranges(api, cluster)


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


def _made_up(cluster: Cluster, known: dict[str, str]) -> dict[str, str]:
    ranges = ipaddress.ip_network(cluster.config.pod_cidr).subnets(new_prefix=24)
    free = (str(network) for network in ranges if str(network) not in known.values())
    return {node.name: known.get(node.name) or next(free) for node in cluster.kubernetes_nodes}
