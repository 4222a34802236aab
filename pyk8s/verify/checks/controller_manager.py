"""kube-controller-manager: what is wanted comes to be, and stays.

Pods of these checks go straight to a node, past the scheduler: a check fails for its own component's fault only.
"""

from __future__ import annotations

import time
import zlib

from pyk8s.verify import leases
from pyk8s.verify.checks import parts
from pyk8s.verify.context import Context
from pyk8s.verify.model import CheckFailed, CheckSkipped
from pyk8s.verify.objects import Manifest
from pyk8s.verify.pods import is_ready
from pyk8s.verify.registry import check

COMPONENT = "kube-controller-manager"
BEFORE_OTHERS = 125
"""A timeout, in seconds, that makes a check start early, before the other checks' namespaces queue up for deletion."""
KEEP_ALL = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


@check(
    "controller-replaces-pod",
    component=COMPONENT,
    title="A deleted pod of a Deployment is replaced",
    suites=("smoke", "full"),
)
def replaces_pod(ctx: Context) -> str:
    """Delete one pod of two and wait until there are two again, one of them new."""
    namespace = ctx.namespace()
    before = _deploy(ctx, namespace, 2)
    lost = sorted(before)[0]
    began = time.monotonic()
    ctx.objects.delete("Pod", before[lost], namespace, grace=0)

    def _replaced() -> dict[str, str] | None:
        now = _ready(ctx, namespace)
        return now if lost not in now and len(now) == 2 else None

    now = ctx.wait(_replaced, 55, "two Ready pods again", lambda: _state(ctx, namespace))
    new = next(iter(set(now) - set(before)))
    return f"{before[lost]} replaced by {now[new]} in {time.monotonic() - began:.1f} s"


@check(
    "controller-scales", component=COMPONENT, title="A scaled Deployment follows, up and down", suites=("smoke", "full")
)
def scales(ctx: Context) -> str:
    """Scale from 1 to 3 and back."""
    namespace = ctx.namespace()
    _deploy(ctx, namespace, 1)
    told = []
    for wanted in (3, 1):
        began = time.monotonic()
        ctx.objects.patch("Deployment", "sample", {"spec": {"replicas": wanted}}, namespace, sub="scale")
        _wait_count(ctx, namespace, wanted)
        told.append(f"{wanted} after {time.monotonic() - began:.1f} s")
    return "1 replica, " + ", ".join(told)


@check(
    "controller-rolling-update",
    component=COMPONENT,
    title="A rolling update and its undo replace every pod, never with fewer available than wanted",
    timeout=100,
)
def rolling_update(ctx: Context) -> str:
    """Change the image, wait until it is rolled out, and undo that."""
    namespace = ctx.namespace()
    old, new = ctx.images.nginx, ctx.images.nginx_other
    _deploy(ctx, namespace, 2, image=old)
    container = {"name": "main", "image": new}
    change = {"spec": {"template": {"spec": {"containers": [container]}}}}
    merge = "application/strategic-merge-patch+json"
    ctx.objects.patch("Deployment", "sample", change, namespace, content_type=merge)
    told = [f"{old} to {new} in {_rolled_out(ctx, namespace, new):.1f} s"]
    try:
        ctx.kubectl("rollout", "undo", "deployment/sample", "-n", namespace)
        by = "kubectl rollout undo"
    except CheckSkipped:
        container["image"] = old
        ctx.objects.patch("Deployment", "sample", change, namespace, content_type=merge)
        by = "the former template"
    told.append(f"back by {by} in {_rolled_out(ctx, namespace, old):.1f} s")
    return ", ".join(told) + "; never fewer than 2 available"


@check(
    "controller-leader", component=COMPONENT, title="A leader is elected and renews its lease", suites=("smoke", "full")
)
def leader(ctx: Context) -> str:
    """Watch the lease move on."""
    return leases.leader(ctx, "kube-controller-manager")


