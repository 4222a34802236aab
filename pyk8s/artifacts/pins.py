"""Checksums that no catalog knows: taken from the ``.sha256`` beside the file on first use, and held to ever after."""

from __future__ import annotations

import re
import threading
from pathlib import Path

from pyk8s.artifacts.store import read_json, write_json
from pyk8s.errors import Pyk8sError


class Pins:
    """``lock.json``: sha256 by the address of the file. Several threads may use one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    def get(self, address: str) -> str | None:
        """Return the pinned sha256; None when the address is not pinned."""
        return (read_json(self.path) or {}).get(address)

    def pin(self, address: str, sha256: str, renew: bool = False) -> None:
        """Pin a sum; raises Pyk8sError when the address is pinned to another one, unless it is to be renewed."""
        with self._lock:
            pins = read_json(self.path) or {}
            known = pins.get(address)
            if known == sha256:
                return
            if known and not renew:
                raise Pyk8sError(
                    f"the checksum of {address} is not the one it had",
                    f"{known} was pinned in {self.path} on first use, {sha256} is said now",
                    "a release never changes: find out who changed it; for a mirror of your own that you built anew, "
                    "run `pyk8s artifacts fetch --refresh`",
                )
            write_json(self.path, {**pins, address: sha256})


def parse_sidecar(text: str, address: str) -> str:
    """Return the sum in a ``.sha256`` file, bare or as sha256sum writes it; raises Pyk8sError when there is none."""
    found = re.match(r"\s*([0-9a-fA-F]{64})\b", text)
    if not found:
        raise Pyk8sError(
            f"{address} holds no sha256", f"it begins {text[:60]!r}", "an answer by a proxy or a login page?"
        )
    return found[1].lower()
