"""The nodes as a whole: who is there, in which version, and whether they say that they live."""

from __future__ import annotations

from pyk8s.verify import probe
from pyk8s.verify.context import Context, repels
from pyk8s.verify.model import CheckFailed
from pyk8s.verify.objects import Manifest
from pyk8s.verify.pods import condition, is_ready
from pyk8s.verify.registry import check

RENEW_SECONDS = 25
"""A kubelet renews its lease every 10 s (kubernetes.io/docs/concepts/architecture/nodes, node heartbeats)."""


@check(
    "nodes-ready",
    component="nodes",
    title="Every expected node is Ready, and there is no other",
    suites=("smoke", "full"),
    timeout=30,
)
def ready(ctx: Context) -> str:
    """Compare the nodes with the inventory and look at their Ready condition."""
    nodes = {node["metadata"]["name"]: node for node in ctx.objects.list("Node")}
    wanted = {node.name for node in ctx.cluster.kubernetes_nodes} if ctx.cluster else set(nodes)
    problems = [f"{name} is not there" for name in sorted(wanted - set(nodes))]
    problems += [f"{name} is not in the inventory" for name in sorted(set(nodes) - wanted)]
    for name, node in sorted(nodes.items()):
        if not is_ready(node):
            told = condition(node, "Ready")
            problems.append(f"{name} is not Ready: {told.get('message') or told.get('reason') or 'it says nothing'}")
    if problems or not nodes:
        raise CheckFailed("; ".join(problems) or "there is no node")
    return f"{len(nodes)} of {len(wanted)} nodes Ready: {', '.join(sorted(nodes))}"


@check(
    "nodes-version",
    component="nodes",
    title="Every kubelet has the wanted version, or one that its apiserver supports",
    suites=("smoke", "full"),
    timeout=30,
)
def version(ctx: Context) -> str:
    """Compare kubelet versions with the inventory's, or with the version skew policy where there is none."""
    found = {node["metadata"]["name"]: kubelet_version(node) for node in ctx.objects.list("Node")}
    if ctx.cluster:
        wanted = f"v{ctx.cluster.config.kubernetes_version}"
        wrong = [
            f"{name} has {has}, wanted is {wanted}" for name, has in sorted(found.items()) if not same(has, wanted)
        ]
    else:
        older = 3 if ctx.version >= 25 else 2
        allowed = range(ctx.version - older, ctx.version + 1)
        wrong = [
            f"{name} has {has}, the apiserver is 1.{ctx.version}"
            for name, has in sorted(found.items())
            if int(has.split(".")[1]) not in allowed
        ]
    if wrong:
        raise CheckFailed("; ".join(wrong))
    return f"{len(found)} kubelets: {', '.join(sorted(set(found.values())))}"


@check(
    "nodes-control-plane",
    component="nodes",
    title="Control planes that are no workers keep ordinary pods away, workers do not",
    suites=("smoke", "full"),
    needs=("nodes",),
    timeout=30,
)
def control_plane(ctx: Context) -> str:
    """Compare the nodes' taints with their groups in the inventory."""
    nodes = ctx.cluster.kubernetes_nodes if ctx.cluster else ()
    found = {node["metadata"]["name"]: repels(node) for node in ctx.objects.list("Node")}
    wrong = [
        f"{node.name} should {'take' if node.is_worker else 'repel'} ordinary pods"
        for node in nodes
        if found.get(node.name, not node.is_worker) == node.is_worker
    ]
    if wrong:
        raise CheckFailed("; ".join(wrong))
    return f"{sum(not node.is_worker for node in nodes)} repel pods, {sum(node.is_worker for node in nodes)} take them"


@check(
    "nodes-lease",
    component="nodes",
    title="Every kubelet renews its node's lease, so that a dead one is noticed",
    timeout=40,
)
def lease(ctx: Context) -> str:
    """Watch every lease in kube-node-lease move on."""
    names = [node["metadata"]["name"] for node in ctx.objects.list("Node")]
    before, silent = _renewals(ctx), list(names)

    def _all_moved() -> bool:
        now = _renewals(ctx)
        silent[:] = [name for name in names if now.get(name) is None or now.get(name) == before.get(name)]
        return not silent

    ctx.wait(_all_moved, RENEW_SECONDS, "every lease renewed", lambda: f"not renewed by {', '.join(silent)}")
    return f"{len(names)} leases renewed within {RENEW_SECONDS} s"


@check(
    "kubelet-refuses-anonymous",
    component="kubelet",
    title="A kubelet refuses callers without a certificate, and has no read-only port",
    needs=("nodes",),
    timeout=40,
)
def kubelet_refuses_anonymous(ctx: Context) -> str:
    """Ask every kubelet for its pods as nobody."""
    nodes = ctx.cluster.kubernetes_nodes if ctx.cluster else ()
    for node in nodes:
        urls = (f"https://{node.address}:10250/pods", f"http://{node.address}:10255/pods")
        answer, unprotected = probe.fetch_all(ctx, node, [(url, probe.NOBODY) for url in urls])
        if answer.status != 401:
            raise CheckFailed(f"{node.name}: 401 was wanted from the kubelet, it says: {answer}")
        if unprotected.status:
            raise CheckFailed(f"{node.name}: the read-only port 10255 answers {unprotected.status}")
    return f"401 from {len(nodes)} kubelets, port 10255 closed"


def kubelet_version(node: Manifest) -> str:
    """Return the version that a node's kubelet says, ``v1.36.2``."""
    return str(node["status"]["nodeInfo"]["kubeletVersion"])


def same(found: str, wanted: str) -> bool:
    """Whether two versions are one, a build's own suffix (``v1.20.2-debian``, ``+k3s1``) not counted."""
    return found.split("+")[0].split("-")[0] == wanted


def _renewals(ctx: Context) -> dict[str, str | None]:
    leases = ctx.objects.list("Lease", "kube-node-lease")
    return {lease["metadata"]["name"]: lease["spec"].get("renewTime") for lease in leases}
