"""Where pods may go, and where the scheduler put them."""

from __future__ import annotations

from pyk8s.verify.context import Context
from pyk8s.verify.model import CheckFailed
from pyk8s.verify.objects import Manifest
from pyk8s.verify.pods import condition

HOSTNAME = "kubernetes.io/hostname"
SOON = 20
"""Seconds within which a pod is placed, or found not to fit; a pod that did not fit is tried again within 10."""


def workers(ctx: Context, wanted: int = 1) -> list[str]:
    """Return the nodes that take pods; CheckFailed when there are fewer than wanted."""
    names = ctx.schedulable()
    if len(names) < wanted:
        raise CheckFailed(f"{wanted} nodes that take pods are needed, there are {len(names)}")
    return names


def create(
    ctx: Context,
    namespace: str,
    name: str,
    *,
    labels: dict[str, str] | None = None,
    starts: bool = False,
    **spec: object,
) -> Manifest:
    """Create a pod; ``spec`` overrides fields of its spec.

    Unless it ``starts`` it takes its place on a node and no more: it waits there for a ConfigMap that never comes, so
    that the kubelet has next to nothing to do.
    """
    pod = ctx.pod(name, ctx.images.busybox, command=["sleep", "600"], labels=labels)
    if not starts:
        absent = {"name": "absent", "configMap": {"name": "absent"}}
        pod["spec"] |= {"volumes": [absent], "terminationGracePeriodSeconds": 0}
    return ctx.apply(pod | {"spec": pod["spec"] | spec}, namespace)


def term(node: str) -> Manifest:
    """Return the term of a node selector that means this node."""
    return {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}


def only(*nodes: str) -> Manifest:
    """Node affinity that requires one of these nodes; a term names one node, terms are alternatives."""
    return {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term(node) for node in nodes]}}


def near(app: str) -> Manifest:
    """Pod (anti-)affinity on one node with the pods of that app."""
    term = {"topologyKey": HOSTNAME, "labelSelector": {"matchLabels": {"app": app}}}
    return {"requiredDuringSchedulingIgnoredDuringExecution": [term]}


def waits(ctx: Context, namespace: str, name: str) -> str:
    """Wait until the scheduler says that the pod fits nowhere, and return why."""

    def _unschedulable() -> str | None:
        pod = ctx.objects.get("Pod", name, namespace)
        if node := pod["spec"].get("nodeName"):
            raise CheckFailed(f"pod {name} should wait, it was placed on {node}")
        told = condition(pod, "PodScheduled")
        return str(told.get("message")) if told.get("reason") == "Unschedulable" else None

    return ctx.wait(_unschedulable, SOON, f"pod {name} found not to fit", lambda: ctx.pod_state(namespace, name))


def placed(ctx: Context, namespace: str, name: str, wanted: str = "") -> str:
    """Wait until the pod has a node and return it; CheckFailed when it is not the wanted one."""

    def _node() -> str | None:
        name_of_node: str | None = ctx.objects.get("Pod", name, namespace)["spec"].get("nodeName")
        return name_of_node

    found = ctx.wait(_node, SOON, f"pod {name} placed", lambda: ctx.pod_state(namespace, name))
    if wanted and found != wanted:
        raise CheckFailed(f"pod {name} should be on {wanted}, it is on {found}")
    return found
