"""One etcd member, or the leader, dies, is deaf, or has bad links: the others go on without it."""

from __future__ import annotations

from collections.abc import Callable

from pyk8s.cluster.model import Node
from pyk8s.health import etcd as members
from pyk8s.lab.faults import Fault, Injector
from pyk8s.verify.checks.fault_etcd import NEEDS, leader, others
from pyk8s.verify.context import Context
from pyk8s.verify.faults import work
from pyk8s.verify.faults.places import addresses
from pyk8s.verify.faults.stage import READ_BOUND, WRITE_BOUND, Stage
from pyk8s.verify.registry import fault_check

LOSS_PERCENT = 10
DELAY_MILLISECONDS = 100
SUFFERING_SECONDS = 15.0


@fault_check(
    "fault-etcd-member-dies",
    component="etcd",
    title="A member that does not lead dies: reads go on within 5 s, writes within 10 s, none is lost",
    needs=NEEDS,
    timeout=150,
)
def member_dies(ctx: Context) -> str:
    """Kill a follower, and keep it dead for a while."""
    return _suffers(ctx, _follower, _dead, _works)


@fault_check(
    "fault-etcd-leader-dies",
    component="etcd",
    title="The leader dies: another is elected, reads go on within 5 s, writes within 10 s, none is lost",
    needs=NEEDS,
    timeout=150,
)
def leader_dies(ctx: Context) -> str:
    """Kill the leader, and keep it dead for a while."""
    return _suffers(ctx, leader, _dead, _elected, _works)


@fault_check(
    "fault-etcd-leader-deaf",
    component="etcd",
    title="The leader is heard but hears nothing: another is elected, reads and writes go on within 10 s",
    needs=NEEDS,
    timeout=200,
)
def leader_deaf(ctx: Context) -> str:
    """Drop what comes in from the other members, and let go out what goes out.

    It takes two timeouts: the leader's, until it gives up for want of answers, and after that the others'.
    """
    return _suffers(
        ctx, leader, lambda faults, victim: faults.cut(victim, _ways(ctx, victim), "in"), _elected, reads=WRITE_BOUND
    )


@fault_check(
    "fault-etcd-link-loses",
    component="etcd",
    title="The leader's links lose a tenth of all packets: reads and writes go on within 10 s, none is lost",
    needs=NEEDS,
    timeout=200,
)
def link_loses(ctx: Context) -> str:
    """Drop packets at random between the leader's machine and the other members."""
    return _suffers(
        ctx, leader, lambda faults, victim: faults.lose(victim, _ways(ctx, victim), LOSS_PERCENT), _lost,
        reads=WRITE_BOUND,
    )  # fmt: skip


@fault_check(
    "fault-etcd-link-slow",
    component="etcd",
    title="All that the leader sends is late: reads and writes go on within 10 s, none is lost",
    needs=NEEDS,
    timeout=200,
)
def link_slow(ctx: Context) -> str:
    """Delay what the leader's machine sends, where its kernel can."""
    return _suffers(ctx, leader, lambda faults, victim: faults.delay(victim, DELAY_MILLISECONDS), reads=WRITE_BOUND)


def _suffers(
    ctx: Context,
    of: Callable[[Context], Node],
    fault: Callable[[Injector, Node], Fault],
    *also: Callable[[Stage, Fault], None],
    reads: float = READ_BOUND,
) -> str:
    """Make a fault on a member for a while: what is promised of the API, Services and writes holds throughout.

    ``also`` is what is seen besides while the fault lasts.
    """
    with Stage(ctx) as stage:
        victim = of(ctx)
        with stage.harm(lambda faults: fault(faults, victim)) as made:
            stage.watch(SUFFERING_SECONDS)
            for see in also:
                see(stage, made)
        stage.calm(3, 90)
        stage.all_kept(reads, victim)
    return stage.evidence()


def _dead(faults: Injector, victim: Node) -> Fault:
    return faults.hold(victim, "etcd")


def _works(stage: Stage, _: Fault) -> None:
    work.goes_on(stage, work.BOUND)


def _elected(stage: Stage, fault: Fault) -> None:
    """Another member leads while the fault lasts: the others are asked, at one of them."""
    ctx = stage.ctx
    rest = others(ctx, fault.node)
    command = members.command(tuple(f"https://{node.address}:2379" for node in rest))

    def _other() -> str:
        told = ctx.on(rest[0]).run(command, check=False).stdout
        return next((one.name for one in members.parse(stage.cluster, told) if one.leader), "") if told else ""

    stage.say(f"{ctx.wait(_other, 15, f'a member other than {fault.node.name} leads')} was elected")


def _lost(stage: Stage, fault: Fault) -> None:
    """Packets were dropped."""
    count = stage.injector.dropped(fault)
    stage.say(f"{count} packets dropped")
    if not count:
        stage.fail("no packet was dropped")


def _follower(ctx: Context) -> Node:
    return others(ctx, leader(ctx))[-1]


def _ways(ctx: Context, victim: Node) -> list[str]:
    """Return the addresses of the other members, and of all that runs on their machines."""
    return addresses(ctx, others(ctx, victim))
