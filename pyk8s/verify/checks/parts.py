"""What several checks are built from: a small web server, workloads around a pod, a client inside the cluster."""

from __future__ import annotations

import dataclasses
import zlib

from pyk8s.verify.context import Context
from pyk8s.verify.model import CheckFailed
from pyk8s.verify.objects import Manifest
from pyk8s.verify.pods import is_ready

WEB_PORT = 8080
WEB_SCRIPT = (
    "mkdir -p /www/cgi-bin; printf '#!/bin/sh\\necho; echo $REMOTE_ADDR $(hostname)\\n' >/www/cgi-bin/who; "
    "chmod +x /www/cgi-bin/who; exec httpd -f -h /www -p "
)
FETCH_SECONDS = 3


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the web server says: the address it saw the caller come from, and the pod that it is."""

    caller: str
    server: str


def web(ctx: Context, name: str, *, node: str | None = None, app: str = "", host_port: int = 0) -> Manifest:
    """Return a pod that says who it is on WEB_PORT, see Answer; busybox's httpd, nothing to configure.

    It is ready when it listens, so that nobody asks too early. With a ``host_port`` it has its node's network instead
    of one of its own, and listens there: it stands for what is outside of the pod network.
    """
    port = host_port or WEB_PORT
    command = ["sh", "-c", f"{WEB_SCRIPT}{port}"]
    more = {"hostNetwork": True} if host_port else {}
    pod = ctx.pod(name, ctx.images.busybox, command=command, node=node, labels={"app": app or name}, **more)
    pod["spec"]["containers"][0]["readinessProbe"] = {"tcpSocket": {"port": port}, "periodSeconds": 1}
    return pod


def host_port(namespace: str) -> int:
    """Return a port on nodes for a check's web pod, below NodePorts; two runs at once hardly ever have the same."""
    return 20_000 + zlib.crc32(namespace.encode()) % 10_000


def idle(ctx: Context, name: str, *, node: str | None = None) -> Manifest:
    """Return a pod that only waits, to run commands in."""
    return ctx.pod(name, ctx.images.busybox, command=["sleep", "600"], node=node)


def away_from(node: str) -> Manifest:
    """Return the affinity of a pod that may run on any node but this one."""
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "NotIn", "values": [node]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}


def rather_on(node: str) -> Manifest:
    """Return the affinity of a pod that runs on this node as long as it can, and then elsewhere."""
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}
    preferred = [{"weight": 100, "preference": term}]
    return {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}


def start(ctx: Context, namespace: str, *pods: Manifest, timeout: float = 60) -> list[Manifest]:
    """Create pods together, then wait until each is Ready; returns them as stored, in the same order."""
    for pod in pods:
        ctx.apply(pod, namespace)
    return [ctx.wait_ready(namespace, pod["metadata"]["name"], timeout) for pod in pods]


def container(ctx: Context, namespace: str, name: str) -> Manifest:
    """Return the status of the pod's first container; empty before there is one."""
    statuses = ctx.objects.get("Pod", name, namespace)["status"].get("containerStatuses")
    found: Manifest = statuses[0] if statuses else {}
    return found


def finished(ctx: Context, namespace: str, name: str, timeout: float = 60) -> Manifest:
    """Wait until the pod's first container has ended and return how (``exitCode``, ``reason``, ``startedAt``)."""

    def _look() -> Manifest | None:
        end: Manifest | None = container(ctx, namespace, name).get("state", {}).get("terminated")
        return end

    return ctx.wait(_look, timeout, f"pod {name} ended", lambda: ctx.pod_state(namespace, name))


def event(ctx: Context, namespace: str, name: str, reason: str, timeout: float = 20) -> str:
    """Wait for an event of that reason about the object of that name and return its message."""
    fields = f"involvedObject.name={name},reason={reason}"
    found = ctx.wait(lambda: ctx.objects.list("Event", namespace, fields=fields), timeout, f"event {reason} of {name}")
    return " ".join(str(found[-1].get("message") or reason).split())


