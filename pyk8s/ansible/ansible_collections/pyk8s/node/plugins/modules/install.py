#!/usr/bin/python
"""Install pinned binaries under a versioned folder and switch symlinks to it."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: install
short_description: Install a component's pinned binaries on a node
version_added: 0.1.0
author: the pyk8s authors
description:
  - Puts the binaries of a component into C(/opt/pyk8s/<component>/<version>-<checksum>/) and switches symlinks to them.
  - A second run compares names and sizes, not contents. The previous version stays beside it, for a rollback.
  - The binaries are pushed over the connection, or pulled by the node from C(artifact_mirror), as
    C(artifact_delivery) says.
options:
  component:
    description: Name of the component in the artifact catalog.
    type: str
    required: true
  link_directory:
    description: Where symlinks to the binaries are made; a link to the whole folder when C(link_folder) is true.
    type: path
    default: /usr/local/bin
  link_folder:
    description: Make C(link_directory) itself a symlink to the versioned folder.
    type: bool
    default: false
  folder:
    description: Filled in on the controller.
    type: str
  files:
    description: Filled in on the controller.
    type: dict
  archive:
    description: Filled in on the controller.
    type: path
  downloads:
    description: Filled in on the controller.
    type: list
    elements: dict
attributes:
  check_mode:
    support: full
    description: Says what would change.
  diff_mode:
    support: none
    description: Binaries are not compared by content.
"""

EXAMPLES = r"""
- name: Install the binaries
  pyk8s.node.install:
    component: kubelet
  notify: Restart kubelet
"""

RETURN = r"""
missing:
  description: Whether the version is not on the node yet.
  returned: always
  type: bool
folder:
  description: The folder that the symlinks point to.
  returned: always
  type: str
"""

import contextlib
import hashlib
import os
import shutil
import stat
import tarfile
import tempfile
import urllib.request
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.pyk8s.node.plugins.module_utils import records

Wanted = dict[str, Any]

ROOT = "/opt/pyk8s"
CHUNK = 1 << 20


class InstallError(Exception):
    """A binary that did not arrive as it should."""


def main() -> None:
    """Run the module."""
    arguments = {
        "component": {"type": "str", "required": True},
        "link_directory": {"type": "path", "default": "/usr/local/bin"},
        "link_folder": {"type": "bool", "default": False},
        "folder": {"type": "str"},
        "files": {"type": "dict"},
        "archive": {"type": "path"},
        "downloads": {"type": "list", "elements": "dict"},
    }
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True)
    if module.params["files"] is None:
        module.fail_json(
            msg="install is filled in by its action plugin on the controller; call it as pyk8s.node.install"
        )
    try:
        module.exit_json(**install(module.params, module.check_mode))
    except (OSError, InstallError, tarfile.TarError) as error:
        module.fail_json(msg=f"{module.params['component']} could not be installed: {error}")
    finally:
        if module.params["archive"] and not module.check_mode:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(module.params["archive"])


def install(wanted: Wanted, check_mode: bool) -> dict[str, Any]:
    """Bring folder and links about, as far as the binaries are at hand."""
    folder = os.path.join(ROOT, wanted["component"], wanted["folder"])
    missing = not complete(folder, wanted["files"])
    at_hand = wanted["archive"] or wanted["downloads"]
    if check_mode or (missing and not at_hand):
        changed = missing or bool(wrong_links(folder, wanted))
        return {"changed": changed, "missing": missing, "folder": folder}
    if missing:
        fill(folder, wanted)
    links = wrong_links(folder, wanted)
    for link, target in links:
        switch(link, target)
    if missing or links:
        records.write(wanted["component"], "install", record_of(folder, wanted))
    return {"changed": missing or bool(links), "missing": False, "folder": folder}


def complete(folder: str, files: Wanted) -> bool:
    """Say whether every binary stands in the folder with its size; the folder appears only once it is whole."""
    try:
        return all(os.stat(os.path.join(folder, name)).st_size == file["size"] for name, file in files.items())
    except OSError:
        return False


