"""A worker dies, is cut off, reboots: its work runs elsewhere in time, and nothing runs twice."""

from __future__ import annotations

import contextlib
import dataclasses

from pyk8s.cluster.model import Node
from pyk8s.health import nodes as health
from pyk8s.verify.checks import parts
from pyk8s.verify.context import Context
from pyk8s.verify.faults.places import addresses, processes
from pyk8s.verify.faults.profile import profile
from pyk8s.verify.faults.stage import READ_BOUND, Stage
from pyk8s.verify.model import CheckFailed, CheckSkipped
from pyk8s.verify.objects import Manifest
from pyk8s.verify.pods import condition, is_ready
from pyk8s.verify.registry import fault_check

NEEDS = ("nodes", "two-workers")
MOVER, KEEPER = "mover", "keeper"
"""The Deployment and the StatefulSet on the worker that a fault hits."""
REPLICAS = 2
SHARED = "/srv/shared"
"""A folder that all machines share, as an NFS export mounted everywhere would be; the lab's workers have one."""
HOME_BOUND = 90.0
"""Seconds until a machine that comes back is a Ready node, and runs what it should and no more."""
DECLARED_BOUND = 30.0
"""Seconds until a StatefulSet's pod runs elsewhere once its node is declared dead."""


@fault_check(
    "fault-worker-dies",
    component="nodes",
    title="A worker dies: NotReady in time, its pods run elsewhere in time, and nothing runs twice when it is back",
    needs=NEEDS,
    timeout=900,
)
def worker_dies(ctx: Context) -> str:
    """Let the machine die, wait for what the profile promises, and let it come back."""
    with Stage(ctx) as stage:
        victim = victim_of(stage)
        mark = _settle(stage, victim)
        with stage.harm(lambda faults: faults.crash(victim)):
            began = stage.now
            _noticed(stage, victim, began)
            _moved(stage, victim, began)
            stage.services_answer(profile(stage.cluster).noticed, without=(victim.name,))
        _home(stage, victim, MOVER, mark, REPLICAS)
    return stage.evidence()


@fault_check(
    "fault-worker-stateful",
    component="nodes",
    title="A StatefulSet's pod waits until its dead node is declared dead, then runs elsewhere, once, with its data",
    needs=NEEDS,
    timeout=900,
)
def worker_stateful(ctx: Context) -> str:
    """Let the machine die, see the pod wait, and declare the node dead as ``fab nodes.declare_dead`` does."""
    with Stage(ctx) as stage, contextlib.ExitStack() as until_back:
        victim = victim_of(stage)
        told = _keeper(stage, victim)
        with stage.harm(lambda faults: faults.crash(victim)):
            began = stage.now
            _noticed(stage, victim, began)
            ctx.wait(
                lambda: _keeper_leaving(ctx, stage.namespace), profile(stage.cluster).moved + 60, "keeper-0 evicted"
            )
            stage.watch(5)
            if _keeper_on(ctx, stage.namespace) != victim.name:
                raise CheckFailed(f"keeper-0 left {victim.name} though nobody declared that dead")
            stage.say(f"keeper-0, evicted after {stage.now - began - 5:.0f} s, waited for {victim.name}")
            declared = stage.now
            until_back.enter_context(stage.harm(lambda faults: faults.declare_dead(victim)))
            ctx.wait(lambda: _keeper_on(ctx, stage.namespace) not in {"", victim.name}, 90, "keeper-0 runs elsewhere")
            stage.measure("until keeper-0 runs elsewhere, declared dead", stage.now - declared, DECLARED_BOUND)
            _same_data(stage, told)
        _home(stage, victim, KEEPER, _mark(stage, KEEPER), 1)
        stage.say(health.declare_alive(stage.cluster, victim))
    return stage.evidence()


@fault_check(
    "fault-worker-cut-off",
    component="nodes",
    title="A worker is cut off from the control plane: its pods go on, are replaced elsewhere in time, and end later",
    needs=NEEDS,
    timeout=900,
)
def worker_cut_off(ctx: Context) -> str:
    """Drop all packets between a worker and the control planes, both ways."""
    with Stage(ctx) as stage:
        victim = victim_of(stage)
        mark = _settle(stage, victim)
        before = processes(ctx, victim, mark)
        with stage.harm(lambda faults: faults.cut(victim, addresses(ctx, stage.cluster.control_plane))):
            began = stage.now
            _noticed(stage, victim, began)
            _moved(stage, victim, began)
            if (after := processes(ctx, victim, mark)) != before:
                stage.fail(f"{sorted(before)} of the check ran on {victim.name}, cut off {sorted(after)} (processes)")
            else:
                stage.say(f"cut off, {victim.name} went on running the same {len(before)}")
            stage.services_answer(READ_BOUND, without=(victim.name,))
        _home(stage, victim, MOVER, mark, REPLICAS)
    return stage.evidence()


