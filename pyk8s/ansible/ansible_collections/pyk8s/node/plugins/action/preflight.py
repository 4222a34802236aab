"""Refuse a bad inventory and unfit machines in one pass."""

from __future__ import annotations

import time
from typing import Any

from ansible.utils.display import Display

from pyk8s.ansible.support import ControllerAction
from pyk8s.cluster.inventory import InventoryError
from pyk8s.cluster.model import Cluster
from pyk8s.cluster.preflight import machine_problems, new_members, without_the_dead


class ActionModule(ControllerAction):
    """Name everything that is wrong, before anything is changed."""

    def act(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Validate inventory and machines, or leave out one that is down, as ``state`` says."""
        if self.arguments.get("state") == "left_out":
            return {"unreachable": True, "msg": "it is down: this run goes on without it"}
        return self._validate(task_vars)

    def _validate(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Raise InventoryError with all problems; return the cluster's keys, and warn of machines that are down."""
        problems: list[str] = []
        cluster: Cluster | None = None
        try:
            cluster = self.cluster(task_vars, strict=True)
        except InventoryError as error:
            problems += error.problems
        variables = {host: task_vars["hostvars"].raw_get(host) for host in task_vars["ansible_play_hosts_all"]}
        probes = {host: known.get(self.arguments["probes"]) or {} for host, known in variables.items()}
        down = without_the_dead(probes, cluster)
        problems += [*down.problems, *new_members(probes, cluster)]
        for host, probe in probes.items():
            if not probe.get("unreachable"):
                options = {
                    "fail_cgroup_v1": self._templar.template(variables[host].get("kubelet_fail_cgroup_v1", True))
                }
                problems += machine_problems(host, probe, cluster, now=time.time(), **options)
        if problems or cluster is None:
            raise InventoryError(str(task_vars.get("inventory_dir", "")), problems)
        for host, why in down.left_out.items():
            Display().warning(f"{host} is down and left out ({why}); run this again when it is back")
        return {"changed": False, "ansible_facts": {"cluster": cluster.config.model_dump()}}
