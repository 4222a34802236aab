"""The whole: stateless, stateful, batch and database workloads run."""

from __future__ import annotations

import datetime
import shlex

from pyk8s.verify.checks import parts
from pyk8s.verify.context import Context
from pyk8s.verify.model import CheckFailed
from pyk8s.verify.objects import Manifest
from pyk8s.verify.pods import condition, is_ready
from pyk8s.verify.registry import check

WORKLOADS = "workloads"
DATA = "/var/lib/pyk8s-verify"
"""Where volumes of a check stand on a node, a folder for each namespace; removed with the check."""


@check("workload-deployment", component=WORKLOADS, title="A Deployment of three runs three", suites=("smoke", "full"))
def deployment(ctx: Context) -> str:
    """Wait until the Deployment itself says that it is available."""
    namespace = ctx.namespace()
    ctx.apply(parts.workload("Deployment", "nginx", ctx.pod("nginx", ctx.images.nginx), replicas=3), namespace)
    ctx.wait(
        lambda: ctx.objects.get("Deployment", "nginx", namespace)["status"].get("availableReplicas") == 3,
        60,
        "three pods available",
        lambda: parts.unready(ctx, namespace),
    )
    nodes = sorted(pod["spec"]["nodeName"] for pod in ctx.objects.list("Pod", namespace))
    return f"3 of 3 available, on {', '.join(nodes)}"


@check("workload-daemonset", component=WORKLOADS, title="A DaemonSet runs on every node, control planes too")
def daemon_set(ctx: Context) -> str:
    """Compare the nodes of its pods with the nodes that should be there."""
    namespace = ctx.namespace()
    pod = parts.idle(ctx, "agent")
    pod["spec"]["tolerations"] = [{"operator": "Exists"}]
    ctx.apply(parts.workload("DaemonSet", "agent", pod), namespace)
    if ctx.cluster:
        expected = {node.name for node in ctx.cluster.kubernetes_nodes}
    else:
        expected = {node["metadata"]["name"] for node in ctx.objects.list("Node")} or {"any node"}

    def _ready_on() -> set[str]:
        found = ctx.objects.list("Pod", namespace)
        return {one["spec"]["nodeName"] for one in found if condition(one, "Ready").get("status") == "True"}

    what = f"a Ready pod on each of {sorted(expected)}"
    ctx.wait(
        lambda: _ready_on() == expected,
        60,
        what,
        lambda: f"Ready on {sorted(_ready_on())}; {parts.unready(ctx, namespace)}",
    )
    return f"{len(expected)} of {len(expected)}: {', '.join(sorted(expected))}"


@check(
    "workload-statefulset",
    component=WORKLOADS,
    title="A redis StatefulSet keeps its data over its pod's death",
    timeout=150,
)
def stateful_set(ctx: Context) -> str:
    """Write, delete the pod, read from the one that takes its place: another pod, the same name and volume."""
    namespace = ctx.namespace()
    node = parts.takers(ctx)[-1]
    ctx.apply(_volume(namespace, node))
    ctx.defer(lambda: _remove_data(ctx, namespace, node))
    ctx.apply(_redis(ctx, namespace), namespace)
    first = ctx.wait_ready(namespace, "redis-0")
    ctx.exec(namespace, "redis-0", ["redis-cli", "SET", "kept", namespace])
    ctx.objects.delete("Pod", "redis-0", namespace)

    def _another() -> str:
        pod = ctx.objects.get("Pod", "redis-0", namespace)
        alive = pod["metadata"]["uid"] != first["metadata"]["uid"] and is_ready(pod)
        return ctx.exec(namespace, "redis-0", ["redis-cli", "--raw", "GET", "kept"]).strip() if alive else ""

    kept = ctx.wait(_another, 110, "redis-0 answers again", lambda: ctx.pod_state(namespace, "redis-0"))
    if kept != namespace:
        raise CheckFailed(f"{namespace!r} was written, the new pod says {kept!r}")
    return f"redis-0 on {node} died and came back as another pod; the key still says {kept!r}"


@check("workload-job", component=WORKLOADS, title="A Job completes three times, two at a time")
def job(ctx: Context) -> str:
    """Wait for the Job to say that it is complete."""
    namespace = ctx.namespace()
    ctx.apply(_job(ctx, ["true"], completions=3, parallelism=2), namespace)
    done = ctx.wait(lambda: _ended(ctx, namespace), 60, "the Job ends", lambda: parts.unready(ctx, namespace))
    status = ctx.objects.get("Job", "job", namespace)["status"]
    if done["type"] != "Complete" or status.get("succeeded") != 3:
        raise CheckFailed(f"{done['type']} with {status.get('succeeded', 0)} of 3: {done.get('message')}")
    return f"{status['succeeded']} of 3 succeeded, {status.get('failed', 0)} failed"