def workload(kind: str, name: str, pod: Manifest, **spec: object) -> Manifest:
    """Return a Deployment, DaemonSet or StatefulSet of pods like the one given."""
    labels = pod["metadata"]["labels"]
    template = {"metadata": {"labels": labels}, "spec": pod["spec"]}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": labels}, "template": template, **spec},
    }


def service(ctx: Context, namespace: str, name: str, app: str, **spec: object) -> str:
    """Create a Service on port 80 before the web pods of that app and return its address."""
    manifest = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": app}, "ports": [{"port": 80, "targetPort": WEB_PORT}], **spec},
    }
    return str(ctx.apply(manifest, namespace)["spec"]["clusterIP"])


def takers(ctx: Context) -> list[str]:
    """Return the names of the nodes that take ordinary pods; CheckFailed when there is none."""
    if names := ctx.schedulable():
        return names
    raise CheckFailed("no node is Ready and takes pods: `kubectl get nodes`")


def endpoints(ctx: Context, namespace: str, name: str, *, ready: bool = True) -> list[str]:
    """Return the addresses that the Service sends traffic to or, with ``ready=False``, withholds it from."""
    subsets = ctx.objects.get("Endpoints", name, namespace).get("subsets") or []
    key = "addresses" if ready else "notReadyAddresses"
    return sorted(address["ip"] for subset in subsets for address in subset.get(key) or [])


def follows(ctx: Context, namespace: str, name: str, count: int, timeout: float = 60) -> None:
    """Wait until the Service knows that many ready pods. Cheaper than to ask until so many answer."""
    ctx.wait(
        lambda: len(endpoints(ctx, namespace, name)) == count,
        timeout,
        f"the Service {name} knows {count} ready pods",
        lambda: unready(ctx, namespace),
    )


def ask(ctx: Context, namespace: str, pod: str, host: str, times: int = 1) -> list[Answer]:
    """Ask a Service from inside a pod, ``times`` times; what was not answered is left out."""
    fetch = f"timeout {FETCH_SECONDS} wget -qO- http://{host}/cgi-bin/who"
    output = ctx.exec(namespace, pod, ["sh", "-c", f"for i in $(seq {times}); do {fetch}; done 2>/dev/null; true"])
    return [_answer(line.split()) for line in output.splitlines() if len(line.split()) == 2]


def ask_all(ctx: Context, namespace: str, pod: str, addresses: list[str]) -> dict[str, Answer]:
    """Ask web pods at these addresses from inside a pod, all at once; who does not answer is left out."""
    fetch = f"timeout {FETCH_SECONDS} wget -qO- http://$a:{WEB_PORT}/cgi-bin/who 2>/dev/null"
    script = f'for a in {" ".join(addresses)}; do (echo "$a $({fetch})") & done; wait'
    words = [line.split() for line in ctx.exec(namespace, pod, ["sh", "-c", script]).splitlines()]
    return {line[0]: _answer(line[1:]) for line in words if len(line) == 3}


def unready(ctx: Context, namespace: str) -> str:
    """Say how the pods are that are not Ready, for failures."""
    names = [pod["metadata"]["name"] for pod in ctx.objects.list("Pod", namespace) if not is_ready(pod)]
    return "; ".join(ctx.pod_state(namespace, name) for name in names[:3]) or "all pods are Ready, or there are none"


def reach(ctx: Context, namespace: str, pod: str, host: str, where: str = "", timeout: float = 15) -> Answer:
    """Wait until a Service answers a pod and return what it says."""
    what = f"{host}:80 answers" + (f" a pod on {where}" if where else "")
    return ctx.wait(lambda: ask(ctx, namespace, pod, host), timeout, what)[0]


def _answer(words: list[str]) -> Answer:
    """IPv4 addresses are written as such, also by a server that listens on IPv6."""
    return Answer(words[0].strip("[]").removeprefix("::ffff:"), words[1])
