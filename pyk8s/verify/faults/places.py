"""Where a fault strikes: who is behind api_endpoint, who leads, what belongs to a machine, what runs on it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from pyk8s.cluster.model import Node
from pyk8s.verify import leases
from pyk8s.verify.context import Context
from pyk8s.verify.model import CheckFailed, CheckSkipped


def front(ctx: Context) -> Node:
    """Return the control plane that api_endpoint leads to: who has the virtual IP, else the first."""
    cluster = ctx.cluster
    if cluster is None:
        raise CheckSkipped("needs the machines; only a kubeconfig was given", expected=True)
    if virtual := cluster.config.api_virtual_ip:
        for node in cluster.control_plane:
            if virtual in ctx.on(node).run(f"ip -o -4 address show to {virtual}", check=False).stdout:
                return node
        raise CheckFailed(f"no control plane has the virtual IP {virtual}: look at the unit keepalived")
    return next((node for node in cluster.control_plane if node.address == cluster.api_host), cluster.control_plane[0])


def leading(ctx: Context, component: str) -> Node:
    """Return the control plane whose controller manager or scheduler leads."""
    holder = leases.holder(ctx, component)
    for node in ctx.cluster.control_plane if ctx.cluster else ():
        if node.name == holder:
            return node
    raise CheckFailed(f"{component} is led by {holder}, which is no control plane of the inventory")


def addresses(ctx: Context, nodes: Iterable[Node]) -> list[str]:
    """Return all that belongs to machines: their addresses, their pods' ranges, and control planes' virtual IP."""
    nodes = tuple(nodes)
    ranges = {one["metadata"]["name"]: one["spec"].get("podCIDR", "") for one in ctx.objects.list("Node")}
    virtual = ctx.cluster.config.api_virtual_ip if ctx.cluster and any(one.is_control_plane for one in nodes) else ""
    listed = [found for node in nodes for found in (node.address, ranges.get(node.name, ""))]
    return [found for found in (*listed, virtual) if found]


def processes(ctx: Context, node: Node, mark: str) -> int:
    """Count the processes on a machine whose command line holds a mark: what really runs there, whoever says what."""
    pattern = shlex.quote(f"[{mark[0]}]{mark[1:]}")
    return int(ctx.on(node).run(f"ps -e -o args= | grep -c -- {pattern} || true").stdout.strip() or 0)
