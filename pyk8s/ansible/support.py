"""What the action plugins share: the typed cluster, the node at hand, errors that people can read."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from pyk8s import paths
from pyk8s.cluster import inventory
from pyk8s.cluster.config import ClusterConfig
from pyk8s.cluster.model import Cluster, Node
from pyk8s.errors import Pyk8sError
from pyk8s.render import RenderedFile

CONNECTION_KEYS = (
    "ansible_host",
    "ansible_port",
    "ansible_user",
    "ansible_ssh_private_key_file",
    "ansible_ssh_common_args",
)
USED_KEYS = (*ClusterConfig.model_fields, *inventory.HOST_KEYS, *CONNECTION_KEYS)


class ControllerAction(ActionBase):  # type: ignore[misc]
    """An action whose work is done in Python: subclasses write ``act`` and may raise Pyk8sError."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the action; a Pyk8sError becomes the task's failure, word for word."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        try:
            return {**result, **self.act(task_vars or {})}
        except Pyk8sError as error:
            raise AnsibleActionFail(str(error)) from error

    def act(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Do the work; return what the task shall report."""
        raise NotImplementedError

    @property
    def arguments(self) -> dict[str, Any]:
        """The task's arguments, templated."""
        return dict(self._task.args)

    @property
    def check_mode(self) -> bool:
        """Whether nothing may be changed."""
        return bool(self._task.check_mode)

    def cluster(self, task_vars: dict[str, Any], *, strict: bool = False) -> Cluster:
        """Return the validated cluster of this inventory; raises InventoryError naming all that is wrong."""
        hostvars = task_vars["hostvars"]
        known = {
            host: self._variables(hostvars.raw_get(host), strict=strict) for host in sorted(set(hostvars), key=str)
        }
        ordered = {host: known[host] for host in task_vars["groups"]["all"]}
        return inventory.from_hostvars(
            ordered, task_vars["groups"], str(task_vars.get("inventory_dir", "")), strict=strict
        )

    def node(self, task_vars: dict[str, Any], cluster: Cluster) -> Node:
        """Return the node that this task runs for."""
        return cluster.node(str(task_vars["inventory_hostname"]))

    def role_variables(self, task_vars: dict[str, Any], component: str) -> dict[str, Any]:
        """Return the templated variables that carry the component's name as prefix, and the task's ``vars``."""
        prefix = component.replace("-", "_") + "_"
        named = {key: self._templar.template(value) for key, value in task_vars.items() if key.startswith(prefix)}
        machine = self.probe(task_vars).get("machine")
        return {**({"machine": machine} if machine else {}), **named, **self.arguments.get("vars", {})}

    def probe(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return what this run's probe of the machine said (see pyk8s.node.probe); nothing if there was none."""
        return dict(task_vars.get("__preflight_probe") or {})

    def nothing_yet(self, task_vars: dict[str, Any], cluster: Cluster) -> bool:
        """Whether this is a preview (``--check``) of a first installation: there is no API yet that could be asked."""
        if not self.check_mode:
            return False
        if not (cluster.directory / "pki" / "super-admin.crt").exists():
            return True
        probes = [self.probe(task_vars["hostvars"].raw_get(node.name)) for node in cluster.control_plane]
        return all("kube-apiserver" not in probe["machine"]["placed"] for probe in probes if "machine" in probe)

    def probed(self, task_vars: dict[str, Any], what: str) -> dict[str, str]:
        """Return what the probe found of our own: ``placed`` or ``installed``, by component."""
        return dict((self.probe(task_vars).get("machine") or {}).get(what) or {})

    def module(self, name: str, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Run a module of this collection on the node."""
        result: dict[str, Any] = self._execute_module(f"pyk8s.node.{name}", arguments, task_vars=task_vars)
        return result

    def _variables(self, raw: Mapping[str, Any], *, strict: bool) -> dict[str, Any]:
        values = {key: self._templar.template(raw[key]) for key in USED_KEYS if key in raw}
        return {**dict.fromkeys(raw), **values} if strict else values


def shipped(file: RenderedFile) -> dict[str, Any]:
    """Return a rendered file as the place module takes it."""
    owned = {"owner": file.owned.owner, "group": file.owned.group, "mode": file.owned.mode}
    return {"path": file.path, "content": base64.b64encode(file.content).decode(), "secret": file.secret, **owned}


def role_defaults(role: str) -> dict[str, Any]:
    """Return a role's default variables, for rendering without Ansible."""
    import yaml

    path = paths.ROLES / role / "defaults" / "main.yml"
    return (yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.exists() else {}
