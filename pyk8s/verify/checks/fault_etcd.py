"""etcd loses a member, its leader, its majority, all members at once; it never loses what it acknowledged."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from pyk8s.cluster.model import Node
from pyk8s.health import etcd as members
from pyk8s.lab.faults import Fault, Injector
from pyk8s.verify.checks.etcd import cluster_of, etcdctl
from pyk8s.verify.checks.fault_workers import lives
from pyk8s.verify.context import Context
from pyk8s.verify.faults import work
from pyk8s.verify.faults.histories import violations
from pyk8s.verify.faults.places import addresses, main_pid
from pyk8s.verify.faults.probes import Writer
from pyk8s.verify.faults.registers import Registers
from pyk8s.verify.faults.stage import READ, READ_BOUND, WRITE, Stage
from pyk8s.verify.faults.watching import restart_in_turn
from pyk8s.verify.registry import fault_check

NEEDS = ("nodes", "etcd", "spare-members")
BACK_BOUND = 30.0
"""Seconds until writes are taken again once a majority of members is there: restarts, an election, new connections."""
ACT_BOUND = 30.0
"""Seconds until controllers that never died have acted on something new, and its pod runs."""
IN_FLIGHT_SECONDS = 5.0
"""What was under way when the majority was lost may still be acknowledged that long."""


def leader(ctx: Context) -> Node:
    """Return the member that leads."""
    cluster = cluster_of(ctx)
    known = ctx.wait(lambda: [one for one in members.members(cluster) if one.leader], 15, "an etcd leader")
    return cluster.node(known[0].name)


@fault_check(
    "fault-etcd-members-restart",
    component="etcd",
    title="The members restart one after the other: the API and watches go on, controllers act on what is new",
    needs=NEEDS,
    timeout=300,
)
def members_restart(ctx: Context) -> str:
    """Stop and start each in good order, which ends the apiservers' watches otherwise than a kill does."""
    with Stage(ctx) as stage:
        restart_in_turn(stage, cluster_of(ctx).etcd, "etcd")
        work.service_answers(stage, ACT_BOUND)
        work.goes_on(stage, ACT_BOUND)
        stage.all_kept()
    return stage.evidence()


@fault_check(
    "fault-etcd-quorum-lost",
    component="etcd",
    title="Without a majority of etcd writes are refused, Services and pods go on; with it all is back",
    needs=NEEDS,
    timeout=240,
)
def quorum_lost(ctx: Context) -> str:
    """Kill all members but a minority, keep them dead, and bring one of them back."""
    cluster = cluster_of(ctx)
    with Stage(ctx) as stage:
        before_lives = [lives(ctx, node) for node in cluster.workers]
        first = leader(ctx)
        down = [first, *others(ctx, first)][: len(cluster.etcd) - cluster.etcd_quorum + 1]
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
        if [lives(ctx, node) for node in cluster.workers] != before_lives:
            stage.fail("containers of the Service restarted, or its pods are others")
        if refused:
            stage.fail(f"{refused} writes were acknowledged without a majority of members")
        stage.say(f"{refused} writes acknowledged while {len(down)} of {len(cluster.etcd)} members were dead")
        stage.gone(READ, BACK_BOUND, back, "until reads are back with a majority")
        stage.gone(WRITE, BACK_BOUND, back, "until writes are back with a majority")
        stage.services_answer(READ_BOUND)
        stage.writes_kept()
    return stage.evidence(api=False)


@fault_check(
    "fault-etcd-all-killed",
    component="etcd",
    title="All members are killed at once in the middle of writes: what was acknowledged is there afterwards",
    needs=("nodes", "etcd"),
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

        before = {node.name: main_pid(ctx, node, "etcd") for node in cluster.etcd}
        with ThreadPoolExecutor(len(cluster.etcd)) as pool:
            list(pool.map(_kill, cluster.etcd))
        stage.watch(1)
        stage.calm(3, 120)
        if same := [node.name for node in cluster.etcd if main_pid(ctx, node, "etcd") == before[node.name]]:
            stage.fail(f"etcd on {', '.join(same)} is the same process as before: it was not killed")
        stage.gone(READ, BACK_BOUND)
        stage.gone(WRITE, BACK_BOUND)
        stage.services_answer(READ_BOUND)
        stage.writes_kept()
    return stage.evidence(api=False)


@fault_check(
    "fault-etcd-leader-cut-off",
    component="etcd",
    title="The leader is cut off from the other members: no two values are ever read for one key",
    needs=NEEDS,
    timeout=240,
)
def leader_cut_off(ctx: Context) -> str:
    """Cut the leader's machine off from the others while clients at every member read and write registers."""
    cluster = cluster_of(ctx)
    prefix = f"/pyk8s-verify/{ctx.session.run_id}/register-"
    ctx.defer(lambda: etcdctl(ctx, "del", "--prefix", prefix))
    with Stage(ctx) as stage, Registers({node: ctx.on(node) for node in cluster.etcd}, prefix) as registers:
        stage.watch(4)
        victim = leader(ctx)
        rest = others(ctx, victim)
        with stage.harm(lambda faults: faults.cut(victim, addresses(ctx, rest))):
            began = registers.now
            stage.watch(15)
            alone, majority = registers.done_by(victim.name, began + 3), registers.done_by(rest[0].name, began + 3)
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
    stage.api_answers()
    stage.writes_kept()
    return stage.evidence()


@fault_check(
    "fault-etcd-disk-full",
    component="etcd",
    title="A member's disk is full: the others go on, and the member catches up when there is room again",
    needs=NEEDS,
    timeout=240,
)
def disk_full(ctx: Context) -> str:
    """Fill the disk of the leader, write on, and make room again."""
    with Stage(ctx) as stage:
        victim = leader(ctx)
        with stage.harm(lambda faults: faults.fill_disk(victim)):
            stage.watch(5)
            ctx.wait(lambda: not _healthy(ctx, victim), 40, f"etcd on {victim.name} notices that its disk is full")
            stage.say(f"etcd on {victim.name} stopped serving")
            stage.watch(5)
        stage.calm(3, 90)
        ctx.wait(lambda: _healthy(ctx, victim), 60, f"etcd on {victim.name} is healthy again")
        stage.all_kept()
    return stage.evidence()


def others(ctx: Context, victim: Node) -> list[Node]:
    """Return the members but one."""
    return [node for node in cluster_of(ctx).etcd if node != victim]


def _held(node: Node) -> Callable[[Injector], Fault]:
    return lambda faults: faults.hold(node, "etcd")


def _acknowledged(writers: Iterable[Writer]) -> int:
    return sum(len(writer.acknowledged) for writer in writers)


def _healthy(ctx: Context, node: Node) -> bool:
    told = next(one for one in members.members(cluster_of(ctx)) if one.name == node.name)
    return not told.wrong
