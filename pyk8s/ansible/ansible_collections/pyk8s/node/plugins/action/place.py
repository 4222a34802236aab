"""The controller's side of pyk8s.node.place: render, add certificates, ship in one call."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ansible_collections.pyk8s.node.plugins.module_utils import records

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
        files = [*tree.files, *certificates]
        if not (files or tree.directories or component in self.probed(task_vars, "placed")):
            return {"changed": False, "paths": []}
        if digest_of(files, tree.directories) == self.probed(task_vars, "placed").get(component):
            return {"changed": False, "paths": []}
        return self.module("place", self._wanted(component, files, tree), task_vars)

    def _wanted(self, component: str, files: list[RenderedFile], tree: Tree) -> dict[str, Any]:
        return {
            "component": component,
            "files": [shipped(file) for file in files],
            "directories": [{"path": path, **dataclasses.asdict(owned)} for path, owned in tree.directories.items()],
        }


def digest_of(files: list[RenderedFile], directories: Mapping[str, Owned]) -> str:
    """Return the digest that a node finds when all of this stands there."""
    lines = [records.line(f.path, f.owned.mode, f.owned.owner, f.owned.group, f.content) for f in files]
    folders = [records.line(path, own.mode, own.owner, own.group, None) for path, own in directories.items()]
    return records.digest([*lines, *folders])
