"""The controller's side of pyk8s.node.install: ask what is missing, push only that."""

from __future__ import annotations

import uuid
from typing import Any

from pyk8s import artifacts
from pyk8s.ansible.push import archive_of, downloads_of
from pyk8s.ansible.support import ControllerAction
from pyk8s.errors import Pyk8sError

ROOT = "/opt/pyk8s"


class ActionModule(ControllerAction):
    """Install a component's binaries."""

    TRANSFERS_FILES = True

    def act(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Compare, push or pull, switch; see the module's documentation."""
        cluster = self.cluster(task_vars)
        component = self.arguments["component"]
        found = artifacts.lookup(cluster.config)
        if found is None and self.check_mode:
            return {
                "changed": True,
                "missing": True,
                "folder": "",
                "msg": "not fetched yet: it would be, then installed",
            }
        if found is None:
            raise Pyk8sError(
                f"the binaries of {component} are not at hand", "the cache lacks them", "pyk8s artifacts fetch"
            )
        if component not in found.files:
            return {"changed": False, "missing": False, "folder": "", "msg": f"{component} is not in this source"}
        artifact = found.files[component]
        installed = self.probed(task_vars, "installed")
        if installed.get(component) == f"{ROOT}/{component}/{artifact.folder}":
            return {"changed": False, "missing": False, "folder": artifact.folder}
        files = {name: {"sha256": file.sha256, "size": file.size} for name, file in artifact.files.items()}
        wanted = {**self.arguments, "folder": artifact.folder, "files": files}
        if cluster.config.artifact_delivery == "pull":
            return self.module(
                "install", {**wanted, "downloads": downloads_of(artifact, cluster.config.artifact_mirror)}, task_vars
            )
        if "machine" in self.probe(task_vars) and component not in installed and not self.check_mode:
            return self._push(wanted, archive_of(artifact), task_vars)
        answer = self.module("install", wanted, task_vars)
        if not answer.get("missing") or self.check_mode:
            return answer
        return self._push(wanted, archive_of(artifact), task_vars)

    def _push(self, wanted: dict[str, Any], archive: str, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Send the archive and have it unpacked; the module checks every sum, and removes the archive."""
        remote = f"/tmp/.pyk8s-{uuid.uuid4().hex}.tar"
        self._transfer_file(archive, remote)
        return self.module("install", {**wanted, "archive": remote}, task_vars)
