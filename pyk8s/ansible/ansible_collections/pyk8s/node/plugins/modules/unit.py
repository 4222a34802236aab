#!/usr/bin/python
"""Start or restart a systemd unit and wait until the component itself says that it is ready."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: unit
short_description: Run a unit and wait until its component is ready
version_added: 0.1.0
author: the pyk8s authors
description:
  - Enables and starts a unit, or restarts it where it runs something older than what was last placed or installed,
    and waits until its component says that it is ready.
  - When it does not become ready, the error carries the last ten lines of the unit's log.
  - A unit that runs something older is reported as changed by C(state=started), so that a handler can restart it,
    even where an earlier run was interrupted before its handlers.
  - C(state=restarted) is skipped, without asking the machine, where C(state=started) found the unit fresh in this run;
    a unit that was only just started is not restarted by the handler that it notifies.
options:
  name:
    description: The unit, without C(.service).
    type: str
    required: true
  state:
    description: C(restarted) restarts only what is older than its files.
    type: str
    choices: [started, restarted]
    default: started
  optional:
    description: A unit that its component does not place, since it is not wanted, is stopped and disabled instead.
    type: bool
    default: false
  components:
    description: The components whose files and binaries the unit runs with; its own name when absent.
    type: list
    elements: str
    default: []
  ready_url:
    description: Ready when this answers 200; C(ready_ca), C(ready_cert) and C(ready_key) are files for TLS.
    type: str
  ready_ca:
    description: The authority that the answer must come from; without it any certificate on 127.0.0.1 will do.
    type: path
  ready_cert:
    description: Client certificate.
    type: path
  ready_key:
    description: Its key.
    type: path
  ready_command:
    description: Ready when this ends with 0.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds to wait.
    type: int
    default: 90
  among:
    description:
      - The group of machines that do this together. A restart waits until enough of the others are ready to do without
        this one, a majority of C(etcd) or one other of C(control_plane). Where they are not within 30 s it is left to
        the next run, with a warning.
    type: str
    choices: [etcd, control_plane]
  peers:
    description: The addresses at which the others say that they are ready; filled in from C(among).
    type: list
    elements: str
    default: []
  peers_needed:
    description: How many of them must; filled in from C(among).
    type: int
    default: 0
attributes:
  check_mode:
    support: full
    description: Says whether it would start or restart the unit.
  diff_mode:
    support: none
    description: There is nothing to compare.
"""

EXAMPLES = r"""
- name: Start the scheduler and wait until it is healthy
  pyk8s.node.unit:
    name: kube-scheduler
    ready_url: https://127.0.0.1:10259/healthz
"""

RETURN = r"""
seconds:
  description: How long it took to become ready.
  returned: always
  type: float
stale:
  description: Whether the unit ran something older than its files.
  returned: always
  type: bool
postponed:
  description: Why a restart that is due was left to the next run; nothing where none was.
  returned: always
  type: str
"""

import http.client
import os
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.pyk8s.node.plugins.module_utils import records

POLL_SECONDS = 0.2
PEERS_SECONDS = 30


def main() -> None:
    """Run the module."""
    arguments = {
        "name": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["started", "restarted"], "default": "started"},
        "optional": {"type": "bool", "default": False},
        "components": {"type": "list", "elements": "str", "default": []},
        "ready_url": {"type": "str"},
        "ready_ca": {"type": "path"},
        "ready_cert": {"type": "path"},
        "ready_key": {"type": "path", "no_log": False},
        "ready_command": {"type": "list", "elements": "str", "default": []},
        "timeout": {"type": "int", "default": 90},
        "among": {"type": "str", "choices": ["etcd", "control_plane"]},
        "peers": {"type": "list", "elements": "str", "default": []},
        "peers_needed": {"type": "int", "default": 0},
    }
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True)
    params = module.params
    status = show(params["name"])
    if params["optional"] and not records.read(params["name"], "place").get("paths"):
        leave(module, status)
    stale = is_stale(status, params["components"] or [params["name"]])
    action = next_action(status, params["state"], stale)
    postponed = missed(params) if action == "restart" else ""
    if postponed:
        module.warn(f"{params['name']} was not restarted: {postponed}")
        module.exit_json(changed=False, stale=stale, postponed=postponed, seconds=0.0)
    changed = bool(action) or stale or status["UnitFileState"] not in {"enabled", "static"}
    begun = time.monotonic()
    if not module.check_mode:
        run(module, status, action)
        wait(module, begun)
    seconds = round(time.monotonic() - begun, 2)
    module.exit_json(changed=changed, stale=stale and action != "restart", postponed="", seconds=seconds)


def show(name: str) -> dict[str, str]:
    """Return the properties of the unit that matter here."""
    started = "ExecMainStartTimestampMonotonic,InactiveExitTimestampMonotonic"
    wanted = f"LoadState,ActiveState,UnitFileState,NeedDaemonReload,{started}"
    done = subprocess.run(
        ["systemctl", "show", f"--property={wanted}", name], capture_output=True, text=True, check=True
    )
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


