"""kubelet: it runs the pods it is given, probes them, restarts them, reports."""

from __future__ import annotations

import json
import time

from pyk8s.verify.checks import parts
from pyk8s.verify.context import Context
from pyk8s.verify.model import CheckFailed
from pyk8s.verify.objects import Manifest
from pyk8s.verify.registry import check

KUBELET = "kubelet"
MEMORY_LIMIT = "48Mi"
MEMORY_TAKEN = "256M"
"""What the container tries to take: bounded, so that a node without limits survives the question."""


@check("kubelet-apply", component=KUBELET, title="`kubectl apply -f` of a pod runs it", suites=("smoke", "full"))
def apply(ctx: Context) -> str:
    """Give kubectl a manifest and see the pod run."""
    namespace = ctx.namespace()
    manifest = ctx.pod("nginx", ctx.images.nginx)
    begin = time.monotonic()
    said = ctx.kubectl("apply", "--namespace", namespace, "--filename", "-", stdin=json.dumps(manifest)).strip()
    pod = ctx.wait_ready(namespace, "nginx")
    return f"{said}; it runs on {pod['spec']['nodeName']} after {time.monotonic() - begin:.1f} s"


@check("kubelet-liveness", component=KUBELET, title="A failing liveness probe restarts the container")
def liveness(ctx: Context) -> str:
    """Run a container whose probe never succeeds, and see it restarted because of that."""
    namespace = ctx.namespace()
    ctx.apply(_probed(ctx, "mortal", "livenessProbe", "/alive"), namespace)
    count = ctx.wait(
        lambda: int(parts.container(ctx, namespace, "mortal").get("restartCount", 0)),
        60,
        "the container restarted",
        lambda: ctx.pod_state(namespace, "mortal"),
    )
    return f"{count} restart; {parts.event(ctx, namespace, 'mortal', 'Unhealthy').rstrip(': ')}"


@check("kubelet-readiness", component=KUBELET, title="A pod gets traffic only while its readiness probe succeeds")
def readiness(ctx: Context) -> str:
    """Turn readiness on and off by a file and follow the Service's endpoints."""
    namespace = ctx.namespace()
    parts.service(ctx, namespace, "shy", "shy")
    ctx.apply(_probed(ctx, "shy", "readinessProbe", "/ready"), namespace)
    withheld = ctx.wait(lambda: parts.endpoints(ctx, namespace, "shy", ready=False), 60, "the running pod withheld")
    ctx.wait(lambda: parts.container(ctx, namespace, "shy").get("state", {}).get("running"), 60, "the pod runs")
    if ready := parts.endpoints(ctx, namespace, "shy"):
        raise CheckFailed(f"the pod is not ready, yet the Service sends traffic to {ready}")
    ctx.exec(namespace, "shy", ["touch", "/ready"])
    ctx.wait(lambda: parts.endpoints(ctx, namespace, "shy") == withheld, 20, "the ready pod gets traffic")
    ctx.exec(namespace, "shy", ["rm", "/ready"])
    ctx.wait(lambda: not parts.endpoints(ctx, namespace, "shy"), 20, "the pod is withheld again")
    return f"{withheld[0]}: no endpoint while not ready, one while ready, none again afterwards"


@check("kubelet-logs", component=KUBELET, title="A container's output is in its logs")
def logs(ctx: Context) -> str:
    """Let a container say something that is not said elsewhere and read it."""
    namespace = ctx.namespace()
    said = f"hello from {namespace}"
    ctx.apply(ctx.pod("speaker", ctx.images.busybox, command=["echo", said], restartPolicy="Never"), namespace)
    parts.finished(ctx, namespace, "speaker")
    if (heard := ctx.logs(namespace, "speaker").strip()) != said:
        raise CheckFailed(f"the container said {said!r}, its log has {heard!r}")
    return f"the log has {heard!r}"


@check("kubelet-exec", component=KUBELET, title="A command runs inside a container", suites=("smoke", "full"))
def run_inside(ctx: Context) -> str:
    """Ask a container for its own address."""
    namespace = ctx.namespace()
    pod = ctx.run_pod(parts.idle(ctx, "inside"), namespace)
    heard, address = ctx.exec(namespace, "inside", ["hostname", "-i"]).split(), pod["status"]["podIP"]
    if address not in heard:
        raise CheckFailed(f"`hostname -i` inside says {heard}, the pod's address is {address}")
    return f"`hostname -i` in the pod on {pod['spec']['nodeName']} says {address}, as the API does"


@check("kubelet-memory-limit", component=KUBELET, title="A container that takes more memory than its limit is killed")
def memory_limit(ctx: Context) -> str:
    """Take a bounded amount above the limit; without enforcement the command would end with 0."""
    namespace = ctx.namespace()
    command = ["dd", "if=/dev/zero", "of=/dev/null", f"bs={MEMORY_TAKEN}", "count=1"]
    pod = ctx.pod("greedy", ctx.images.busybox, command=command, restartPolicy="Never")
    pod["spec"]["containers"][0]["resources"]["limits"] = {"memory": MEMORY_LIMIT}
    ctx.apply(pod, namespace)
    end = parts.finished(ctx, namespace, "greedy")
    seen = f"{end.get('reason')}, exit code {end['exitCode']}"
    if end.get("reason") != "OOMKilled" and end["exitCode"] != 137:
        raise CheckFailed(f"{MEMORY_TAKEN} could be taken with a limit of {MEMORY_LIMIT}: {seen}")
    return f"{seen}: {MEMORY_TAKEN} wanted with a limit of {MEMORY_LIMIT}"


