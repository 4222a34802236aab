"""What this machine can give to a node: capabilities, cgroup version, limits. Worked out, never assumed."""

from __future__ import annotations

import dataclasses
import platform
import re
import shutil
from pathlib import Path

from pyk8s.errors import Pyk8sError

_NAMES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT "
    "SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP "
    "MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
)
CAPABILITIES = tuple(_NAMES.split())
"""Names in the order of their bits, from ``linux/capability.h``."""

NEEDED = frozenset({"SYS_ADMIN", "NET_ADMIN", "MKNOD", "SYS_CHROOT"})
YOUNG = frozenset({"PERFMON", "BPF", "CHECKPOINT_RESTORE"})
"""Capabilities that Docker refuses by name before version 23."""
WANTED_OPEN_FILES = 1_048_576
ROOM_BYTES = 3 * 1024**3


@dataclasses.dataclass(frozen=True)
class Host:
    """This machine as far as nodes are concerned."""

    capabilities: frozenset[str]
    all_capabilities: bool
    cgroup_version: int
    swap: bool
    kmsg: bool
    modules: bool


def parse_capabilities(mask: str, last: int) -> tuple[frozenset[str], bool]:
    """Return the names in a hexadecimal mask as in ``CapBnd``, and whether all bits up to ``last`` are set."""
    bits = int(mask, 16)
    names = frozenset(name for bit, name in enumerate(CAPABILITIES) if bits >> bit & 1)
    return names, all(bits >> bit & 1 for bit in range(last + 1))


def known_to_engine(names: frozenset[str], engine_version: str) -> frozenset[str]:
    """Leave out the capabilities that this version of Docker does not know."""
    major = re.match(r"\d+", engine_version)
    return names if major and int(major[0]) >= 23 else names - YOUNG


def examine() -> Host:
    """Look at this machine; raises Pyk8sError where it cannot hold nodes at all."""
    if platform.system() != "Linux":
        raise Pyk8sError(
            f"the lab needs Linux, this is {platform.system()}",
            "its nodes are containers with systemd",
            "run it in a Linux VM, or name your own machines in an inventory (see inventory/sample)",
        )
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    found = re.search(r"^CapBnd:\s*([0-9a-f]+)$", status, re.MULTILINE)
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text(encoding="ascii"))
    names, complete = parse_capabilities(found[1] if found else "0", last)
    if missing := sorted(NEEDED - names):
        raise Pyk8sError(
            "this machine cannot hold nodes", f"its processes may never have {', '.join(missing)}", "use a VM instead"
        )
    return Host(
        capabilities=names,
        all_capabilities=complete,
        cgroup_version=2 if Path("/sys/fs/cgroup/cgroup.controllers").exists() else 1,
        swap=len(Path("/proc/swaps").read_text(encoding="ascii").splitlines()) > 1,
        kmsg=Path("/dev/kmsg").exists(),
        modules=Path("/lib/modules").is_dir(),
    )


def check_room(path: Path, needed: int = ROOM_BYTES) -> None:
    """Raise Pyk8sError unless ``needed`` bytes are free on the disk that holds ``path``."""
    while not path.exists():
        path = path.parent
    free = shutil.disk_usage(path).free
    if free < needed:
        raise Pyk8sError(
            f"not enough room below {path}",
            f"{free / 1024**3:.1f} GiB are free, the lab needs {needed / 1024**3:.0f}",
            "free some, or set PYK8S_CACHE to a folder on another disk",
        )
