"""The controller's side of pyk8s.node.place: render, add certificates, ship in one call."""

from __future__ import annotations

import dataclasses
from typing import Any

from pyk8s import pki
from pyk8s.ansible.support import ControllerAction, shipped
from pyk8s.render import Owned, RenderedFile, Tree, render


class ActionModule(ControllerAction):
    """Place a component's tree."""

    def act(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Render and ship; see the module's documentation."""
        component = self.arguments["component"]
        cluster = self.cluster(task_vars)
        node = self.node(task_vars, cluster)
        tree = render(component, cluster, node, self.role_variables(task_vars, component))
        issued = pki.files_for(cluster, component, node, preview=self.check_mode)
        certificates = [
            RenderedFile(path, file.content, Owned(file.owner, file.group, file.mode), secret=file.secret)
            for path, file in issued.items()
        ]
        return self.module("place", self._wanted(component, tree, certificates), task_vars)

    def _wanted(self, component: str, tree: Tree, certificates: list[RenderedFile]) -> dict[str, Any]:
        return {
            "component": component,
            "files": [shipped(file) for file in (*tree.files, *certificates)],
            "directories": [{"path": path, **dataclasses.asdict(owned)} for path, owned in tree.directories.items()],
        }
