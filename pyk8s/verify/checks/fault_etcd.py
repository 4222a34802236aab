"""etcd loses a member, its leader, its majority, all members at once; it never loses what it acknowledged."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable

from pyk8s.cluster.model import Node
from pyk8s.health import etcd as members
from pyk8s.lab.faults import Fault, Injector
from pyk8s.verify.checks.etcd import cluster_of, etcdctl
from pyk8s.verify.context import Context
from pyk8s.verify.faults.histories import violations
from pyk8s.verify.faults.places import addresses
from pyk8s.verify.faults.probes import Writer
from pyk8s.verify.faults.registers import Registers
from pyk8s.verify.faults.stage import READ, READ_BOUND, WRITE, WRITE_BOUND, Stage
from pyk8s.verify.registry import check

SUITE = ("faults",)
NEEDS = ("nodes", "etcd", "spare-control-planes")
BACK_BOUND = 30.0
"""Seconds until writes are taken again once a majority of members is there: restarts, an election, new connections."""
LOSS_PERCENT = 10
DELAY_MILLISECONDS = 100
IN_FLIGHT_SECONDS = 5.0
"""What was under way when the majority was lost may still be acknowledged that long."""


def leader(ctx: Context) -> Node:
    """Return the member that leads."""
    cluster = cluster_of(ctx)
    known = ctx.wait(lambda: [one for one in members.members(cluster) if one.leader], 15, "an etcd leader")
    return cluster.node(known[0].name)


@check(
    "fault-etcd-member-dies",
    component="etcd",
    title="A member that does not lead dies: reads go on within 5 s, writes within 10 s, none is lost",
    suites=SUITE,
    needs=NEEDS,
    exclusive=True,
    timeout=150,
)
def member_dies(ctx: Context) -> str:
    """Kill a follower, and keep it dead for a while."""
    first = leader(ctx)
    return _dies(ctx, next(node for node in reversed(cluster_of(ctx).etcd) if node != first))


@check(
    "fault-etcd-leader-dies",
    component="etcd",
    title="The leader dies: another is elected, reads go on within 5 s, writes within 10 s, none is lost",
    suites=SUITE,
    needs=NEEDS,
    exclusive=True,
    timeout=150,
)
def leader_dies(ctx: Context) -> str:
    """Kill the leader, and keep it dead for a while."""
    return _dies(ctx, leader(ctx))


@check(
    "fault-etcd-quorum-lost",
    component="etcd",
    title="Without a majority of etcd writes are refused, Services and pods go on; with it all is back",
    suites=SUITE,
    needs=NEEDS,
    exclusive=True,
    timeout=240,
)
def quorum_lost(ctx: Context) -> str:
    """Kill all members but a minority, keep them dead, and bring one of them back."""
    cluster, first = cluster_of(ctx), leader(ctx)
    others = [node for node in cluster.etcd if node != first]
    down = [first, *others][: len(cluster.etcd) - cluster.etcd_quorum + 1]
    with Stage(ctx) as stage:
        with contextlib.ExitStack() as dead:
            for node in down[:-1]:
                dead.enter_context(stage.harm(_held(node)))
            with stage.harm(_held(down[-1])):
                stage.watch(IN_FLIGHT_SECONDS)
                before = _acknowledged(stage.writers)
                stage.watch(10)
                refused = _acknowledged(stage.writers) - before
            back = stage.now
            stage.calm(2, 90, READ, WRITE)
        stage.calm(2, 90)
        if refused:
            stage.fail(f"{refused} writes were acknowledged without a majority of members")
        stage.say(f"{refused} writes acknowledged while {len(down)} of {len(cluster.etcd)} members were dead")
        stage.gone(READ, BACK_BOUND, back, "until reads are back with a majority")
        stage.gone(WRITE, BACK_BOUND, back, "until writes are back with a majority")
        stage.services_answer(READ_BOUND)
        stage.writes_kept()
    return stage.evidence(api=False)


@check(
    "fault-etcd-all-killed",
    component="etcd",
    title="All members are killed at once in the middle of writes: what was acknowledged is there afterwards",
    suites=SUITE,
    needs=("nodes", "etcd"),
    exclusive=True,
    timeout=200,
)
def all_killed(ctx: Context) -> str:
    """Kill every member with SIGKILL at the same moment; systemd brings them back."""
    cluster = cluster_of(ctx)
    with Stage(ctx) as stage:
        stage.watch(3)
        together = threading.Barrier(len(cluster.etcd))

        def _kill(node: Node) -> None:
            together.wait(10)
            stage.strike(lambda faults: faults.kill(node, "etcd"))

        threads = [threading.Thread(target=_kill, args=(node,)) for node in cluster.etcd]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        stage.watch(1)
        stage.calm(3, 120)
        stage.gone(READ, BACK_BOUND)
        stage.gone(WRITE, BACK_BOUND)
        stage.services_answer(READ_BOUND)
        stage.writes_kept()
    return stage.evidence(api=False)


@check(
    "fault-etcd-leader-cut-off",
    component="etcd",
    title="The leader is cut off from the other members: no two values are ever read for one key",
    suites=SUITE,
    needs=NEEDS,
    exclusive=True,
    timeout=240,
)
def leader_cut_off(ctx: Context) -> str:
    """Cut the leader's machine off from the others while clients at every member read and write registers."""
    cluster, victim = cluster_of(ctx), leader(ctx)
    others = [node for node in cluster.etcd if node != victim]
    prefix = f"/pyk8s-verify/{ctx.session.run_id}/register-"
    ctx.defer(lambda: etcdctl(ctx, "del", "--prefix", prefix))
    with Stage(ctx) as stage, Registers({node: ctx.on(node) for node in cluster.etcd}, prefix) as registers:
        stage.watch(4)
        with stage.harm(lambda faults: faults.cut(victim, addresses(ctx, others))):
            began = registers.now
            stage.watch(15)
            alone, majority = registers.done_by(victim.name, began + 3), registers.done_by(others[0].name, began + 3)
        stage.watch(5)
        stage.calm(3, 90)
    found = violations(registers.history)
    if found:
        stage.fail(f"the history is not linearizable: {'; '.join(found[:3])}")
    if alone or not majority:
        stage.fail(f"cut off, the leader's clients did {alone} operations, those of the majority {majority}")
    counted = (
        f"{len(registers.history)} operations at {len(cluster.etcd)} members, {registers.unknown} without an answer"
    )
    stage.say(f"{counted}: linearizable, none done by the leader while it was cut off" if not found else counted)
    stage.gone(READ, READ_BOUND)
    stage.gone(WRITE, WRITE_BOUND)
    stage.writes_kept()
    return stage.evidence()