@check("workload-failing-job", component=WORKLOADS, title="A Job that cannot succeed gives up and says why")
def failing_job(ctx: Context) -> str:
    """Run a command that fails, with no retries allowed."""
    namespace = ctx.namespace()
    ctx.apply(_job(ctx, ["false"], backoffLimit=0), namespace)
    done = ctx.wait(lambda: _ended(ctx, namespace), 60, "the Job ends", lambda: parts.unready(ctx, namespace))
    if done["type"] != "Failed" or done.get("reason") != "BackoffLimitExceeded":
        raise CheckFailed(f"the Job ended as {done['type']}: {done.get('reason')}")
    return f"{done['type']}: {done['reason']}, {done.get('message')}"


@check("workload-cronjob", component=WORKLOADS, title="A CronJob runs a Job when its time has come", timeout=100)
def cron_job(ctx: Context) -> str:
    """Let the last run be some minutes ago, so that one is due at once; the controller works the rest out itself.

    It catches up on a run that was missed, as it does after an outage. Without that one would wait for the minute.
    """
    namespace = ctx.namespace()
    template = _job(ctx, ["date"])["spec"]
    manifest = {
        "apiVersion": "batch/v1" if ctx.version >= 21 else "batch/v1beta1",
        "kind": "CronJob",
        "metadata": {"name": "cron"},
        "spec": {"schedule": "* * * * *", "concurrencyPolicy": "Forbid", "jobTemplate": {"spec": template}},
    }
    ctx.apply(manifest, namespace)
    last = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=3)
    status = {"status": {"lastScheduleTime": f"{last:%Y-%m-%dT%H:%M:%SZ}"}}
    ctx.objects.patch("CronJob", "cron", status, namespace, sub="status")

    def _succeeded() -> Manifest | None:
        jobs = ctx.objects.list("Job", namespace)
        return next((one for one in jobs if condition(one, "Complete").get("status") == "True"), None)

    done = ctx.wait(_succeeded, 90, "a Job of the CronJob succeeded", lambda: parts.unready(ctx, namespace))
    owner = done["metadata"]["ownerReferences"][0]
    return f"{owner['kind']} {owner['name']} ran {done['metadata']['name']}, which succeeded"


def _job(ctx: Context, command: list[str], **spec: object) -> Manifest:
    pod = ctx.pod("job", ctx.images.busybox, command=command, restartPolicy="Never")
    template = {"metadata": {"labels": pod["metadata"]["labels"]}, "spec": pod["spec"]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "job"},
        "spec": {"backoffLimit": 2, "template": template, **spec},
    }


def _ended(ctx: Context, namespace: str) -> Manifest | None:
    found = ctx.objects.get("Job", "job", namespace)
    return next(
        (one for kind in ("Complete", "Failed") if (one := condition(found, kind)).get("status") == "True"), None
    )


def _volume(namespace: str, node: str) -> Manifest:
    """A folder of one node as a volume; its class, which is nobody else's, binds it to the claim of redis."""
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": namespace},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "64Mi"},
            "hostPath": {"path": f"{DATA}/{namespace}", "type": "DirectoryOrCreate"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}},
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": namespace,
        },
    }


def _redis(ctx: Context, namespace: str) -> Manifest:
    command = ["redis-server", "--dir", "/data", "--appendonly", "yes", "--appendfsync", "always"]
    pod = ctx.pod("redis", ctx.images.redis, command=command)
    pod["spec"]["containers"][0] |= {
        "readinessProbe": {"tcpSocket": {"port": 6379}, "periodSeconds": 1},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    claim = {
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "64Mi"}},
            "storageClassName": namespace,
        },
    }
    return parts.workload("StatefulSet", "redis", pod, serviceName="redis", replicas=1, volumeClaimTemplates=[claim])


def _remove_data(ctx: Context, namespace: str, node: str) -> None:
    """remove the volume's folder"""
    ctx.objects.delete("StatefulSet", "redis", namespace)
    ctx.objects.delete("Pod", "redis-0", namespace, grace=0)
    if any(machine.name == node for machine in ctx.nodes):
        folder = shlex.quote(f"{DATA}/{namespace}")
        ctx.on(node).run(f"rm -rf {folder} && rmdir --ignore-fail-on-non-empty {DATA}")
        return
    pod = ctx.pod("cleaner", ctx.images.busybox, command=["rm", "-rf", f"/host/{namespace}"], restartPolicy="Never")
    pod["spec"] |= {"nodeName": node, "volumes": [{"name": "host", "hostPath": {"path": DATA}}]}
    pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "host", "mountPath": "/host"}]
    ctx.apply(pod, namespace)
    parts.finished(ctx, namespace, "cleaner", 30)
