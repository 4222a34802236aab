"""The controller's side of pyk8s.node.unit: no machine is asked to restart what this run found fresh."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible import constants

from pyk8s.ansible.support import ControllerAction


class ActionModule(ControllerAction):
    """Start a unit, or restart it where it is stale."""

    def act(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Run the module and keep as a fact whether the unit is stale; see the module's documentation."""
        fact = f"stale_{self.arguments['name'].replace('-', '_')}"
        restart = self.arguments.get("state") == "restarted"
        if restart and task_vars.get("ansible_facts", {}).get(fact) is False:
            return {"changed": False, "skipped": True, "skip_reason": "it runs what was last placed and installed"}
        failed = Path(constants.DEFAULT_LOCAL_TMP, f"{self.arguments['name']}.failed")
        in_turn = restart and self._task.throttle == 1
        if in_turn and failed.exists():
            return {"failed": True, "msg": self._spared(failed.read_text(encoding="utf-8"))}
        answer: dict[str, Any] = {"failed": True}
        try:
            answer = self.module("unit", {**self.arguments, **self._peers(task_vars)}, task_vars)
        finally:
            if in_turn and answer.get("failed"):
                failed.write_text(str(task_vars["inventory_hostname"]), encoding="utf-8")
        if not restart and "stale" in answer:
            answer["ansible_facts"] = {fact: answer["stale"]}
        return answer

    def _spared(self, where: str) -> str:
        """Say why this machine is left as it is: Ansible itself restarts on every machine before it counts failures."""
        name = self.arguments["name"]
        return (
            f"{name} was not restarted here: on {where} it did not come back, and the same might happen here. "
            f"Mend it on {where} (journalctl -u {name}), then run this again"
        )

    def _peers(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return where the others of its group say that they are ready, and how many of them must."""
        group = self.arguments.get("among")
        if not group:
            return {}
        cluster = self.cluster(task_vars)
        others = [node for node in getattr(cluster, group) if node != self.node(task_vars, cluster)]
        if group == "etcd":
            urls, needed = [f"https://{node.address}:2379/health" for node in others], cluster.etcd_quorum
        else:
            urls, needed = [f"{cluster.api_url_of(node.address)}/readyz" for node in others], 1
        return {"peers": urls, "peers_needed": needed if others else 0}