@check("kubelet-volumes", component=KUBELET, title="ConfigMap, Secret and token volumes hold what they should")
def volumes(ctx: Context) -> str:
    """Read the three from inside; the API itself says whose token it is."""
    namespace = ctx.namespace()
    said = {kind: f"{kind} of {namespace}" for kind in ("ConfigMap", "Secret")}
    for kind, key in (("ConfigMap", "data"), ("Secret", "stringData")):
        manifest = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "it"}, key: {"key": said[kind]}}
        ctx.apply(manifest, namespace)
    pod = parts.idle(ctx, "reader")
    sources: Manifest = {
        "ConfigMap": {"configMap": {"name": "it"}},
        "Secret": {"secret": {"secretName": "it", "defaultMode": 0o400}},
        "token": {"projected": {"sources": [{"serviceAccountToken": {"path": "key", "expirationSeconds": 600}}]}},
    }
    pod["spec"]["volumes"] = [{"name": kind.lower()} | source for kind, source in sources.items()]
    pod["spec"]["containers"][0]["volumeMounts"] = [
        {"name": kind.lower(), "mountPath": f"/mnt/{kind}", "readOnly": True} for kind in sources
    ]
    ctx.run_pod(pod, namespace)
    read = {kind: ctx.exec(namespace, "reader", ["cat", f"/mnt/{kind}/key"]).strip() for kind in sources}
    for kind, text in said.items():
        if read[kind] != text:
            raise CheckFailed(f"the {kind} holds {text!r}, its volume {read[kind]!r}")
    if (owner := _owner(ctx, read["token"])) != f"system:serviceaccount:{namespace}:default":
        raise CheckFailed(f"the token in the volume is that of {owner!r}")
    return f"ConfigMap and Secret read as written; the API takes the token for {owner}"


@check("kubelet-environment", component=KUBELET, title="A container learns its pod's name, node and address")
def environment(ctx: Context) -> str:
    """Compare environment variables from fieldRef with what the API says of the pod."""
    namespace = ctx.namespace()
    fields = {"NAME": "metadata.name", "NODE": "spec.nodeName", "ADDRESS": "status.podIP"}
    command = ["sh", "-c", "echo $NAME $NODE $ADDRESS"]
    pod = ctx.pod("curious", ctx.images.busybox, command=command, restartPolicy="Never")
    pod["spec"]["containers"][0]["env"] = [
        {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in fields.items()
    ]
    ctx.apply(pod, namespace)
    parts.finished(ctx, namespace, "curious")
    heard, found = ctx.logs(namespace, "curious").strip(), ctx.objects.get("Pod", "curious", namespace)
    known = f"curious {found['spec']['nodeName']} {found['status']['podIP']}"
    if heard != known:
        raise CheckFailed(f"the API says {known!r}, the container {heard!r}")
    return f"container and API agree on {heard}"


@check("kubelet-init-containers", component=KUBELET, title="Init containers end before the others start")
def init_containers(ctx: Context) -> str:
    """Let an init container leave something that the main container reads, and compare the times."""
    namespace = ctx.namespace()
    pod = ctx.pod("ordered", ctx.images.busybox, command=["cat", "/shared/left"], restartPolicy="Never")
    main = pod["spec"]["containers"][0]
    main["volumeMounts"] = [{"name": "shared", "mountPath": "/shared"}]
    pod["spec"]["volumes"] = [{"name": "shared", "emptyDir": {}}]
    command = ["sh", "-c", "sleep 1; echo prepared >/shared/left"]
    pod["spec"]["initContainers"] = [main | {"name": "first", "command": command}]
    ctx.apply(pod, namespace)
    started = parts.finished(ctx, namespace, "ordered")["startedAt"]
    status, heard = ctx.objects.get("Pod", "ordered", namespace)["status"], ctx.logs(namespace, "ordered").strip()
    ended = status["initContainerStatuses"][0]["state"].get("terminated", {}).get("finishedAt", "never")
    if heard != "prepared" or ended == "never" or ended > started:
        raise CheckFailed(f"the init container ended {ended}, the other started {started} and read {heard!r}")
    return f"init container ended {ended}, the other started {started} and read {heard!r}"


def _probed(ctx: Context, name: str, probe: str, path: str) -> Manifest:
    pod = parts.idle(ctx, name)
    pod["spec"]["containers"][0][probe] = {
        "exec": {"command": ["test", "-f", path]},
        "periodSeconds": 1,
        "failureThreshold": 1,
        "timeoutSeconds": 5,
    }
    return pod


def _owner(ctx: Context, token: str) -> str:
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    path = "/apis/authentication.k8s.io/v1/tokenreviews"
    status = json.loads(ctx.objects.request("POST", path, review))["status"]
    if not status.get("authenticated"):
        raise CheckFailed(f"the API refuses the token in the volume: {status.get('error')}")
    return str(status["user"]["username"])
