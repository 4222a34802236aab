"""Leader election as seen from its lease."""

from __future__ import annotations

from pyk8s.verify.context import Context
from pyk8s.verify.model import CheckSkipped

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
