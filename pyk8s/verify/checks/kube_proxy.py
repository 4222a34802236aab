"""kube-proxy: ClusterIP and NodePort, inside and from outside the cluster."""

from __future__ import annotations

import functools

import httpx

from pyk8s.verify.checks import parts
from pyk8s.verify.context import Context
from pyk8s.verify.model import CheckFailed
from pyk8s.verify.registry import check

PROXY = "kube-proxy"
ASKED = 20
"""How often a Service with two pods is asked; that one pod gets all by chance happens once in half a million."""
OUTSIDE_SECONDS = 3


@check(
    "kube-proxy-cluster-ip",
    component=PROXY,
    title="A Service's address is reached from a pod on every node",
    suites=("smoke", "full"),
    timeout=90,
)
def service_address(ctx: Context) -> str:
    """Ask one Service from a client pod on each node that takes pods."""
    namespace = ctx.namespace()
    address = parts.service(ctx, namespace, "web", "web")
    nodes = parts.takers(ctx)
    clients = [parts.idle(ctx, f"client-{number}", node=node) for number, node in enumerate(nodes)]
    parts.start(ctx, namespace, parts.web(ctx, "web"), *clients)
    for node, pod in zip(nodes, clients, strict=True):
        parts.reach(ctx, namespace, pod["metadata"]["name"], address, node)
    return f"{address}:80 answered pods on {', '.join(nodes)}"


@check(
    "kube-proxy-node-port",
    component=PROXY,
    title="`kubectl expose pod nginx --type=NodePort --port=80` is reached on every node from outside",
    suites=("smoke", "full"),
    needs=("outside",),
    timeout=90,
)
def node_port(ctx: Context) -> str:
    """Expose nginx and fetch its page from here, through each node's address."""
    namespace = ctx.namespace()
    ctx.run_pod(ctx.pod("nginx", ctx.images.nginx), namespace)
    ctx.kubectl("--namespace", namespace, "expose", "pod", "nginx", "--type=NodePort", "--port=80")
    port = ctx.objects.get("Service", "nginx", namespace)["spec"]["ports"][0]["nodePort"]
    addresses = _node_addresses(ctx)
    with httpx.Client(trust_env=False, timeout=OUTSIDE_SECONDS) as browser:
        for name, address in addresses.items():
            page = functools.partial(_page, browser, f"http://{address}:{port}/")
            ctx.wait(page, 15, f"nginx answers on {address}:{port} ({name})")
    return f"port {port} answered with nginx's page on " + ", ".join(f"{n} ({a})" for n, a in addresses.items())


@check("kube-proxy-endpoints", component=PROXY, title="A Service follows its pods: one, two, none", timeout=90)
def endpoints(ctx: Context) -> str:
    """Scale a deployment and see by asking which pods answer."""
    namespace = ctx.namespace()
    address = parts.service(ctx, namespace, "web", "web")
    ctx.apply(parts.workload("Deployment", "web", parts.web(ctx, "web"), replicas=1), namespace)
    ctx.run_pod(parts.idle(ctx, "client"), namespace)

    def _answered_by(count: int, times: int) -> bool:
        return len({answer.server for answer in parts.ask(ctx, namespace, "client", address, times)}) == count

    for replicas, times in ((1, 3), (2, 10), (0, 1)):
        ctx.objects.patch("Deployment", "web", {"spec": {"replicas": replicas}}, namespace)
        parts.follows(ctx, namespace, "web", replicas)
        right = functools.partial(_answered_by, replicas, times)
        ctx.wait(right, 20, f"{address}:80 answered by {replicas} pods")
    return f"{address}:80 answered by 1 pod, by 2 after scaling up, by none after scaling to 0"


@check(
    "kube-proxy-affinity",
    component=PROXY,
    title="Traffic is spread over pods; ClientIP affinity keeps to one",
    timeout=90,
)
def affinity(ctx: Context) -> str:
    """Ask two Services before the same two pods, one with and one without session affinity."""
    namespace = ctx.namespace()
    spread = parts.service(ctx, namespace, "spread", "web")
    sticky = parts.service(ctx, namespace, "sticky", "web", sessionAffinity="ClientIP")
    backends = [parts.web(ctx, name, app="web") for name in ("web-0", "web-1")]
    parts.start(ctx, namespace, *backends, parts.idle(ctx, "client"))

    def _hits(address: str) -> dict[str, int]:
        servers = [answer.server for answer in parts.ask(ctx, namespace, "client", address, times=ASKED)]
        if len(servers) < ASKED:
            raise CheckFailed(f"{address}:80 answered {len(servers)} of {ASKED} requests")
        return {server: servers.count(server) for server in sorted(set(servers))}

    for name, address in (("spread", spread), ("sticky", sticky)):
        parts.follows(ctx, namespace, name, 2)
        parts.reach(ctx, namespace, "client", address)
    ctx.wait(lambda: len(_hits(spread)) == 2, 15, "both pods get traffic without affinity")
    spreading, sticking = _hits(spread), _hits(sticky)
    if len(sticking) != 1:
        raise CheckFailed(f"with affinity ClientIP {ASKED} requests went to {sticking}")
    return f"{ASKED} requests: {spreading} without affinity, {sticking} with ClientIP"


def _page(browser: httpx.Client, url: str) -> bool:
    try:
        answer = browser.get(url)
    except httpx.TransportError as error:
        raise OSError(str(error)) from error
    if answer.status_code != 200 or "nginx" not in answer.text:
        raise CheckFailed(f"{url} says {answer.status_code}: {answer.text[:100]!r}")
    return True


def _node_addresses(ctx: Context) -> dict[str, str]:
    if ctx.cluster:
        return {node.name: node.address for node in ctx.cluster.kubernetes_nodes}
    found = {}
    for node in ctx.objects.list("Node"):
        addresses = {one["type"]: one["address"] for one in node["status"]["addresses"]}
        found[node["metadata"]["name"]] = addresses.get("ExternalIP") or addresses["InternalIP"]
    return found
