"""The Service that faults are seen through: three replicas for the whole run, spread over the workers."""

from __future__ import annotations

import dataclasses
from collections import Counter

from pyk8s.verify.checks import parts
from pyk8s.verify.context import Context

NAME = "web"
REPLICAS = 3
COMMAND = ["sh", "-c", f"mkdir -p /www; hostname >/www/index.html; exec httpd -f -p {parts.WEB_PORT} -h /www"]
SPREAD_SECONDS = 60


@dataclasses.dataclass(frozen=True)
class Web:
    """Where the Service stands, and how it is reached: by its ClusterIP on port 80, by its port on every node."""

    namespace: str
    address: str
    port: int


def create(ctx: Context) -> Web:
    """Create the Service in a namespace of the run, and wait until all replicas are ready."""
    namespace = ctx.namespace(of_run=True)
    pod = ctx.pod(NAME, ctx.images.busybox, command=COMMAND)
    pod["spec"]["containers"][0]["readinessProbe"] = {"tcpSocket": {"port": parts.WEB_PORT}, "periodSeconds": 1}
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": NAME}}}
    prefer = [{"weight": 100, "podAffinityTerm": term}]
    pod["spec"]["affinity"] = {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": prefer}}
    ctx.apply(parts.workload("Deployment", NAME, pod, replicas=REPLICAS), namespace)
    address = parts.service(ctx, namespace, NAME, NAME, type="NodePort")
    parts.follows(ctx, namespace, NAME, REPLICAS)
    port = ctx.objects.get("Service", NAME, namespace)["spec"]["ports"][0]["nodePort"]
    return Web(namespace, address, int(port))


def spread(ctx: Context, web: Web) -> None:
    """See that every worker that takes pods has a replica: what an earlier fault moved does not move back by itself."""

    def _even() -> bool:
        pods = [pod for pod in ctx.objects.list("Pod", web.namespace) if "deletionTimestamp" not in pod["metadata"]]
        where = Counter(pod["spec"].get("nodeName", "") for pod in pods)
        empty = [name for name in ctx.schedulable() if name not in where]
        crowded, count = where.most_common(1)[0]
        if len(pods) == REPLICAS and empty and count > 1:
            extra = next(pod for pod in pods if pod["spec"].get("nodeName") == crowded)
            ctx.objects.delete("Pod", extra["metadata"]["name"], web.namespace, grace=0)
            return False
        return len(pods) == REPLICAS and "" not in where

    ctx.wait(_even, SPREAD_SECONDS, "the Service's pods are spread over the workers")
    parts.follows(ctx, web.namespace, NAME, REPLICAS)
