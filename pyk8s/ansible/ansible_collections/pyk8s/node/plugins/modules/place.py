#!/usr/bin/python
"""Place a component's files on a node, whole and atomically."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: place
short_description: Place a component's rendered tree on a node
version_added: 0.1.0
author: the pyk8s authors
description:
  - Renders C(templates/<component>/), which mirrors a node's root, on the controller, adds the component's
    certificates and kubeconfigs, and ships the tree in one call.
  - Writes atomically, and only what differs. Files that an earlier run placed and this one does not are removed.
  - What is not stated otherwise in C(templates/<component>/tree.yml) is owned by root with mode 0600.
options:
  component:
    description: Name of the folder below C(templates/); role variables with this name as prefix are passed to it.
    type: str
    required: true
  vars:
    description: Further values for the templates.
    type: dict
    default: {}
  files:
    description: Filled in on the controller.
    type: list
    elements: dict
  directories:
    description: Filled in on the controller.
    type: list
    elements: dict
attributes:
  check_mode:
    support: full
    description: Says what would change.
  diff_mode:
    support: full
    description: Shows what differs, but never of secrets.
"""

EXAMPLES = r"""
- name: Place the configuration and the unit
  pyk8s.node.place:
    component: etcd
  notify: Restart etcd
"""

RETURN = r"""
paths:
  description: The paths that were written, removed, or whose owner or mode was set.
  returned: always
  type: list
  elements: str
"""

import base64
import grp
import os
import pwd
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.pyk8s.node.plugins.module_utils import records

Wanted = dict[str, Any]


def main() -> None:
    """Run the module."""
    arguments = {
        "component": {"type": "str", "required": True},
        "vars": {"type": "dict", "default": {}},
        "files": {"type": "list", "elements": "dict"},
        "directories": {"type": "list", "elements": "dict"},
    }
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True)
    if module.params["files"] is None:
        module.fail_json(msg="place is filled in by its action plugin on the controller; call it as pyk8s.node.place")
    try:
        paths, diffs = place(module.params, module.check_mode)
    except (OSError, KeyError) as error:
        module.fail_json(msg=f"the files of {module.params['component']} could not be placed: {error}")
    module.exit_json(changed=bool(paths), paths=paths, diff=diffs)


def place(wanted: Wanted, check_mode: bool) -> tuple[list[str], list[dict[str, str]]]:
    """Bring the tree about; return the paths that changed and their diffs."""
    changed, diffs = [], []
    for directory in wanted["directories"]:
        if ensure_directory(directory, check_mode):
            changed.append(directory["path"])
    for file in wanted["files"]:
        difference = ensure_file(file, check_mode)
        if difference is not None:
            changed.append(file["path"])
            diffs.append(difference)
    kept = [file["path"] for file in wanted["files"]]
    changed += remove_stale(wanted["component"], kept, check_mode)
    everything = [*kept, *(directory["path"] for directory in wanted["directories"])]
    known = records.read(wanted["component"], "place")
    if not check_mode and (changed or known.get("paths") != everything):
        records.write(wanted["component"], "place", {"paths": everything})
    return changed, diffs


def ensure_directory(wanted: Wanted, check_mode: bool) -> bool:
    """Create a directory or set its owner and mode; return whether anything differed."""
    path, mode, (uid, gid) = wanted["path"], int(wanted["mode"], 8), owner_of(wanted, check_mode)
    if os.path.isdir(path) and same_owner(os.stat(path), mode, uid, gid):
        return False
    if not check_mode:
        os.makedirs(path, exist_ok=True)
        os.chown(path, uid, gid)
        os.chmod(path, mode)
    return True


def ensure_file(wanted: Wanted, check_mode: bool) -> dict[str, str] | None:
    """Write a file when its content, owner or mode differs; return a diff, None when nothing did."""
    path, content = wanted["path"], base64.b64decode(wanted["content"])
    mode, (uid, gid) = int(wanted["mode"], 8), owner_of(wanted, check_mode)
    before = None
    if os.path.isfile(path):
        with open(path, "rb") as file:
            before = file.read()
        if before == content and same_owner(os.stat(path), mode, uid, gid):
            return None
    if not check_mode:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        records.write_atomically(path, content, mode, uid, gid)
    shown = {"before_header": path, "after_header": path}
    if wanted["secret"]:
        return {**shown, "before": "(secret)\n", "after": "(secret, different or with another owner or mode)\n"}
    return {**shown, "before": (before or b"").decode(errors="replace"), "after": content.decode(errors="replace")}


def remove_stale(component: str, kept: list[str], check_mode: bool) -> list[str]:
    """Remove what an earlier run placed for this component and no component places any more."""
    others = {path for name, record in records.all_of("place").items() if name != component for path in record["paths"]}
    stale = [
        path for path in records.read(component, "place").get("paths", []) if path not in kept and path not in others
    ]
    present = [path for path in stale if os.path.lexists(path) and not os.path.isdir(path)]
    for path in present:
        if not check_mode:
            os.unlink(path)
    return present


def owner_of(wanted: Wanted, check_mode: bool) -> tuple[int, int]:
    """Return user and group as numbers; a user that a dry run has not created yet counts as root."""
    try:
        return pwd.getpwnam(wanted["owner"]).pw_uid, grp.getgrnam(wanted["group"]).gr_gid
    except KeyError:
        if check_mode:
            return 0, 0
        raise


def same_owner(status: os.stat_result, mode: int, uid: int, gid: int) -> bool:
    """Say whether a path's mode, user and group are the wanted ones."""
    return (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (mode, uid, gid)


if __name__ == "__main__":
    main()
