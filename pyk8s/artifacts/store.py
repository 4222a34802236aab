"""The cache on the controller: executables by component, version and checksum, and which set uses which.

    store/<component>/<version>-<sha8>/     the executables, and nothing else
    store/<component>/<version>-<sha8>.json what they are: sums, sizes, times, where they came from
    sets/<version>-<arch>-<source>.json     which folders make one Kubernetes
    lock.json                               sums pinned on first use (pins.py)
    downloads/*.part                        broken-off downloads, resumed by the next run
    debian/                                 a build under way; removed when it is done

Everything appears by rename, so that nobody ever sees half of it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pyk8s.artifacts.model import Artifact, File
from pyk8s.errors import Pyk8sError


class DiskFullError(Pyk8sError):
    """No room for the cache."""


@contextlib.contextmanager
def room(path: Path) -> Iterator[None]:
    """Turn a full disk (or quota) below ``path`` into a DiskFullError; other errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        free = shutil.disk_usage(path if path.exists() else path.parent).free
        raise DiskFullError(
            f"the disk is full below {path}",
            f"{os.strerror(error.errno or 0)}; {free / 1e6:.0f} MB are free",
            "make room, or point PYK8S_CACHE at a larger disk, and run it again",
        ) from error


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_json(path: Path, value: object) -> None:
    """Write a JSON file whole or not at all; raises DiskFullError."""
    with room(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                json.dump(value, stream, indent=1, sort_keys=True)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def read_json(path: Path) -> dict[str, Any] | None:
    """Return a JSON object; None when there is no such file or it is no JSON object."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return value if isinstance(value, dict) else None


class Store:
    """The cache below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextlib.contextmanager
    def exclusive(self, say: Callable[[str], None]) -> Iterator[None]:
        """Let one process at a time fill the cache; the others wait, and say so."""
        with room(self.root), (self.root / "busy.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"another run is filling {self.root}: waiting for it")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give a folder on the cache's own disk that is gone afterwards, come what may."""
        with room(self.root):
            (self.root / "store").mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(dir=self.root / "store", prefix=".new-"))
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def add(self, artifact: Artifact, origin: str) -> Artifact:
        """Move an artifact's files (in a scratch folder of their own) into the store under their own name.

        ``origin`` says what it was made of, so that ``find`` can tell that it need not be made again.
        """
        target = self.root / "store" / artifact.component / artifact.folder
        target.parent.mkdir(parents=True, exist_ok=True)
        if not self._intact(target):
            shutil.rmtree(target, ignore_errors=True)
            artifact.directory.chmod(0o755)
            artifact.directory.rename(target)
        files = {name: dataclasses.replace(file, path=target / name) for name, file in artifact.files.items()}
        record = {
            "version": artifact.version,
            "origin": origin,
            "url": artifact.url,
            "url_sha256": artifact.url_sha256,
            "mirror_path": artifact.mirror_path,
            "archive_members": dict(artifact.archive_members),
            "files": {
                name: {"sha256": file.sha256, "size": file.size, "mtime": int(file.path.stat().st_mtime)}
                for name, file in files.items()
            },
        }
        write_json(_record_of(target), record)
        return dataclasses.replace(artifact, files=files)

    def find(self, component: str, origin: str) -> Artifact | None:
        """Return what was made of ``origin`` before, if it is still whole."""
        for path in sorted((self.root / "store" / component).glob("*.json")):
            record = read_json(path)
            if record and record.get("origin") == origin:
                found = self.load(component, path.stem)
                if found:
                    return found
        return None

    def load(self, component: str, folder: str) -> Artifact | None:
        """Return the artifact in a folder of the store; None when it is not there or no longer what it was."""
        directory = self.root / "store" / component / folder
        record = read_json(_record_of(directory))
        if record is None or not self._intact(directory):
            return None
        files = {
            name: File(name, directory / name, str(file["sha256"]), int(file["size"]))
            for name, file in record["files"].items()
        }
        keys = ("version", "url", "url_sha256", "mirror_path", "archive_members")
        return Artifact(component=component, files=files, **{key: record[key] for key in keys})

    def _intact(self, directory: Path) -> bool:
        """Trust size and time (seconds); hash only where the time differs, as after a copy of the cache."""
        record = read_json(_record_of(directory))
        if record is None:
            return False
        touched = False
        for name, file in record["files"].items():
            try:
                status = (directory / name).stat()
            except OSError:
                return False
            if status.st_size != file["size"]:
                return False
            if int(status.st_mtime) != file["mtime"]:
                if sha256_of(directory / name) != file["sha256"]:
                    return False
                file["mtime"], touched = int(status.st_mtime), True
        if touched:
            write_json(_record_of(directory), record)
        return True


def _record_of(directory: Path) -> Path:
    return directory.with_name(f"{directory.name}.json")


def gather(directory: Path) -> dict[str, File]:
    """Describe the executables of a folder, hashing each, and make them executable for all."""
    files = {}
    for path in sorted(directory.iterdir()):
        path.chmod(0o755)
        files[path.name] = File(path.name, path, sha256_of(path), path.stat().st_size)
    return files
