"""The control plane loses a part, or a whole machine: the API answers again, no acknowledged write is lost."""

from __future__ import annotations

from pyk8s.cluster.model import Node
from pyk8s.verify import leases
from pyk8s.verify.context import Context
from pyk8s.verify.faults import work
from pyk8s.verify.faults.places import front, leading
from pyk8s.verify.faults.stage import READ, READ_BOUND, WRITE, WRITE_BOUND, Stage
from pyk8s.verify.faults.watching import restart_in_turn
from pyk8s.verify.registry import fault_check

NEEDS = ("nodes", "spare-control-planes")
LEADER_BOUND = 30.0
"""Seconds until another controller manager or scheduler leads: a lease of 15 s, tried every 2 s (leader election)."""


@fault_check(
    "fault-apiserver-dies",
    component="kube-apiserver",
    title="The apiserver behind api_endpoint dies: reads go on within 5 s, writes within 10 s, none is lost",
    needs=NEEDS,
    timeout=150,
)
def apiserver_dies(ctx: Context) -> str:
    """Kill the apiserver that clients speak to, and keep it dead for a while."""
    with Stage(ctx) as stage:
        victim = front(stage)
        with stage.harm(lambda faults: faults.hold(victim, "kube-apiserver")):
            stage.watch(12)
            work.goes_on(stage, work.BOUND)
        stage.calm()
        stage.felt(f"read from {victim.name}")
        _others_answer(stage, victim)
        stage.all_kept()
    return stage.evidence()


@fault_check(
    "fault-controller-manager-dies",
    component="kube-controller-manager",
    title="The leading controller manager dies: another leads within 30 s and does its work",
    needs=NEEDS,
    timeout=150,
)
def controller_manager_dies(ctx: Context) -> str:
    """Kill the leader, and give the next one work."""
    return _leader_dies(ctx, "kube-controller-manager")


@fault_check(
    "fault-scheduler-dies",
    component="kube-scheduler",
    title="The leading scheduler dies: another leads within 30 s and places pods",
    needs=NEEDS,
    timeout=150,
)
def scheduler_dies(ctx: Context) -> str:
    """Kill the leader, and give the next one work."""
    return _leader_dies(ctx, "kube-scheduler")


@fault_check(
    "fault-control-plane-dies",
    component="high availability",
    title="The control plane behind api_endpoint dies: reads go on within 5 s, writes within 10 s, none is lost",
    needs=NEEDS,
    timeout=240,
)
def control_plane_dies(ctx: Context) -> str:
    """Let the machine that clients speak to die: no node is special, the first one least of all."""
    with Stage(ctx) as stage:
        victim = front(stage)
        with stage.harm(lambda faults: faults.crash(victim)):
            stage.watch(15)
            work.goes_on(stage, work.BOUND, victim)
        stage.calm(timeout=120)
        stage.felt(f"read from {victim.name}")
        _others_answer(stage, victim, WRITE_BOUND)
        stage.all_kept(victim=victim)
    return stage.evidence()


@fault_check(
    "fault-control-plane-freezes",
    component="high availability",
    title="The control plane behind api_endpoint freezes, and thaws: reads go on within 5 s, writes within 10 s",
    needs=NEEDS,
    timeout=240,
)
def control_plane_freezes(ctx: Context) -> str:
    """Freeze the machine that clients speak to: it takes connections and answers none."""
    with Stage(ctx) as stage:
        victim = front(stage)
        with stage.harm(lambda faults: faults.freeze(victim)):
            stage.watch(15)
            work.goes_on(stage, work.BOUND, victim)
        stage.calm(timeout=120)
        stage.felt(f"read from {victim.name}")
        _others_answer(stage, victim, WRITE_BOUND)
        stage.all_kept(victim=victim)
    return stage.evidence()


@fault_check(
    "fault-apiservers-restart",
    component="kube-apiserver",
    title="The apiservers restart one after the other: watches miss nothing, Services and writes go on",
    needs=NEEDS,
    timeout=240,
)
def apiservers_restart(ctx: Context) -> str:
    """Restart each when the one before is ready again, while objects are made and watched."""
    with Stage(ctx) as stage:
        restart_in_turn(stage, stage.cluster.control_plane, "kube-apiserver")
        stage.all_kept()
    return stage.evidence()


def _leader_dies(ctx: Context, component: str) -> str:
    with Stage(ctx) as stage:
        victim, before = leading(ctx, component), leases.holder(ctx, component)
        with stage.harm(lambda faults: faults.hold(victim, component)):
            began = stage.now
            new = ctx.wait(lambda: _other(ctx, component, before), LEADER_BOUND + 30, f"another {component} leads")
            stage.measure(f"until {new} leads after {victim.name}", stage.now - began, LEADER_BOUND)
            work.goes_on(stage, work.BOUND)
        stage.api_answers()
        stage.writes_kept()
    return stage.evidence()


def _other(ctx: Context, component: str, before: str) -> str:
    now = leases.holder(ctx, component)
    return now if now != before else ""


def _others_answer(stage: Stage, victim: Node, bound: float = READ_BOUND) -> None:
    """The apiservers of the other control planes go on."""
    for node in stage.cluster.control_plane:
        if node != victim:
            for probe in (READ, WRITE):
                verb = probe.split()[0]
                stage.gone(f"{verb} from {node.name}", bound)
