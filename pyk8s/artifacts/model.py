"""Binaries on the controller: a file, the files of a component, and all components of one Kubernetes."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path

KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl")
"""Components that follow ``kubernetes_version`` itself; the others follow the catalog's row of its minor."""


@dataclasses.dataclass(frozen=True)
class File:
    """One executable in the cache. ``size`` is in bytes, ``sha256`` in hex, of the executable itself."""

    name: str
    path: Path
    sha256: str
    size: int


@dataclasses.dataclass(frozen=True)
class Artifact:
    """The executables of one component.

    ``url`` is where the download came from and ``url_sha256`` its checksum; both are None for what was built or
    unpacked here. ``mirror_path`` is its path below a mirror's base. ``archive_members`` says for each executable
    where in the downloaded archive it stands; "" means that the download is the executable.
    """

    component: str
    version: str
    files: Mapping[str, File]
    url: str | None = None
    url_sha256: str | None = None
    mirror_path: str | None = None
    archive_members: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def folder(self) -> str:
        """``<version>-<sha8>``, where sha8 follows from the names and sums of all files: the folder on a node."""
        return f"{self.version}-{digest(self.files)}"

    @property
    def directory(self) -> Path:
        """The folder in the cache that holds the executables and nothing else."""
        return next(iter(self.files.values())).path.parent

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files.values())


@dataclasses.dataclass(frozen=True)
class ArtifactSet:
    """All that one version of Kubernetes needs, by component; ``crictl`` is missing where the source has none."""

    kubernetes_version: str
    arch: str
    source: str
    files: Mapping[str, Artifact]
    pause_image: str
    coredns_image: str


def digest(files: Mapping[str, File]) -> str:
    """Return eight hex digits that change when any file's name or content does."""
    lines = "".join(f"{name} {files[name].sha256}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()[:8]
