"""A part of a node restarts, loses its rules, or has bad company: containers run on, Services answer."""

from __future__ import annotations

from collections.abc import Callable

from pyk8s.cluster.model import Node
from pyk8s.verify.checks import parts
from pyk8s.verify.checks.fault_workers import Life, lives, node_ready, victim_of
from pyk8s.verify.context import Context
from pyk8s.verify.faults.places import main_pid
from pyk8s.verify.faults.stage import Stage
from pyk8s.verify.model import CheckFailed, CheckSkipped
from pyk8s.verify.pods import condition
from pyk8s.verify.registry import fault_check

SERVICE_BOUND = 3.0
"""Seconds that a Service may be silent while nothing that carries it is touched: two cores are just busy."""
RULES_BOUND = 35.0
"""Seconds until kube-proxy's rules are back: it looks for them every 30 s (iptables.syncPeriod, its default)."""


@fault_check(
    "fault-kubelet-restarts",
    component="kubelet",
    title="A kubelet is killed and restarts: no container restarts, Services go on",
    timeout=150,
)
def kubelet_restarts(ctx: Context) -> str:
    """Kill it with SIGKILL and compare the lives of all containers on the node."""
    return _containers_live_on(ctx, "kubelet")


@fault_check(
    "fault-runtime-restarts",
    component="container runtime",
    title="The container runtime is killed and restarts: no container restarts, Services go on",
    timeout=150,
)
def runtime_restarts(ctx: Context) -> str:
    """Kill it with SIGKILL and compare the lives of all containers on the node."""
    return _containers_live_on(ctx, "containerd")


@fault_check(
    "fault-kube-proxy-restarts",
    component="kube-proxy",
    title="Killed, kube-proxy restarts: Services go on, its rules stay",
    timeout=150,
)
def kube_proxy_restarts(ctx: Context) -> str:
    """Kill it with SIGKILL on a worker."""
    with Stage(ctx) as stage:
        victim = victim_of(stage)
        pid = main_pid(ctx, victim, "kube-proxy")
        stage.strike(lambda faults: faults.kill(victim, "kube-proxy"))
        ctx.wait(lambda: main_pid(ctx, victim, "kube-proxy") not in {"0", pid}, 30, "kube-proxy runs again")
        stage.watch(8)
        stage.calm(2, 60)
        stage.services_answer(SERVICE_BOUND)
    return stage.evidence()


@fault_check(
    "fault-service-rules-flushed",
    component="kube-proxy",
    title="The rules of Services and masquerading are flushed: they are back within kube-proxy's sync period",
    timeout=200,
)
def rules_flushed(ctx: Context) -> str:
    """Remove them on a worker, and restart nothing."""
    if ctx.cluster and ctx.cluster.config.kube_proxy_mode == "nftables":
        raise CheckSkipped("in nftables mode kube-proxy looks after its rules once an hour only", expected=True)
    with Stage(ctx) as stage:
        victim = victim_of(stage)
        names = (f"ClusterIP from {victim.name}", f"NodePort at {victim.name}")
        seen_as = _from_a_pod(stage, victim)
        with stage.harm(lambda faults: faults.flush(victim)):
            began = stage.now
            ctx.wait(lambda: _failed_since(stage, names, began), 10, "the Service is gone once its rules are")
            if seen_as:
                ctx.wait(lambda: seen_as() == victim.address, RULES_BOUND + 30, "pods are masqueraded", seen_as)
                stage.measure("until pods are masqueraded again", stage.now - began, RULES_BOUND)
            stage.calm(1, RULES_BOUND + 30, *names)
        for name in names:
            stage.gone(name, RULES_BOUND)
        stage.services_answer(SERVICE_BOUND, without=(victim.name,))
    return stage.evidence()


@fault_check(
    "fault-bad-neighbours",
    component="kubelet",
    title="An image that is nowhere, a pod that crashes at once and a full node: the neighbours do not notice",
    timeout=200,
)
def bad_neighbours(ctx: Context) -> str:
    """Put all three beside the Service's pods on one node, and compare those pods' lives."""
    with Stage(ctx) as stage:
        victim = victim_of(stage)
        before = lives(ctx, victim)
        ctx.apply(ctx.pod("nowhere", "pyk8s.invalid/absent:1", node=victim.name), stage.namespace)
        ctx.apply(ctx.pod("crashing", ctx.images.busybox, command=["false"], node=victim.name), stage.namespace)
        taken = _fill(stage, victim)
        ctx.wait(
            lambda: parts.container(ctx, stage.namespace, "crashing").get("restartCount", 0) >= 2, 60, "it crashes"
        )
        ctx.wait(lambda: "waiting" in parts.container(ctx, stage.namespace, "nowhere").get("state", {}), 30, "no image")
        stage.say(f"{victim.name} full with {taken} mCPU more, a pod without image, one that crashed twice")
        stage.watch(5)
        _same_lives(stage, victim, before)
        stage.services_answer(SERVICE_BOUND)
    return stage.evidence()


