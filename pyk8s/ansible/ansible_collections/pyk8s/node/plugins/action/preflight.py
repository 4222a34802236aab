"""Refuse a bad inventory and unfit machines in one pass."""

from __future__ import annotations

import time
from typing import Any

from pyk8s.ansible.support import ControllerAction
from pyk8s.cluster.inventory import InventoryError
from pyk8s.cluster.model import Cluster
from pyk8s.cluster.preflight import machine_problems


class ActionModule(ControllerAction):
    """Name everything that is wrong, before anything is changed."""

    def act(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Validate inventory and machines; raises InventoryError with all problems."""
        problems: list[str] = []
        cluster: Cluster | None = None
        try:
            cluster = self.cluster(task_vars, strict=True)
        except InventoryError as error:
            problems += error.problems
        for host in task_vars["ansible_play_hosts_all"]:
            variables = task_vars["hostvars"].raw_get(host)
            probe = variables.get(self.arguments["probes"]) or {}
            options = {"fail_cgroup_v1": self._templar.template(variables.get("kubelet_fail_cgroup_v1", True))}
            problems += machine_problems(host, probe, cluster, now=time.time(), **options)
        if problems or cluster is None:
            raise InventoryError(str(task_vars.get("inventory_dir", "")), problems)
        return {"changed": False, "ansible_facts": {"cluster": cluster.config.model_dump()}}
