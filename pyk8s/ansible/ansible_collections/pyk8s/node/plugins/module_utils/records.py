"""What a node remembers of the components placed on it: ``/var/lib/pyk8s/<component>.<kind>.json``.

A record holds what was placed and the moment of the last change, so that a unit started before that
moment is known to run something older, whatever became of the run that made the change.
"""

from __future__ import annotations

import grp
import hashlib
import json
import os
import pwd
import tempfile
import time
from typing import Any

DIRECTORY = "/var/lib/pyk8s"


def read(component: str, kind: str) -> dict[str, Any]:
    """Return a component's record; empty when there is none or it cannot be read."""
    try:
        with open(_path(component, kind), encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


def all_of(kind: str) -> dict[str, dict[str, Any]]:
    """Return the records of every component, by name."""
    suffix = f".{kind}.json"
    names = os.listdir(DIRECTORY) if os.path.isdir(DIRECTORY) else []
    return {name[: -len(suffix)]: read(name[: -len(suffix)], kind) for name in names if name.endswith(suffix)}


def write(component: str, kind: str, record: dict[str, Any]) -> None:
    """Write a component's record, stamped with this moment of this boot."""
    os.makedirs(DIRECTORY, mode=0o700, exist_ok=True)
    stamped = {**record, "boot": boot(), "changed": time.clock_gettime(time.CLOCK_MONOTONIC)}
    write_atomically(_path(component, kind), json.dumps(stamped, sort_keys=True).encode(), 0o600, 0, 0)


def changed_since(components: list[str], started: float) -> bool:
    """Say whether any record changed after ``started``, in seconds of this boot's monotonic clock."""
    kept = [read(component, kind) for component in components for kind in ("place", "install")]
    return any(record.get("boot") == boot() and record.get("changed", 0) > started for record in kept)


def line(path: str, mode: str, owner: str, group: str, content: bytes | None) -> str:
    """Describe a file, or a directory where there is no content, in one line that differs when it does."""
    return f"{path} {mode} {owner} {group} {hashlib.sha256(content).hexdigest() if content is not None else '/'}"


def digest(lines: list[str]) -> str:
    """Return one sum for many lines, in whatever order."""
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def found(path: str) -> str:
    """Describe what stands at a path the way ``line`` does; nothing where there is nothing."""
    try:
        status = os.stat(path)
        content = None
        if not os.path.isdir(path):
            with open(path, "rb") as file:
                content = file.read()
        owner, group = pwd.getpwuid(status.st_uid).pw_name, grp.getgrgid(status.st_gid).gr_name
    except (OSError, KeyError):
        return ""
    return line(path, f"{status.st_mode & 0o7777:04o}", owner, group, content)


def placed() -> dict[str, str]:
    """Return, by component, the digest of what really stands where its files were placed."""
    return {name: digest([found(path) for path in record["paths"]]) for name, record in all_of("place").items()}


def installed() -> dict[str, str]:
    """Return, by component, the folder in use, where it is whole and all links point into it."""
    return {name: record["folder"] for name, record in all_of("install").items() if is_whole(record)}


def is_whole(record: dict[str, Any]) -> bool:
    """Say whether a component's binaries have their sizes and its links their targets."""
    try:
        folder = record["folder"]
        sizes = all(os.stat(os.path.join(folder, name)).st_size == size for name, size in record["sizes"].items())
        return sizes and all(os.readlink(link) == target for link, target in record["links"].items())
    except (OSError, KeyError):
        return False


def boot() -> str:
    """Return the kernel's identifier of this boot."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def write_atomically(path: str, content: bytes, mode: int, uid: int, gid: int) -> None:
    """Write a file beside its place and rename it, so that no reader sees half of it."""
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".pyk8s-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
            os.fchown(file.fileno(), uid, gid)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _path(component: str, kind: str) -> str:
    return os.path.join(DIRECTORY, f"{component}.{kind}.json")
