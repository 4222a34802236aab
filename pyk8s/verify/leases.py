"""Leader election as seen from its lease."""

from __future__ import annotations

import re

from pyk8s.cluster.model import Node
from pyk8s.verify import probe
from pyk8s.verify.context import Context
from pyk8s.verify.model import CheckFailed, CheckSkipped

PORTS = {"kube-controller-manager": 10257, "kube-scheduler": 10259}
RENEW_SECONDS = 12
"""A leader renews every 2 s; another takes over after 15 s (--leader-elect-retry-period, -lease-duration)."""


def leader(ctx: Context, component: str) -> str:
    """Watch a component's leader renew its lease in kube-system; return evidence, raise CheckFailed.

    CheckSkipped where only a kubeconfig is given and there is no lease: the control plane is not in the cluster.
    """
    first = ctx.objects.find("Lease", component, "kube-system")
    if first is None and ctx.cluster is None:
        raise CheckSkipped(f"there is no lease {component} in kube-system: a managed control plane", expected=True)
    before = first["spec"].get("renewTime") if first else None

    def _renewed() -> str | None:
        spec = ctx.objects.get("Lease", component, "kube-system")["spec"]
        return spec["holderIdentity"] if spec.get("renewTime") != before and spec.get("holderIdentity") else None

    holder = ctx.wait(
        _renewed, RENEW_SECONDS, f"the lease of {component} renewed", lambda: f"not renewed since {before or 'ever'}"
    )
    return f"held by {holder.split('_')[0]}, renewed since {before or 'it was made'}"


def one_leads(ctx: Context, component: str) -> str:
    """Ask every control plane's instance whether it leads; return evidence, raise CheckFailed unless exactly one does.

    An instance without leader election has no such metric, and works beside the one that was elected.
    """
    told = {node.name: _master(ctx, node, component) for node in (ctx.cluster.control_plane if ctx.cluster else ())}
    leaders = [name for name, status in told.items() if status == "1"]
    waiting = [name for name, status in told.items() if status == "0"]
    if len(leaders) != 1 or len(leaders) + len(waiting) != len(told):
        listed = ", ".join(f"{name}: {status or 'takes no part in the election'}" for name, status in told.items())
        raise CheckFailed(f"one {component} should lead and all others wait: {listed}")
    return f"{leaders[0]} leads, {', '.join(waiting) or 'nobody'} waits"


def leads(ctx: Context, node: Node, component: str) -> bool:
    """Ask one control plane's instance whether it leads; its machine's host name need not be the node's name."""
    return _master(ctx, node, component) == "1"


def _master(ctx: Context, node: Node, component: str) -> str:
    """Return an instance's own word: 1 it leads, 0 it waits, "" where it takes no part, else what went wrong."""
    who = probe.Identity(ca="", cert=probe.HEALTH.cert, key=probe.HEALTH.key)
    answer = probe.fetch(ctx, node, f"https://127.0.0.1:{PORTS[component]}/metrics", who)
    if answer.status != 200:
        return str(answer)
    found = re.search(rf'^leader_election_master_status{{name="{component}"}} (\d)', answer.text, re.MULTILINE)
    return found[1] if found else ""


def holder(ctx: Context, component: str) -> str:
    """Return the host name of a component's leader, "" when there is none."""
    lease = ctx.objects.find("Lease", component, "kube-system") or {}
    return str((lease.get("spec") or {}).get("holderIdentity") or "").split("_")[0]
