"""Cluster DNS: names of Services, from pods on every node, where CoreDNS runs."""

from __future__ import annotations

import functools

from pyk8s.verify.checks import parts
from pyk8s.verify.context import Context
from pyk8s.verify.model import CheckFailed, CheckSkipped
from pyk8s.verify.registry import check

DEFAULT_DOMAIN = "cluster.local"


@check("dns", component="DNS", title="Pods on every node resolve the names of Services")
def resolve(ctx: Context) -> str:
    """Resolve the API's Service and one of our own from a pod on each node that takes pods."""
    server = ctx.objects.find("Service", "kube-dns", "kube-system")
    if server is None:
        raise CheckSkipped("CoreDNS is not installed: its image cannot be had here", expected=True)
    if not parts.endpoints(ctx, "kube-system", "kube-dns"):
        raise CheckFailed("the Service kube-dns has no ready pods: `kubectl -n kube-system get pods`")
    namespace = ctx.namespace()
    domain = ctx.cluster.config.cluster_domain if ctx.cluster else DEFAULT_DOMAIN
    api = ctx.objects.get("Service", "kubernetes", "default")["spec"]["clusterIP"]
    wanted = {
        f"kubernetes.default.svc.{domain}": api,
        f"web.{namespace}.svc.{domain}": parts.service(ctx, namespace, "web", "web"),
    }
    nodes = parts.takers(ctx)
    clients = [parts.idle(ctx, f"client-{number}", node=node) for number, node in enumerate(nodes)]
    for client in clients:
        client["spec"]["dnsPolicy"] = "ClusterFirst"
    parts.start(ctx, namespace, *clients)
    for node, client in zip(nodes, clients, strict=True):
        for name, address in wanted.items():
            told = functools.partial(_told, ctx, namespace, client["metadata"]["name"], name, address)
            ctx.wait(told, 15, f"{name} is {address} to a pod on {node}")
    said = ", ".join(f"{name} is {address}" for name, address in wanted.items())
    return f"{server['spec']['clusterIP']} said to pods on {', '.join(nodes)}: {said}"


def _told(ctx: Context, namespace: str, pod: str, name: str, address: str) -> bool:
    return address in ctx.exec(namespace, pod, ["nslookup", f"{name}."]).split()
