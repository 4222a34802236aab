"""kube-scheduler: pods go where they fit, where they want to be, and where they are let in."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from kubernetes.client.exceptions import ApiException

from pyk8s.verify import leases, placement
from pyk8s.verify.context import Context
from pyk8s.verify.model import CheckFailed
from pyk8s.verify.objects import Manifest
from pyk8s.verify.registry import check

COMPONENT = "kube-scheduler"
SLOTS = "pyk8s.io/slots"
Taints = list[Manifest]


@check(
    "scheduler-node-selector",
    component=COMPONENT,
    title="A pod with a nodeSelector waits until a node carries the label, then runs there",
    suites=("smoke", "full"),
    timeout=90,
)
def node_selector(ctx: Context) -> str:
    """The pod wants ``disktype: ssd`` or, where nodes carry that already, a value of its own."""
    namespace, node = ctx.namespace(), placement.workers(ctx)[-1]
    before = (ctx.objects.get("Node", node)["metadata"].get("labels") or {}).get("disktype")
    label = {"disktype": namespace if ctx.objects.list("Node", labels="disktype=ssd") else "ssd"}
    placement.create(ctx, namespace, "fast", starts=True, nodeSelector=label)
    why = placement.waits(ctx, namespace, "fast")

    def unlabel() -> None:
        """take the label disktype away again"""
        ctx.objects.patch("Node", node, {"metadata": {"labels": {"disktype": before}}})

    ctx.defer(unlabel)
    began = time.monotonic()
    ctx.objects.patch("Node", node, {"metadata": {"labels": label}})
    pod = ctx.wait_ready(namespace, "fast", 45)
    if pod["spec"]["nodeName"] != node:
        raise CheckFailed(f"{node} was labelled, the pod runs on {pod['spec']['nodeName']}")
    return f"waited ({why}), ran on {node} {time.monotonic() - began:.1f} s after it got the label"


@check(
    "scheduler-resources",
    component=COMPONENT,
    title="A pod that asks for more than any node has stays Pending, and says why",
    suites=("smoke", "full"),
)
def resources(ctx: Context) -> str:
    """Ask for 10 000 processors."""
    namespace = ctx.namespace()
    container = {"name": "main", "image": ctx.images.busybox, "resources": {"requests": {"cpu": "10k"}}}
    placement.create(ctx, namespace, "huge", containers=[container])
    why = placement.waits(ctx, namespace, "huge")
    if "Insufficient cpu" not in why:
        raise CheckFailed(f"the reason should be Insufficient cpu, it is: {why}")
    return f"Pending: {why}"


@check(
    "scheduler-node-affinity",
    component=COMPONENT,
    title="Required node affinity is obeyed, preferred node affinity decides among equals",
    needs=("two-workers",),
)
def node_affinity(ctx: Context) -> str:
    """Require each of two nodes, then prefer each of them among both."""
    namespace, pair = ctx.namespace(), placement.workers(ctx, 2)[:2]
    for number, node in enumerate(pair):
        preferred = [{"weight": 100, "preference": placement.term(node)}]
        placement.create(ctx, namespace, f"required-{number}", affinity={"nodeAffinity": placement.only(node)})
        soft = placement.only(*pair) | {"preferredDuringSchedulingIgnoredDuringExecution": preferred}
        placement.create(ctx, namespace, f"preferred-{number}", affinity={"nodeAffinity": soft})
    for number, node in enumerate(pair):
        for kind in ("required", "preferred"):
            placement.placed(ctx, namespace, f"{kind}-{number}", node)
    return f"4 pods where they wanted to be, on {' and '.join(pair)}"


@check(
    "scheduler-anti-affinity",
    component=COMPONENT,
    title="Pods that repel each other run on different nodes",
    needs=("two-workers",),
)
def anti_affinity(ctx: Context) -> str:
    """Three pods that repel each other, two nodes to be on: two are placed, the third waits."""
    namespace, pair = ctx.namespace(), placement.workers(ctx, 2)[:2]
    repel = {"nodeAffinity": placement.only(*pair), "podAntiAffinity": placement.near("lonely")}
    names = [f"lonely-{number}" for number in range(3)]
    for name in names[:2]:
        placement.create(ctx, namespace, name, labels={"app": "lonely"}, affinity=repel)
    nodes = {placement.placed(ctx, namespace, name) for name in names[:2]}
    if nodes != set(pair):
        raise CheckFailed(f"two pods that repel each other are on {', '.join(nodes)}")
    placement.create(ctx, namespace, names[2], labels={"app": "lonely"}, affinity=repel)
    return f"two pods on {' and '.join(sorted(nodes))}, a third waits: {placement.waits(ctx, namespace, names[2])}"


@check(
    "scheduler-pod-affinity",
    component=COMPONENT,
    title="Pods that attract each other run on one node",
    needs=("two-workers",),
)
def pod_affinity(ctx: Context) -> str:
    """An anchor on each of two nodes, and a pod that wants to be with each."""
    namespace, pair = ctx.namespace(), placement.workers(ctx, 2)[:2]
    for number, node in enumerate(pair):
        placement.create(ctx, namespace, f"anchor-{number}", nodeName=node)
        placement.create(
            ctx, namespace, f"follower-{number}", affinity={"podAffinity": placement.near(f"anchor-{number}")}
        )
    for number, node in enumerate(pair):
        placement.placed(ctx, namespace, f"follower-{number}", node)
    return f"two followers with their anchors, on {' and '.join(pair)}"


@check(
    "scheduler-taints",
    component=COMPONENT,
    title="A taint keeps pods away, a toleration lets them in",
    exclusive=True,
)
def taints(ctx: Context) -> str:
    """Taint a node for a moment; alone, since the node is closed to other checks meanwhile."""
    namespace, node = ctx.namespace(), placement.workers(ctx)[-1]
    key = f"pyk8s.io/verify-{ctx.session.run_id}"
    taint = {"key": key, "value": "closed", "effect": "NoSchedule"}

    def untaint() -> None:
        """take the taint away again"""
        _edit_taints(ctx, node, lambda there: [one for one in there if one["key"] != key])

    ctx.defer(untaint)
    _edit_taints(ctx, node, lambda there: [*there, taint])
    here = {"nodeAffinity": placement.only(node)}
    placement.create(ctx, namespace, "repelled", affinity=here)
    why = placement.waits(ctx, namespace, "repelled")
    tolerations = [{"key": key, "operator": "Equal", "value": "closed", "effect": "NoSchedule"}]
    placement.create(ctx, namespace, "tolerant", affinity=here, tolerations=tolerations)
    placement.placed(ctx, namespace, "tolerant", node)
    untaint()
    placement.placed(ctx, namespace, "repelled", node)
    return f"{node} tainted: one pod waited ({why}) until the taint was gone, a tolerant one did not"


@check(
    "scheduler-spread",
    component=COMPONENT,
    title="Pods with a topologySpreadConstraint are spread evenly",
    needs=("two-workers",),
)
def spread(ctx: Context) -> str:
    """Four pods over two nodes, skew 1 at most."""
    namespace, pair = ctx.namespace(), placement.workers(ctx, 2)[:2]
    rule = {
        "maxSkew": 1,
        "topologyKey": placement.HOSTNAME,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "even"}},
    }
    names = [f"even-{number}" for number in range(4)]
    for name in names:
        placement.create(
            ctx,
            namespace,
            name,
            labels={"app": "even"},
            affinity={"nodeAffinity": placement.only(*pair)},
            topologySpreadConstraints=[rule],
        )
    counts = Counter(placement.placed(ctx, namespace, name) for name in names)
    if sorted(counts.values()) != [2, 2]:
        raise CheckFailed(f"four pods over two nodes should be 2 and 2, they are {dict(counts)}")
    return ", ".join(f"{count} on {node}" for node, count in sorted(counts.items()))


@check(
    "scheduler-priority",
    component=COMPONENT,
    title="A pod of high priority takes the place of one of low priority",
)
def priority(ctx: Context) -> str:
    """Fill a resource that only this check knows (2 slots on one node), then ask for it with a higher priority."""
    namespace, node = ctx.namespace(), placement.workers(ctx)[0]

    def take_slots() -> None:
        """take the resource pyk8s.io/slots away again"""
        _offer_slots(ctx, node, None)

    ctx.defer(take_slots)
    _offer_slots(ctx, node, "2")
    classes = {"low": 10, "high": 1000}
    for name, value in classes.items():
        ctx.apply(
            {
                "apiVersion": "scheduling.k8s.io/v1",
                "kind": "PriorityClass",
                "metadata": {"name": f"{namespace}-{name}"},
                "value": value,
            }
        )
    _take_slots(ctx, namespace, "low")
    placement.placed(ctx, namespace, "low", node)
    began = time.monotonic()
    _take_slots(ctx, namespace, "high")
    placement.placed(ctx, namespace, "high", node)
    if ctx.objects.find("Pod", "low", namespace):
        ctx.wait(lambda: ctx.objects.find("Pod", "low", namespace) is None, 10, "the pod of low priority gone")
    return f"on {node}, priority 1000 took the place of priority 10 in {time.monotonic() - began:.1f} s"


@check(
    "scheduler-leader", component=COMPONENT, title="A leader is elected and renews its lease", suites=("smoke", "full")
)
def leader(ctx: Context) -> str:
    """Watch the lease move on."""
    return leases.leader(ctx, "kube-scheduler")


@check(
    "scheduler-one-leader",
    component=COMPONENT,
    title="Of all schedulers exactly one leads, and the others wait",
    suites=("smoke", "full"),
    needs=("nodes",),
)
def one_leader(ctx: Context) -> str:
    """Ask each of them, through its metrics."""
    return leases.one_leads(ctx, "kube-scheduler")


def _edit_taints(ctx: Context, name: str, change: Callable[[Taints], Taints]) -> None:
    """Change a node's taints as they are now; tried again when somebody else changes the node meanwhile."""

    def _edited() -> bool:
        node = ctx.objects.get("Node", name)
        there: Taints = node["spec"].get("taints") or []
        version = {"resourceVersion": node["metadata"]["resourceVersion"]}
        try:
            ctx.objects.patch("Node", name, {"metadata": version, "spec": {"taints": change(there) or None}})
        except ApiException as error:
            if error.status == 409:
                return False
            raise
        return True

    ctx.wait(_edited, 10, f"taints of {name} changed")


def _offer_slots(ctx: Context, node: str, count: str | None) -> None:
    status = {"capacity": {SLOTS: count}, "allocatable": {SLOTS: count}}
    ctx.objects.patch("Node", node, {"status": status}, sub="status")


def _take_slots(ctx: Context, namespace: str, priority_class: str) -> None:
    container: Manifest = {"name": "main", "image": ctx.images.busybox, "command": ["sleep", "600"]}
    container["resources"] = {"requests": {SLOTS: "2"}, "limits": {SLOTS: "2"}}
    name = f"{namespace}-{priority_class}"
    placement.create(ctx, namespace, priority_class, priorityClassName=name, containers=[container])
