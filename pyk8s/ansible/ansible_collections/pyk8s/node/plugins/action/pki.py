"""Adopt the cluster's authorities from a control plane, or issue certificates on the controller."""

from __future__ import annotations

import base64
from pathlib import PurePosixPath
from typing import Any

from pyk8s import pki
from pyk8s.ansible.support import ControllerAction
from pyk8s.cluster.model import Cluster

ON_NODE = PurePosixPath("/etc/kubernetes/pki")


class ActionModule(ControllerAction):
    """Keep the PKI on the controller."""

    def act(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Adopt or issue, as ``state`` says."""
        cluster = self.cluster(task_vars)
        return self._adopt(cluster, task_vars) if self.arguments["state"] == "adopted" else self._issue(cluster)

    def _adopt(self, cluster: Cluster, task_vars: dict[str, Any]) -> dict[str, Any]:
        paths = {str(ON_NODE / name): name for name in pki.AUTHORITY_FILES}
        answer = self.module("read", {"paths": list(paths)}, task_vars)
        if answer.get("failed") or answer.get("unreachable"):
            return answer
        files = {paths[path]: base64.b64decode(content) for path, content in answer["contents"].items()}
        return {"changed": pki.adopt(pki.pki_directory(cluster), files, dry_run=self.check_mode)}

    def _issue(self, cluster: Cluster) -> dict[str, Any]:
        changes = pki.ensure(cluster, dry_run=self.check_mode)
        written = () if self.check_mode else pki.write_admin_kubeconfig(cluster)
        issued = [*map(str, changes.issued), *(path.name for path in written)]
        return {"changed": bool(issued), "issued": issued}
