"""Where a fault strikes: who is behind api_endpoint, who leads, what belongs to a machine, what runs on it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pyk8s.cluster.model import Node
from pyk8s.verify import leases
from pyk8s.verify.context import Context
from pyk8s.verify.model import CheckFailed

if TYPE_CHECKING:
    from pyk8s.verify.faults.stage import Stage


def front(stage: Stage) -> Node:
    """Return the control plane that answers what the stage reads through api_endpoint: its certificate names it.

    CheckFailed where clients know that machine alone: then nothing can keep the API there for them.
    """

    def _named() -> list[Node]:
        names = stage.entrance.names()
        return [node for node in stage.cluster.control_plane if {node.name, node.address} <= names]

    what = f"the certificate behind {stage.cluster.api_url} names a control plane"
    found = stage.ctx.wait(_named, 10, what, lambda: ", ".join(sorted(stage.entrance.names())) or "no connection")[0]
    if stage.cluster.api_host in {found.address, found.name}:
        raise CheckFailed(
            f"clients reach the API at {found.name} alone ({stage.cluster.api_url}), and not at all while it is dead: "
            "set api_virtual_ip, or an api_endpoint that stands before several control planes"
        )
    return found


def leading(ctx: Context, component: str) -> Node:
    """Return the control plane whose controller manager or scheduler leads, by what these say themselves."""
    nodes = ctx.cluster.control_plane if ctx.cluster else ()
    leaders = ctx.wait(lambda: [one for one in nodes if leases.leads(ctx, one, component)], 20, f"{component} leads")
    return leaders[0]


def main_pid(ctx: Context, node: Node, unit: str) -> str:
    """Return the process of a unit, "0" where it does not run."""
    return ctx.on(node).run(f"systemctl show -p MainPID --value {unit}").stdout.strip()


def addresses(ctx: Context, nodes: Iterable[Node]) -> list[str]:
    """Return all that belongs to machines: their addresses, their pods' ranges, and control planes' virtual IP."""
    nodes = tuple(nodes)
    ranges = {one["metadata"]["name"]: one["spec"].get("podCIDR", "") for one in ctx.objects.list("Node")}
    virtual = ctx.cluster.config.api_virtual_ip if ctx.cluster and any(one.is_control_plane for one in nodes) else ""
    listed = [found for node in nodes for found in (node.address, ranges.get(node.name, ""))]
    return [found for found in (*listed, virtual) if found]


def processes(ctx: Context, node: Node, mark: str) -> frozenset[int]:
    """Return the processes on a machine whose command line holds a mark: what really runs there, whoever says what."""
    pattern = shlex.quote(f"[{mark[0]}]{mark[1:]}")
    found = ctx.on(node).run(f"ps -e -o pid=,args= | grep -- {pattern} || true").stdout
    return frozenset(int(line.split()[0]) for line in found.splitlines())
