"""The catalog: which etcd, containerd, runc ... go with which Kubernetes, and what each must hash to."""

from __future__ import annotations

import dataclasses
import functools
import platform
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict

from pyk8s.artifacts.model import KUBERNETES
from pyk8s.errors import Pyk8sError

try:
    from yaml import CSafeLoader as SafeLoader  # ten times as fast, and every task of a playbook reads the catalog
except ImportError:
    from yaml import SafeLoader  # type: ignore[assignment]

CATALOG = Path(__file__).with_name("catalog.yml")
ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


class Upstream(BaseModel):
    """Where a component is released: URL and archive members as templates of ``version`` and ``arch``.

    No ``members`` means that the download is the executable itself, empty ones that every executable is wanted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    url: str
    members: dict[str, str] | None = None
    optional: frozenset[str] = frozenset()


class Release(BaseModel):
    """What goes with one Kubernetes minor; ``newest`` is its newest release known here."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    newest: str
    etcd: str
    containerd: str
    runc: str
    cni: str
    crictl: str
    coredns_image: str
    pause_image: str


@dataclasses.dataclass(frozen=True)
class Download:
    """One upstream file: its address, its sha256 where the catalog knows it, and the executables in it."""

    component: str
    version: str
    url: str
    sha256: str | None
    members: Mapping[str, str]
    optional: frozenset[str] = frozenset()

    @property
    def mirror_path(self) -> str:
        """Its path below the base of a mirror: the URL's path after the host."""
        return urlsplit(self.url).path.lstrip("/")

    @property
    def is_archive(self) -> bool:
        """Whether executables have to be taken out of it."""
        return self.url.endswith((".tar.gz", ".tgz"))


class Catalog(BaseModel):
    """The catalog file. Rows are by minor, such as ``1.36``; checksums by component, version and architecture."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    components: dict[str, Upstream]
    releases: dict[str, Release]
    checksums: dict[str, dict[str, dict[str, str]]]

    @property
    def newest(self) -> str:
        """The newest Kubernetes release of all rows."""
        return max((row.newest for row in self.releases.values()), key=_sortable)

    def release(self, version: str) -> Release:
        """Return the row of a Kubernetes release; raises Pyk8sError when its minor has none."""
        minor = ".".join(version.split(".")[:2])
        if minor not in self.releases:
            rows = ", ".join(self.releases)
            raise Pyk8sError(
                f"Kubernetes {version} is not in the catalog", f"it has {rows}", "choose a release of these"
            )
        return self.releases[minor]

    def downloads(self, version: str, arch: str) -> dict[str, Download]:
        """Return every upstream file for a Kubernetes release, by component; raises Pyk8sError as ``release`` does."""
        row = self.release(version)
        return {
            name: self._download(name, version if name in KUBERNETES else str(getattr(row, name)), arch)
            for name in self.components
        }

    def _download(self, name: str, version: str, arch: str) -> Download:
        upstream = self.components[name]
        members = {name: ""} if upstream.members is None else upstream.members
        return Download(
            component=name,
            version=version,
            url=upstream.url.format(version=version, arch=arch),
            sha256=self.checksums.get(name, {}).get(version, {}).get(arch),
            members={member: path.format(version=version, arch=arch) for member, path in members.items()},
            optional=upstream.optional,
        )


@functools.cache
def load_catalog(path: Path = CATALOG) -> Catalog:
    """Read the catalog file; raises pydantic's ValidationError when it is not in order."""
    return Catalog.model_validate(yaml.load(path.read_text(encoding="utf-8"), Loader=SafeLoader))


def machine_arch() -> str:
    """Return this machine's architecture in upstream's words (amd64, arm64); raises Pyk8sError for any other."""
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        raise Pyk8sError(f"no binaries for {machine}", "the catalog knows amd64 and arm64")
    return ARCHITECTURES[machine]


def _sortable(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
