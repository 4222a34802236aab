"""Apply a component's manifests through the API, from the controller."""

from __future__ import annotations

from typing import Any

from pyk8s.ansible.support import ControllerAction
from pyk8s.kubeapi import KubeApi
from pyk8s.render import manifests


class ActionModule(ControllerAction):
    """Server-side apply."""

    def act(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Render and apply; see the module's documentation."""
        component = self.arguments["component"]
        cluster = self.cluster(task_vars)
        documents = manifests(component, cluster, self.role_variables(task_vars, component))
        if self.nothing_yet(task_vars, cluster):
            return {"changed": True, "applied": [], "msg": "no cluster yet: all would be applied"}
        api = KubeApi(cluster)
        changed = [document for document in documents if api.apply(document, dry_run=self.check_mode)]
        names = [f"{document['kind']}/{document['metadata']['name']}" for document in changed]
        return {"changed": bool(changed), "applied": names}