@check(
    "fault-etcd-leader-deaf",
    component="etcd",
    title="The leader is heard but hears nothing: another is elected, reads go on within 5 s, writes within 10 s",
    suites=SUITE,
    needs=NEEDS,
    exclusive=True,
    timeout=200,
)
def leader_deaf(ctx: Context) -> str:
    """Drop what comes in from the other members, and let go out what goes out."""
    victim = leader(ctx)
    others = [node for node in cluster_of(ctx).etcd if node != victim]
    return _suffers(ctx, lambda faults: faults.cut(victim, addresses(ctx, others), "in"), 15)


@check(
    "fault-etcd-link-loses",
    component="etcd",
    title="The leader's links lose a tenth of all packets: reads and writes go on within 10 s, none is lost",
    suites=SUITE,
    needs=NEEDS,
    exclusive=True,
    timeout=200,
)
def link_loses(ctx: Context) -> str:
    """Drop packets at random between the leader's machine and the other members."""
    victim = leader(ctx)
    others = [node for node in cluster_of(ctx).etcd if node != victim]
    return _suffers(ctx, lambda faults: faults.lose(victim, addresses(ctx, others), LOSS_PERCENT), 15, WRITE_BOUND)


@check(
    "fault-etcd-link-slow",
    component="etcd",
    title="All that the leader sends is late: reads and writes go on within 10 s, none is lost",
    suites=SUITE,
    needs=NEEDS,
    exclusive=True,
    timeout=200,
)
def link_slow(ctx: Context) -> str:
    """Delay what the leader's machine sends, where its kernel can."""
    victim = leader(ctx)
    return _suffers(ctx, lambda faults: faults.delay(victim, DELAY_MILLISECONDS), 15, WRITE_BOUND)


@check(
    "fault-etcd-disk-full",
    component="etcd",
    title="A member's disk is full: the others go on, and the member catches up when there is room again",
    suites=SUITE,
    needs=NEEDS,
    exclusive=True,
    timeout=240,
)
def disk_full(ctx: Context) -> str:
    """Fill the disk of the leader, write on, and make room again."""
    victim = leader(ctx)
    with Stage(ctx) as stage:
        with stage.harm(lambda faults: faults.fill_disk(victim)):
            stage.watch(5)
            ctx.wait(lambda: not _healthy(ctx, victim), 40, f"etcd on {victim.name} notices that its disk is full")
            stage.say(f"etcd on {victim.name} stopped serving")
            stage.watch(5)
        stage.calm(3, 90)
        ctx.wait(lambda: _healthy(ctx, victim), 60, f"etcd on {victim.name} is healthy again")
        stage.api_answers()
        stage.services_answer(READ_BOUND)
        stage.writes_kept()
    return stage.evidence()


def _dies(ctx: Context, victim: Node) -> str:
    return _suffers(ctx, _held(victim), 12)


def _suffers(ctx: Context, fault: Callable[[Injector], Fault], seconds: float, reads: float = READ_BOUND) -> str:
    """Make a fault for a while: what is promised of the API, of Services and of writes holds throughout."""
    with Stage(ctx) as stage:
        with stage.harm(fault):
            stage.watch(seconds)
        stage.calm(3, 90)
        stage.gone(READ, reads)
        stage.gone(WRITE, WRITE_BOUND)
        stage.services_answer(READ_BOUND)
        stage.writes_kept()
    return stage.evidence()


def _held(node: Node) -> Callable[[Injector], Fault]:
    return lambda faults: faults.hold(node, "etcd")


def _acknowledged(writers: Iterable[Writer]) -> int:
    return sum(len(writer.acknowledged) for writer in writers)


def _healthy(ctx: Context, node: Node) -> bool:
    told = next(one for one in members.members(cluster_of(ctx)) if one.name == node.name)
    return not told.wrong
