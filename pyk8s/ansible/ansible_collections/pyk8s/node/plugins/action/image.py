"""The controller's side of pyk8s.node.image: which image, and through which mirror."""

from __future__ import annotations

from typing import Any

from pyk8s.ansible.support import ControllerAction
from pyk8s.artifacts.catalog import load_catalog


class ActionModule(ControllerAction):
    """Ask for an image of the catalog."""

    def act(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Fill in reference and mirror; see the module's documentation."""
        config = self.cluster(task_vars).config
        row = load_catalog().release(config.kubernetes_version)
        reference = {"coredns": row.coredns_image, "pause": row.pause_image}[self.arguments["name"]]
        return self.module(
            "image", {**self.arguments, "reference": reference, "mirror": config.image_mirror}, task_vars
        )
