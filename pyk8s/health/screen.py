"""One screen: nodes, components, etcd, certificates; ticks and crosses, and every cross explained below."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from pyk8s.cluster.model import Cluster, Node
from pyk8s.health import components
from pyk8s.health.certs import WARN_DAYS, Certificate
from pyk8s.health.etcd import Member
from pyk8s.health.facts import NodeFacts, NodeStatus

TICK, CROSS, NONE = Text("✓", "green"), Text("✗", "red bold"), Text("·", "dim")
MIB = 1024 * 1024
WIDTH = 160


@dataclasses.dataclass(frozen=True)
class Health:
    """All that was found. An error stands in ``api_error`` or ``etcd_error`` where nobody answered."""

    cluster: Cluster
    nodes: tuple[NodeFacts, ...]
    statuses: tuple[NodeStatus, ...] = ()
    api_error: str = ""
    members: tuple[Member, ...] = ()
    etcd_error: str = ""
    certificates: tuple[Certificate, ...] = ()
    now: datetime.datetime = dataclasses.field(default_factory=lambda: datetime.datetime.now(datetime.UTC))

    @property
    def problems(self) -> tuple[str, ...]:
        """Everything that is wrong, one sentence each; a cluster is healthy when there is none."""
        return (*self._node_problems(), *self._api_problems(), *self._etcd_problems(), *self._certificate_problems())

    @property
    def warnings(self) -> tuple[str, ...]:
        """What will go wrong unless somebody acts: certificates that expire soon, nodes left cordoned."""
        soon = [one for one in self.certificates if 0 <= one.days(self.now) < WARN_DAYS]
        cordoned = [status.name for status in self.statuses if not status.schedulable]
        found = [f"{one.node}: {one.path} expires in {one.days(self.now)} days" for one in soon]
        return (*found, *(f"{name} is cordoned: `kubectl uncordon {name}` lets pods in again" for name in cordoned))

    def _node_problems(self) -> Iterable[str]:
        for facts in self.nodes:
            name = facts.node.name
            if facts.unreachable:
                yield f"{name} is not reached: {facts.unreachable}"
            yield from (f"{name}: {unit}: {why}" for unit, why in facts.wrong.items())
            ours = {f"{unit}.service" for unit in facts.wrong}
            yield from (f"{name}: unit {unit} has failed" for unit in facts.failed_units if unit not in ours)

    def _api_problems(self) -> Iterable[str]:
        if self.api_error:
            yield self.api_error
            return
        known = {status.name: status for status in self.statuses}
        for node in self.cluster.kubernetes_nodes:
            status = known.get(node.name)
            if status is None:
                yield f"{node.name} is not in `kubectl get nodes`"
            elif not status.ready:
                yield f"{node.name} is not Ready: {status.why}"
            elif status.version.lstrip("v") != self.cluster.config.kubernetes_version:
                yield f"{node.name} runs {status.version}, wanted is v{self.cluster.config.kubernetes_version}"

    def _etcd_problems(self) -> Iterable[str]:
        if self.etcd_error:
            yield self.etcd_error
            return
        yield from (f"etcd {member.name}: {member.wrong}" for member in self.members if member.wrong)
        leaders = [member.name for member in self.members if member.leader]
        if len(leaders) != 1:
            yield f"etcd has {len(leaders)} leaders: {', '.join(leaders) or 'none'}"

    def _certificate_problems(self) -> Iterable[str]:
        for one in self.certificates:
            if one.expires <= self.now:
                yield f"{one.node}: {one.path} expired on {one.expires:%Y-%m-%d}"


def console() -> Console:
    """Return a console as wide as the terminal; where there is none, wide enough to cut nothing off."""
    probe = Console()
    return Console(highlight=False, width=None if probe.is_terminal else WIDTH)


def show(health: Health, console: Console) -> None:
    """Print the screen."""
    console.print(_nodes(health), members(health.members), _certificates_line(health))
    for warning in health.warnings:
        console.print(Text(f"! {warning}", "yellow"))
    for problem in health.problems:
        console.print(Text(f"✗ {problem}", "red"))
    count = len(health.problems)
    if count:
        console.print(Text(f"{health.cluster.name} is not healthy: {count} problem{'s' * (count > 1)}", "red bold"))
    else:
        console.print(Text(f"{health.cluster.name} is healthy", "green bold"))


def members(found: tuple[Member, ...]) -> RenderableType:
    """Show etcd's members as a table."""
    table = Table(
        "etcd member", "", "leader", "version", "database", "raft index", "endpoint", box=None, pad_edge=False
    )
    for one in found:
        size, leader = f"{one.database_bytes / MIB:.1f} MiB", TICK if one.leader else NONE
        sign = CROSS if one.wrong else TICK
        table.add_row(one.name, sign, leader, one.version, size, str(one.raft_index), one.endpoint)
    return Group(Text(), table)


def certificates(found: tuple[Certificate, ...], now: datetime.datetime) -> RenderableType:
    """Show certificates as a table, in the order given."""
    table = Table("days", "expires", "node", "certificate", "subject", box=None, pad_edge=False)
    for one in found:
        days = one.days(now)
        colour = "red" if days < 0 else "yellow" if days < WARN_DAYS else "green"
        table.add_row(Text(str(days), colour), f"{one.expires:%Y-%m-%d %H:%M}", one.node, one.path, one.subject)
    return table


def _nodes(health: Health) -> RenderableType:
    known = {status.name: status for status in health.statuses}
    shown = [one for one in components.COMPONENTS if any(one.belongs(facts.node) for facts in health.nodes)]
    table = Table("node", "ready", "version", "roles", *(one.short for one in shown), box=None, pad_edge=False)
    for facts in health.nodes:
        status = known.get(facts.node.name)
        ready = (TICK if status and status.ready else CROSS) if facts.node.runs_kubelet else NONE
        signs = [_sign(facts, component) for component in shown]
        table.add_row(facts.node.name, ready, status.version if status else "", _roles(facts.node), *signs)
    return table


def _sign(facts: NodeFacts, component: components.Component) -> Text:
    if not component.belongs(facts.node):
        return NONE
    if facts.unreachable:
        return Text("?", "red bold")
    return CROSS if component.unit in facts.wrong else TICK


def _roles(node: Node) -> str:
    named = (("control-plane", node.is_control_plane), ("etcd", node.is_etcd), ("worker", node.is_worker))
    return ",".join(name for name, has in named if has)


def _certificates_line(health: Health) -> RenderableType:
    if not health.certificates:
        return Text("\ncertificates: none seen", "red")
    first = min(health.certificates, key=lambda one: one.expires)
    text = f"{len(health.certificates)} seen; the first to expire"
    days = first.days(health.now)
    return Text.assemble(
        "\ncertificates: ", CROSS if days < 0 else TICK, f" {text} in {days} days: {first.node} {first.path}\n"
    )