@fault_check(
    "fault-node-reboots",
    component="nodes",
    title="A worker reboots: everything on it comes back by itself",
    needs=NEEDS,
    timeout=400,
)
def node_reboots(ctx: Context) -> str:
    """Reboot the machine in good order, touch nothing, and see units, node, pods and Services come back."""
    with Stage(ctx) as stage:
        victim = victim_of(stage)
        before = lives(ctx, victim)
        began = stage.strike(lambda faults: faults.reboot(victim))
        ctx.wait(lambda: not _units_down(ctx, victim), HOME_BOUND, "its units run", lambda: _units_down(ctx, victim))

        def _alive() -> bool:
            ready = {one["metadata"]["name"] for one in on_node(ctx, victim) if is_ready(one)}
            now = lives(ctx, victim)
            return all(name in ready and now[name].container != life.container for name, life in before.items())

        ctx.wait(_alive, HOME_BOUND, f"{', '.join(sorted(before))} Ready again on {victim.name}, in new containers")
        ctx.wait(lambda: node_ready(ctx, victim), HOME_BOUND, f"{victim.name} Ready")
        stage.calm(3, 90)
        stage.measure(f"until {victim.name} and its pods are back", stage.now - began, HOME_BOUND)
        stage.services_answer(profile(stage.cluster).noticed, without=(victim.name,))
        stage.say(f"{len(before)} pods run on, each in a new container")
    return stage.evidence()


def victim_of(stage: Stage) -> Node:
    """Return a worker that is no control plane and runs a pod of the run's Service: the last of the inventory."""
    able = [node for node in stage.cluster.workers if not node.is_control_plane]
    for node in reversed(able):
        if on_node(stage.ctx, node):
            return node
    raise CheckSkipped("needs a worker that is no control plane, with a pod of the Service", expected=not able)


def _mark(stage: Stage, name: str) -> str:
    """Return what the command lines of a workload's processes hold, and no others."""
    return f"{name}-of-{stage.namespace}"


def _settle(stage: Stage, victim: Node) -> str:
    """Run a Deployment of which the victim has a pod; return the mark of its processes."""
    ctx, mark = stage.ctx, _mark(stage, MOVER)
    pod = ctx.pod(MOVER, ctx.images.busybox, command=["sh", "-c", "while :; do sleep 1; done", mark])
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": MOVER}}}
    spread = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": term}]}
    pod["spec"]["affinity"] = {"podAntiAffinity": spread, **parts.rather_on(victim.name)}
    ctx.apply(parts.workload("Deployment", MOVER, pod, replicas=REPLICAS), stage.namespace)
    ctx.wait(lambda: _available(ctx, stage.namespace, MOVER) == REPLICAS, 60, f"Deployment {MOVER} whole",
             lambda: parts.unready(ctx, stage.namespace))  # fmt: skip
    if not processes(ctx, victim, mark):
        raise CheckFailed(f"no pod of the check runs on {victim.name}")
    return mark


def _available(ctx: Context, namespace: str, name: str) -> int:
    status = ctx.objects.get("Deployment", name, namespace).get("status", {})
    return int(status.get("availableReplicas") or 0)


def _noticed(stage: Stage, victim: Node, began: float) -> None:
    """Measure how long the node is Ready though nobody is there."""
    bound = profile(stage.cluster).noticed
    stage.ctx.wait(lambda: not node_ready(stage.ctx, victim), bound + 30, f"{victim.name} NotReady")
    stage.measure(f"until {victim.name} is NotReady", stage.now - began, bound)


def _moved(stage: Stage, victim: Node, began: float) -> None:
    """Measure how long it takes until all pods of the Deployment run on other nodes."""
    ctx, bound = stage.ctx, profile(stage.cluster).moved

    def _elsewhere() -> bool:
        pods = ctx.objects.list("Pod", stage.namespace, labels=f"app={MOVER}")
        return bool(sum(is_ready(pod) and pod["spec"].get("nodeName") != victim.name for pod in pods) >= REPLICAS)

    ctx.wait(
        _elsewhere,
        bound + 60,
        f"{REPLICAS} pods of {MOVER} Ready elsewhere",
        lambda: parts.unready(ctx, stage.namespace),
    )
    stage.measure("until its pods run elsewhere", stage.now - began, bound)