@check(
    "controller-one-leader",
    component=COMPONENT,
    title="Of all controller managers exactly one leads, and the others wait",
    suites=("smoke", "full"),
    needs=("nodes",),
)
def one_leader(ctx: Context) -> str:
    """Ask each of them, through its metrics."""
    return leases.one_leads(ctx, COMPONENT)


@check(
    "controller-namespace-defaults",
    component=COMPONENT,
    title="A new namespace gets its default ServiceAccount and the cluster's CA",
    suites=("smoke", "full"),
)
def namespace_defaults(ctx: Context) -> str:
    """Create a namespace and wait for both."""
    namespace = ctx.namespace(account=False)
    began = time.monotonic()
    account = ctx.wait(
        lambda: ctx.objects.find("ServiceAccount", "default", namespace), 20, "the ServiceAccount default"
    )
    authority = ctx.wait(
        lambda: ctx.objects.find("ConfigMap", "kube-root-ca.crt", namespace), 20, "the ConfigMap kube-root-ca.crt"
    )
    if "BEGIN CERTIFICATE" not in authority.get("data", {}).get("ca.crt", ""):
        raise CheckFailed("the ConfigMap kube-root-ca.crt holds no certificate")
    return f"ServiceAccount {account['metadata']['name']} and kube-root-ca.crt after {time.monotonic() - began:.1f} s"


@check("controller-endpoints", component=COMPONENT, title="A Service's endpoints follow its pods", suites=("full",))
def endpoints(ctx: Context) -> str:
    """Watch one pod come into the Endpoints and EndpointSlices of a Service, and leave them."""
    namespace = ctx.namespace()
    parts.service(ctx, namespace, "sample", "sample")
    pod = parts.idle(ctx, "sample", node=_node(ctx))
    address = str(ctx.run_pod(pod, namespace)["status"]["podIP"])

    def _listed() -> tuple[list[str], list[str]]:
        return parts.endpoints(ctx, namespace, "sample"), _slices(ctx, namespace)

    def _now() -> str:
        return f"Endpoints and EndpointSlices: {_listed()}"

    ctx.wait(lambda: _listed() == ([address], [address]), 15, f"{address} among the endpoints", _now)
    ctx.objects.delete("Pod", "sample", namespace, grace=0)
    ctx.wait(lambda: _listed() == ([], []), 15, f"{address} gone from the endpoints", _now)
    return f"{address} in Endpoints and EndpointSlices while its pod was Ready, in neither afterwards"


@check(
    "controller-garbage",
    component=COMPONENT,
    title="What belongs to a deleted object is deleted with it",
    timeout=BEFORE_OTHERS,
)
def garbage(ctx: Context) -> str:
    """Delete a Deployment; its ReplicaSet and its pods go too."""
    namespace = ctx.namespace()
    _deploy(ctx, namespace, 1)
    began = time.monotonic()
    ctx.objects.delete("Deployment", "sample", namespace)

    def _left() -> list[str]:
        things = [*ctx.objects.list("ReplicaSet", namespace), *ctx.objects.list("Pod", namespace)]
        return [thing["metadata"]["name"] for thing in things]

    ctx.wait(lambda: not _left(), 100, "dependents gone", lambda: f"still there: {', '.join(_left())}")
    return f"ReplicaSet and pod gone {time.monotonic() - began:.1f} s after their Deployment"


@check(
    "controller-namespace-deletion",
    component=COMPONENT,
    title="A deleted namespace takes its contents along",
    timeout=BEFORE_OTHERS,
)
def namespace_deletion(ctx: Context) -> str:
    """Delete a namespace with a ConfigMap in it."""
    namespace = ctx.namespace()
    ctx.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "content"}}, namespace)
    began = time.monotonic()
    ctx.objects.delete("Namespace", namespace)

    def _now() -> str:
        return str((ctx.objects.find("Namespace", namespace) or {}).get("status"))

    ctx.wait(lambda: ctx.objects.find("Namespace", namespace) is None, 100, f"namespace {namespace} gone", _now)
    return f"gone after {time.monotonic() - began:.1f} s"