def _containers_live_on(ctx: Context, unit: str) -> str:
    with Stage(ctx) as stage:
        victim = victim_of(stage)
        before, pid = lives(ctx, victim), main_pid(ctx, victim, unit)
        stage.strike(lambda faults: faults.kill(victim, unit))
        ctx.wait(lambda: main_pid(ctx, victim, unit) not in {"0", pid}, 30, f"{unit} runs again")
        stage.watch(10)
        ctx.wait(lambda: node_ready(ctx, victim), 60, f"{victim.name} Ready")
        ctx.run_pod(parts.idle(ctx, "after", node=victim.name), stage.namespace)
        stage.say(f"{unit} on {victim.name} restarted, and starts new pods")
        _same_lives(stage, victim, before)
        stage.services_answer(SERVICE_BOUND)
    return stage.evidence()


def _from_a_pod(stage: Stage, node: Node) -> Callable[[], str] | None:
    """Run a pod on the node, and a server in another's own network; return how to ask as whom it is seen there."""
    ctx, others = stage.ctx, [one for one in stage.cluster.kubernetes_nodes if one != node]
    if stage.cluster.config.pod_network == "none" or not others:
        return None
    port = parts.host_port(stage.namespace)
    server = parts.web(ctx, "outside", node=others[0].name, host_port=port)
    parts.start(ctx, stage.namespace, server, parts.idle(ctx, "inside", node=node.name))

    def _ask() -> str:
        answers = parts.ask(ctx, stage.namespace, "inside", f"{others[0].address}:{port}")
        return answers[0].caller if answers else "nobody: no answer"

    if (before := _ask()) != node.address:
        raise CheckFailed(f"a pod on {node.name} was seen as {before} before anything was flushed")
    return _ask


def _same_lives(stage: Stage, node: Node, before: dict[str, Life]) -> None:
    after = lives(stage.ctx, node)
    if not before:
        stage.fail(f"no pod of the Service ran on {node.name}: nothing was proven")
    changed = sorted(name for name in before if after.get(name) != before[name])
    if changed:
        stage.fail(f"the containers of {', '.join(changed)} on {node.name} are others than before, or restarted")
    else:
        stage.say(f"{len(before)} containers on {node.name} live on, none restarted")


def _failed_since(stage: Stage, names: tuple[str, ...], since: float) -> bool:
    moment = stage.zero + since
    return all(any(one.why for one in stage.probes[name].samples if one.asked >= moment) for name in names)


def _fill(stage: Stage, node: Node) -> int:
    """Take all CPU that is left on a node, in requests; return how much that was, in thousandths of a core.

    What still ends there is waited for, and the next pod asks for as much again: what becomes free meanwhile is not it.
    """
    ctx = stage.ctx
    ctx.wait(lambda: not _ending(ctx, node), 60, f"what ends on {node.name} is gone", lambda: _ending(ctx, node))
    room = _thousandths(ctx.objects.get("Node", node.name)["status"]["allocatable"]["cpu"])
    for pod in ctx.objects.list("Pod", fields=f"spec.nodeName={node.name}"):
        if pod["status"].get("phase") not in {"Succeeded", "Failed"}:
            asked = [one.get("resources", {}).get("requests", {}).get("cpu", "0") for one in pod["spec"]["containers"]]
            room -= sum(_thousandths(cpu) for cpu in asked)
    pod = parts.idle(ctx, "greedy", node=node.name)
    pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] = f"{room}m"
    ctx.run_pod(pod, stage.namespace)
    late = parts.idle(ctx, "late")
    late["spec"]["containers"][0]["resources"]["requests"]["cpu"] = f"{room}m"
    late["spec"]["nodeSelector"] = {"kubernetes.io/hostname": node.name}
    ctx.apply(late, stage.namespace)
    told = ctx.wait(lambda: _unschedulable(ctx, stage.namespace), 20, "no room is left for another pod")
    stage.say(f"the next pod waits: {told[:60]}")
    return room


def _ending(ctx: Context, node: Node) -> str:
    pods = ctx.objects.list("Pod", fields=f"spec.nodeName={node.name}")
    return ", ".join(pod["metadata"]["name"] for pod in pods if "deletionTimestamp" in pod["metadata"])


def _unschedulable(ctx: Context, namespace: str) -> str:
    pod = ctx.objects.get("Pod", "late", namespace)
    told = condition(pod, "PodScheduled")
    return str(told.get("message", "")) if told.get("reason") == "Unschedulable" else ""


def _thousandths(cpu: str) -> int:
    """Read a quantity of CPU (https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/)."""
    return int(cpu[:-1]) if cpu.endswith("m") else int(float(cpu) * 1000)