def is_stale(status: dict[str, str], components: list[str]) -> bool:
    """Say whether the running unit was started before its files last changed."""
    if status["ActiveState"] not in {"active", "activating", "reloading"}:
        return False
    started = status.get("ExecMainStartTimestampMonotonic") or status["InactiveExitTimestampMonotonic"]
    return records.changed_since(components, int(started) / 1e6)


def next_action(status: dict[str, str], state: str, stale: bool) -> str:
    """Return what systemctl has to do: start, restart or nothing."""
    if status["ActiveState"] in {"active", "reloading"}:
        return "restart" if state == "restarted" and stale else ""
    return "restart" if status["ActiveState"] == "activating" and stale else "start"


def leave(module: AnsibleModule, status: dict[str, str]) -> None:
    """Stop and disable a unit that is not wanted, and end."""
    changed = status["ActiveState"] not in {"inactive", "failed"} or status["UnitFileState"] == "enabled"
    if changed and not module.check_mode:
        subprocess.run(["systemctl", "disable", "--now", "--quiet", module.params["name"]], check=True)
    module.exit_json(changed=changed, stale=False, postponed="", seconds=0.0)


def run(module: AnsibleModule, status: dict[str, str], action: str) -> None:
    """Reload systemd where it is behind, enable the unit, and start or restart it."""
    name = module.params["name"]
    if status["NeedDaemonReload"] == "yes" or status["LoadState"] == "not-found":
        subprocess.run(["systemctl", "daemon-reload"], check=True)
        status = show(name)
    if status["LoadState"] != "loaded":
        module.fail_json(msg=f"systemd cannot load {name}: it is {status['LoadState']}; see systemctl status {name}")
    if status["UnitFileState"] not in {"enabled", "static"}:
        subprocess.run(["systemctl", "enable", "--quiet", name], check=True)
    if action:
        subprocess.run(["systemctl", "reset-failed", name], check=False, capture_output=True)
        done = subprocess.run(["systemctl", action, name], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            module.fail_json(msg=f"{name} did not {action}: {done.stderr.strip()}\n{journal(name)}")


def wait(module: AnsibleModule, begun: float) -> None:
    """Poll until the component is ready; fail with its log when it is not in time."""
    params = module.params
    problem = "it was never asked"
    while time.monotonic() - begun < params["timeout"]:
        problem = not_ready(params)
        if not problem:
            return
        time.sleep(POLL_SECONDS)
    where = params["ready_url"] or " ".join(params["ready_command"])
    problem = f"{where} says {problem}\n{journal(params['name'])}"
    module.fail_json(msg=f"{params['name']} is not ready after {params['timeout']} s: {problem}")


def not_ready(params: dict[str, Any]) -> str:
    """Ask the component; return what is wrong, or nothing when it is ready."""
    if show(params["name"])["ActiveState"] == "failed":
        return "its unit has failed"
    if params["ready_command"]:
        done = subprocess.run(params["ready_command"], capture_output=True, text=True, check=False, env=environment())
        return "" if done.returncode == 0 else (done.stderr or done.stdout).strip()[-400:]
    if params["ready_url"]:
        return ask(params["ready_url"], params)
    return ""


def missed(params: dict[str, Any]) -> str:
    """Wait until enough of the others are ready to do without this one; return what is missing, or nothing."""
    begun = time.monotonic()
    while True:
        answers = {url: ask(url, params) for url in params["peers"]}
        absent = [f"{url} says {problem}" for url, problem in answers.items() if problem]
        if len(answers) - len(absent) >= params["peers_needed"]:
            return ""
        if time.monotonic() - begun > PEERS_SECONDS:
            wanted = f"{params['peers_needed']} of the others must be ready to do without it"
            return f"{wanted}, and {'; '.join(absent)}. Run this again when they are back"
        time.sleep(POLL_SECONDS)


def environment() -> dict[str, str]:
    """Return an environment in which the installed binaries are found, with etcdctl's current API."""
    return {**os.environ, "PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "ETCDCTL_API": "3"}


def ask(url: str, params: dict[str, Any]) -> str:
    """Fetch the URL; return what is wrong, or nothing when it answers 200."""
    try:
        context = None
        if url.startswith("https:"):
            context = ssl.create_default_context(cafile=params["ready_ca"])
            if not params["ready_ca"]:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
        if context and params["ready_cert"]:
            context.load_cert_chain(params["ready_cert"], params["ready_key"])
        with urllib.request.urlopen(url, timeout=5, context=context) as response:
            return "" if response.status == 200 else f"status {response.status}"
    except urllib.error.HTTPError as error:
        return f"status {error.code}: {error.read(400).decode(errors='replace').strip()}"
    except (OSError, http.client.HTTPException) as error:
        return str(error)


def journal(name: str) -> str:
    """Return the last ten lines of the unit's log."""
    command = ["journalctl", "--unit", name, "--lines", "10", "--no-pager", "--output", "cat"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return f"the last lines of {name}'s log:\n{done.stdout.strip()}"


if __name__ == "__main__":
    main()