def _node(ctx: Context) -> str:
    """Return a node for this check's pods, another for another check."""
    names = ctx.schedulable()
    if not names:
        raise CheckFailed("no node is Ready and takes pods")
    return names[zlib.crc32(ctx.check.name.encode()) % len(names)]


def _deploy(ctx: Context, namespace: str, replicas: int, image: str = "") -> dict[str, str]:
    """Create the Deployment ``sample``, wait until it is whole, and return uid and name of its pods."""
    node = _node(ctx)
    pod = ctx.pod("sample", image, node=node) if image else parts.idle(ctx, "sample", node=node)
    pod["spec"]["terminationGracePeriodSeconds"] = 0  # how soon a kubelet forgets a pod is not asked here
    ctx.apply(parts.workload("Deployment", "sample", pod, replicas=replicas, strategy=KEEP_ALL), namespace)
    return _wait_count(ctx, namespace, replicas)


def _pods(ctx: Context, namespace: str) -> list[Manifest]:
    return ctx.objects.list("Pod", namespace, labels="app=sample")


def _staying(ctx: Context, namespace: str) -> list[Manifest]:
    """Return the pods that are not being deleted: how soon those are gone is the kubelet's matter."""
    return [pod for pod in _pods(ctx, namespace) if "deletionTimestamp" not in pod["metadata"]]


def _ready(ctx: Context, namespace: str) -> dict[str, str]:
    return {pod["metadata"]["uid"]: pod["metadata"]["name"] for pod in _pods(ctx, namespace) if is_ready(pod)}


def _wait_count(ctx: Context, namespace: str, wanted: int) -> dict[str, str]:
    """Wait until exactly so many pods are there (those being deleted not counted), all Ready; return uids and names."""

    def _exact() -> dict[str, str] | None:
        there = _staying(ctx, namespace)
        ready = _ready(ctx, namespace)
        return ready if len(there) == len(ready) == wanted else None

    return ctx.wait(_exact, 55, f"{wanted} Ready pods", lambda: _state(ctx, namespace))


def _rolled_out(ctx: Context, namespace: str, image: str) -> float:
    """Wait until every pod has that image; return the seconds. CheckFailed when fewer than wanted were available."""
    began = time.monotonic()

    def _done() -> bool:
        staying = _staying(ctx, namespace)
        available = sum(is_ready(pod) for pod in staying)
        deployment = ctx.objects.get("Deployment", "sample", namespace)
        wanted, status = deployment["spec"]["replicas"], deployment.get("status", {})
        if available < wanted:
            raise CheckFailed(f"only {available} of {wanted} pods Ready during the update")
        images = [pod["spec"]["containers"][0]["image"] for pod in staying]
        seen = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
        return seen and status.get("updatedReplicas") == wanted and images == [image] * wanted

    ctx.wait(_done, 45, f"{image} rolled out", lambda: _state(ctx, namespace))
    return time.monotonic() - began


def _slices(ctx: Context, namespace: str) -> list[str]:
    slices = ctx.objects.list("EndpointSlice", namespace, labels="kubernetes.io/service-name=sample")
    points = [point for one in slices for point in one.get("endpoints") or []]
    return sorted(
        address for point in points if point.get("conditions", {}).get("ready") for address in point["addresses"]
    )


def _state(ctx: Context, namespace: str) -> str:
    """Say how the Deployment and its first pod that is not Ready are."""
    deployment = ctx.objects.find("Deployment", "sample", namespace) or {}
    status = deployment.get("status", {})
    counts = {key: value for key, value in status.items() if key.endswith("eplicas")}
    pods = _pods(ctx, namespace)
    unready = [pod["metadata"]["name"] for pod in pods if not is_ready(pod)]
    told = ctx.pod_state(namespace, unready[0]) if unready else f"{len(pods)} pods, all Ready"
    return f"{counts or 'no status'}; {told}"
