"""Create the Node objects and learn their pod ranges, from the controller."""

from __future__ import annotations

from typing import Any

from pyk8s.ansible.support import ControllerAction
from pyk8s.cluster import registration


class ActionModule(ControllerAction):
    """Register the nodes of the inventory."""

    def act(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Create what is missing; see the module's documentation."""
        cluster = self.cluster(task_vars)
        if self.nothing_yet(task_vars, cluster):
            return {"changed": True, "pod_cidrs": registration.planned(cluster)}
        changed, pod_cidrs = registration.register(cluster, dry_run=self.check_mode)
        return {"changed": changed, "pod_cidrs": pod_cidrs}
