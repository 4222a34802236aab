"""The PKI's folder on the controller: locked, private, and never half-written."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from pyk8s.errors import Pyk8sError

LOCK_TIMEOUT = 60.0
"""Seconds to wait for another process that works on the same folder."""
_STAGED = ".staged"


def mode_of(name: str) -> int:
    """Return the mode of a file: certificates and public keys may be read, everything else only by its owner."""
    return 0o644 if name.endswith((".crt", ".pub")) else 0o600


def write_atomically(path: Path, content: bytes, mode: int, *, durable: bool = False) -> None:
    """Write a file whole or not at all; ``durable`` waits until it is on the disk."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as stream:
            os.fchmod(handle, mode)
            stream.write(content)
            if durable:
                stream.flush()
                os.fsync(handle)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


class Store:
    """A PKI folder. Names are paths below it, such as ``nodes/cp1/apiserver.crt``."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def read(self, name: str) -> bytes | None:
        """Return a file's content, None when there is no such file."""
        try:
            return (self.directory / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Write a file atomically, with the mode that its name asks for."""
        path = self.directory / name
        for folder in reversed(Path(name).parents):
            (self.directory / folder).mkdir(exist_ok=True, mode=0o700)
        write_atomically(path, content, mode_of(name))

    def certificates(self) -> list[str]:
        """Return the names of all certificates, the authorities' included, sorted."""
        found = (path.relative_to(self.directory) for path in self.directory.rglob("*.crt"))
        return sorted(str(path) for path in found if not path.parts[0].startswith("."))

    def write_together(self, files: Mapping[str, bytes]) -> None:
        """Write several files of the folder itself, all or none, even if the machine stops in between.

        They are complete in a staging folder before the first takes its place; ``lock`` finishes what was begun.
        """
        staging = Path(tempfile.mkdtemp(dir=self.directory, prefix=f"{_STAGED}-"))
        for name, content in files.items():
            write_atomically(staging / name, content, mode_of(name), durable=True)
        _sync(staging)
        staging.replace(self.directory / _STAGED)
        self._finish()

    @contextlib.contextmanager
    def lock(self, *, shared: bool = False) -> Iterator[None]:
        """Hold the folder: alone to write (it is made when absent), ``shared`` to read (nothing is made).

        Raises Pyk8sError when another process holds it for too long.
        """
        if shared and not self.directory.is_dir():
            yield
            return
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.directory.chmod(0o700)
        handle = os.open(self.directory / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            alone = not shared or self._leftovers()
            self._acquire(handle, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            if alone:
                self._finish()
            yield
        finally:
            os.close(handle)

    def _acquire(self, handle: int, kind: int) -> None:
        deadline = time.monotonic() + LOCK_TIMEOUT
        while True:
            try:
                fcntl.flock(handle, kind | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Pyk8sError(
                        f"the PKI in {self.directory} is locked",
                        f"another process has held it for more than {LOCK_TIMEOUT:.0f} s",
                        "wait for it to end, or end it, and run again",
                    ) from None
                time.sleep(0.02)

    def _leftovers(self) -> bool:
        return any(self.directory.glob(f"{_STAGED}*"))

    def _finish(self) -> None:
        """Put a complete set in its place, and drop what an interrupted process had only begun."""
        staged = self.directory / _STAGED
        for path in sorted(staged.iterdir()) if staged.is_dir() else ():
            path.replace(self.directory / path.name)
        _sync(self.directory)
        for folder in self.directory.glob(f"{_STAGED}*"):
            shutil.rmtree(folder)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