def fill(folder: str, wanted: Wanted) -> None:
    """Unpack or download the binaries beside their place, check every sum, and rename."""
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    staging = tempfile.mkdtemp(dir=os.path.dirname(folder), prefix=".incoming-")
    try:
        if wanted["archive"]:
            with tarfile.open(wanted["archive"]) as archive:
                extract(archive, {name: name for name in wanted["files"]}, staging)
        for download in wanted["downloads"] or []:
            pull(download, staging)
        for name, file in wanted["files"].items():
            check(os.path.join(staging, name), file["sha256"])
        os.chmod(staging, 0o755)
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(staging, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def pull(download: Wanted, staging: str) -> None:
    """Fetch one file from the mirror, check it, and take its members or the file itself."""
    target = os.path.join(staging, ".download")
    with urllib.request.urlopen(download["url"], timeout=60) as response, open(target, "wb") as file:
        shutil.copyfileobj(response, file, CHUNK)
    check(target, download["sha256"])
    if download["members"]:
        with tarfile.open(target) as archive:
            extract(archive, download["members"], staging)
        os.unlink(target)
    else:
        os.rename(target, os.path.join(staging, download["name"]))


def extract(archive: tarfile.TarFile, members: dict[str, str], staging: str) -> None:
    """Write the members, named by the file they become, as plain executables."""
    for name, member in members.items():
        try:
            source = archive.extractfile(member)
        except KeyError:
            source = None
        if source is None:
            raise InstallError(f"{member} is not a file in the archive")
        with source, open(os.path.join(staging, name), "wb") as file:
            shutil.copyfileobj(source, file, CHUNK)


def check(path: str, sha256: str) -> None:
    """Compare a file's sum; make it executable. Raises InstallError when it differs."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(CHUNK), b""):
            digest.update(chunk)
    if digest.hexdigest() != sha256:
        raise InstallError(f"{os.path.basename(path)} has the checksum {digest.hexdigest()}, not {sha256}")
    os.chmod(path, 0o755)


def links_of(folder: str, wanted: Wanted) -> dict[str, str]:
    """Return the wanted links, by path, with their targets."""
    directory = wanted["link_directory"]
    if wanted["link_folder"]:
        return {directory: folder}
    return {os.path.join(directory, name): os.path.join(folder, name) for name in sorted(wanted["files"])}


def wrong_links(folder: str, wanted: Wanted) -> list[tuple[str, str]]:
    """Return the (link, target) pairs that do not stand yet."""
    pairs = links_of(folder, wanted).items()
    return [(link, target) for link, target in pairs if not (os.path.islink(link) and os.readlink(link) == target)]


def record_of(folder: str, wanted: Wanted) -> dict[str, Any]:
    """Return what the node shall remember: enough to see later, without hashing, that nothing is amiss."""
    sizes = {name: file["size"] for name, file in wanted["files"].items()}
    links = links_of(folder, wanted)
    return {"folder": folder, "previous": previous(wanted, folder), "sizes": sizes, "links": links}


def switch(link: str, target: str) -> None:
    """Point a symlink at its target in one step. A folder in its place that is not ours is kept aside."""
    os.makedirs(os.path.dirname(link), exist_ok=True)
    if os.path.lexists(link) and stat.S_ISDIR(os.lstat(link).st_mode):
        os.rename(link, link + ".before-pyk8s")
    temporary = link + ".pyk8s-new"
    if os.path.lexists(temporary):
        os.unlink(temporary)
    os.symlink(target, temporary)
    os.rename(temporary, link)


def previous(wanted: Wanted, folder: str) -> str | None:
    """Return the folder in use before, for a rollback."""
    known = records.read(wanted["component"], "install")
    return known.get("previous") if known.get("folder") == folder else known.get("folder")


if __name__ == "__main__":
    main()
