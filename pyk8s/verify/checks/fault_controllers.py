"""The controllers and the scheduler restart in the middle of their work: it is done once, and to its end."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from pyk8s.cluster.model import Node
from pyk8s.lab.faults import Fault, Injector
from pyk8s.verify.checks import parts
from pyk8s.verify.context import Context
from pyk8s.verify.faults.places import leading, main_pid
from pyk8s.verify.faults.stage import START_SECONDS, Stage
from pyk8s.verify.objects import Manifest
from pyk8s.verify.registry import fault_check
from pyk8s.verify.wait import PASSING

LEADER_BOUND = 30.0
ROLLOUT_BOUND = 120.0
ROLLING, SURGE = 4, 1
PENDING = 3


@fault_check(
    "fault-controller-manager-restarts",
    component="kube-controller-manager",
    title="The controller manager restarts in the middle of a rollout: no pod too many, and the rollout ends",
    timeout=300,
)
def controller_manager_restarts(ctx: Context) -> str:
    """Kill the leader when the first new pod is there, and count the pods all the time."""
    with Stage(ctx) as stage:
        _rolling(stage, ctx.images.nginx)
        began = stage.now
        with _Count(stage) as count:
            _rolling(stage, ctx.images.nginx_other, again=True)
            ctx.wait(lambda: _updated(ctx, stage.namespace)[0] >= 1, 60, "the first new pod")
            leader = leading(ctx, "kube-controller-manager")
            pid = main_pid(ctx, leader, "kube-controller-manager")
            stage.strike(lambda faults: faults.kill(leader, "kube-controller-manager"))
            ctx.wait(lambda: _updated(ctx, stage.namespace) == (ROLLING, ROLLING), ROLLOUT_BOUND + 30,
                     "the rollout complete", lambda: str(_updated(ctx, stage.namespace)))  # fmt: skip
        if main_pid(ctx, leader, "kube-controller-manager") == pid:
            stage.fail(f"the controller manager on {leader.name} is the same process as before: it was not killed")
        if not count.asked:
            stage.fail("the pods were never counted")
        stage.measure("until the rollout was complete", stage.now - began, ROLLOUT_BOUND)
        if count.most > ROLLING + SURGE:
            stage.fail(f"{count.most} pods at one time, {ROLLING} wanted and {SURGE} more allowed")
        stage.say(f"never more than {count.most} pods in {count.asked} looks")
    return stage.evidence()


@fault_check(
    "fault-scheduler-restarts",
    component="kube-scheduler",
    title="The scheduler restarts while pods wait: they are placed",
    timeout=200,
)
def scheduler_restarts(ctx: Context) -> str:
    """Hold every scheduler, create pods, see them wait, and let go."""
    with Stage(ctx) as stage:
        names = [f"waiting-{number}" for number in range(PENDING)]
        with contextlib.ExitStack() as held:
            for node in stage.cluster.control_plane:
                held.enter_context(stage.harm(_held(node)))
            for name in names:
                ctx.apply(parts.idle(ctx, name), stage.namespace)
            stage.watch(3)
            if placed := [name for name in names if _node_of(ctx, stage.namespace, name)]:
                stage.fail(f"{', '.join(placed)} placed with no scheduler running")
        began = stage.now
        ctx.wait(lambda: all(_node_of(ctx, stage.namespace, name) for name in names), LEADER_BOUND + 30, "pods placed")
        stage.measure(f"until {PENDING} waiting pods were placed", stage.now - began, LEADER_BOUND)
    return stage.evidence()


def _rolling(stage: Stage, image: str, *, again: bool = False) -> None:
    """Create a Deployment of that image and wait until it is whole, or only change the image of the one there is."""
    ctx = stage.ctx
    pod = ctx.pod("rolling", image)
    pod["spec"]["containers"][0]["readinessProbe"] = {"tcpSocket": {"port": 80}, "periodSeconds": 1}
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": SURGE}}
    wanted = parts.workload("Deployment", "rolling", pod, replicas=ROLLING, strategy=strategy)
    if again:
        ctx.objects.patch("Deployment", "rolling", {"spec": {"template": wanted["spec"]["template"]}}, stage.namespace)
        return
    ctx.apply(wanted, stage.namespace)
    ctx.wait(lambda: _updated(ctx, stage.namespace) == (ROLLING, ROLLING), START_SECONDS, "the Deployment whole")


def _updated(ctx: Context, namespace: str) -> tuple[int, int]:
    """Return how many pods are new, and how many are available, of a Deployment whose status is up to date."""
    found = ctx.objects.get("Deployment", "rolling", namespace)
    status: Manifest = found.get("status", {})
    if status.get("observedGeneration") != found["metadata"]["generation"] or status.get("replicas") is None:
        return 0, 0
    whole = status.get("availableReplicas", 0) if status["replicas"] == status.get("updatedReplicas") else -1
    return status.get("updatedReplicas", 0), whole


class _Count:
    """Counts the pods of the rollout that are not being deleted, every 100 ms."""

    def __init__(self, stage: Stage) -> None:
        self.most = self.asked = 0
        self._stage = stage
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)

    def __enter__(self) -> _Count:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=20)

    def _loop(self) -> None:
        ctx, namespace = self._stage.ctx, self._stage.namespace
        while not self._stop.wait(0.1):
            try:
                pods = ctx.objects.list("Pod", namespace, labels="app=rolling")
            except PASSING:
                continue
            self.asked += 1
            self.most = max(self.most, sum("deletionTimestamp" not in pod["metadata"] for pod in pods))


def _held(node: Node) -> Callable[[Injector], Fault]:
    return lambda faults: faults.hold(node, "kube-scheduler")


def _node_of(ctx: Context, namespace: str, name: str) -> str:
    return str(ctx.objects.get("Pod", name, namespace)["spec"].get("nodeName") or "")
