"""Bring the wanted binaries to the controller's cache."""

from __future__ import annotations

from typing import Any

from ansible.utils.display import Display

from pyk8s import artifacts
from pyk8s.ansible.support import ControllerAction


class ActionModule(ControllerAction):
    """Fetch or build what the cluster needs and is not in the cache."""

    def act(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Look, and fetch only what is missing; in check mode only say so."""
        config = self.cluster(task_vars).config
        if artifacts.lookup(config) is not None:
            return {"changed": False}
        if not self.check_mode:
            artifacts.resolve(config, progress=Display().display)
        return {"changed": True}
