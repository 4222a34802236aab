"""What a node remembers of the components placed on it: ``/var/lib/pyk8s/<component>.<kind>.json``.

A record holds what was placed and the moment of the last change, so that a unit started before that
moment is known to run something older, whatever became of the run that made the change.
"""

from __future__ import annotations

import json
import os
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