def _home(stage: Stage, victim: Node, name: str, mark: str, replicas: int) -> None:
    """See that the node is Ready again, and that no pod of the workload and no process of them is there twice."""
    ctx, began = stage.ctx, stage.now
    ctx.wait(lambda: node_ready(ctx, victim), HOME_BOUND, f"{victim.name} Ready again")

    def _exact() -> bool:
        pods = ctx.objects.list("Pod", stage.namespace, labels=f"app={name}")
        running = sum(len(processes(ctx, node, mark)) for node in stage.cluster.workers)
        counts.update(pods=len(pods), processes=running)
        return bool(len(pods) == running == replicas)

    counts: dict[str, int] = {}
    ctx.wait(_exact, HOME_BOUND, f"{replicas} of {name}, and as many processes", lambda: f"{counts}")
    stage.calm(3, 90)
    stage.measure(f"until {victim.name} is back, nothing twice", stage.now - began, HOME_BOUND)


def node_ready(ctx: Context, node: Node) -> bool:
    """Whether the API calls a node Ready."""
    return bool(condition(ctx.objects.get("Node", node.name), "Ready").get("status") == "True")


def on_node(ctx: Context, node: Node) -> list[Manifest]:
    """Return the pods of this run's Service on a node."""
    pods = ctx.objects.list("Pod", labels="app=web", fields=f"spec.nodeName={node.name}")
    return [pod for pod in pods if pod["metadata"]["namespace"] in ctx.session.namespaces]


@dataclasses.dataclass(frozen=True)
class Life:
    """What tells one life of a container from another."""

    container: str
    restarts: int


def lives(ctx: Context, node: Node) -> dict[str, Life]:
    """Return the containers of the Service's pods on a node, by pod."""
    found = {}
    for pod in on_node(ctx, node):
        status = (pod["status"].get("containerStatuses") or [{}])[0]
        found[pod["metadata"]["name"]] = Life(status.get("containerID", ""), status.get("restartCount", 0))
    return found


def _units_down(ctx: Context, node: Node) -> str:
    units = "haproxy containerd pod-network kubelet kube-proxy"
    states = ctx.on(node).run(f"systemctl is-active {units}", check=False).stdout.split()
    return ", ".join(unit for unit, state in zip(units.split(), states, strict=True) if state != "active")


def _keeper(stage: Stage, victim: Node) -> str:
    """Run a StatefulSet of one on the victim, which writes a word down; return it, "" where no data can follow."""
    ctx = stage.ctx
    shared = all(ctx.on(node).run(f"mountpoint -q {SHARED}", check=False).ok for node in stage.cluster.workers)
    word = f"written on {victim.name} by {stage.namespace}" if shared else ""
    folder = f"{SHARED}/{stage.namespace}"
    volume = {"hostPath": {"path": folder, "type": "DirectoryOrCreate"}} if shared else {"emptyDir": {}}
    script = f"[ -s /data/word ] || echo '{word}' >/data/word; while :; do sleep 1; done"
    pod = ctx.pod(KEEPER, ctx.images.busybox, command=["sh", "-c", script, _mark(stage, KEEPER)])
    pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    pod["spec"]["volumes"] = [{"name": "data", **volume}]
    pod["spec"]["affinity"] = parts.rather_on(victim.name)
    ctx.apply(parts.workload("StatefulSet", KEEPER, pod, replicas=1, serviceName=KEEPER), stage.namespace)
    if shared:
        ctx.defer(lambda: ctx.on(ctx.first_reached(stage.cluster.workers)).run(f"rm -rf {folder}"))
    ctx.wait(lambda: _keeper_on(ctx, stage.namespace) == victim.name, 60, f"keeper-0 runs on {victim.name}",
             lambda: parts.unready(ctx, stage.namespace))  # fmt: skip
    return word


def _keeper_on(ctx: Context, namespace: str) -> str:
    """Return the node of keeper-0, "" when there is none or it is not Ready; a dead node's pod is as it last was."""
    pod = ctx.objects.find("Pod", "keeper-0", namespace)
    started = pod and pod.get("status", {}).get("phase") == "Running"
    return str(pod["spec"].get("nodeName", "")) if pod and started else ""


def _keeper_leaving(ctx: Context, namespace: str) -> bool:
    return "deletionTimestamp" in ctx.objects.get("Pod", "keeper-0", namespace)["metadata"]


def _same_data(stage: Stage, told: str) -> None:
    if not told:
        stage.say(f"its data could not follow: the workers share no {SHARED}")
        return
    found = stage.ctx.wait(lambda: stage.ctx.exec(stage.namespace, "keeper-0", ["cat", "/data/word"]), 20, "its data")
    if found.strip() != told:
        stage.fail(f"keeper-0 found {found.strip()!r} instead of {told!r}")
    stage.say(f"it found what was {told.partition(' by ')[0]}")
