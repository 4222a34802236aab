"""From a cluster's configuration to the binaries on this machine's disk."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pyk8s import paths
from pyk8s.artifacts.catalog import Catalog, Download, load_catalog, machine_arch
from pyk8s.artifacts.download import Web
from pyk8s.artifacts.model import KUBERNETES, Artifact, ArtifactSet
from pyk8s.artifacts.pins import Pins
from pyk8s.artifacts.progress import Reporter, default_reporter
from pyk8s.artifacts.sources import corrections, debian, mirror, upstream
from pyk8s.artifacts.sources.base import Workshop
from pyk8s.artifacts.store import Store, read_json, write_json
from pyk8s.cluster.config import ClusterConfig
from pyk8s.errors import Pyk8sError

DEBIAN_MINUTES = "8 to 10 minutes on 2 cores"


class Resolver:
    """The catalog and one cache. ``retry_seconds`` is the wait before a broken download is taken up again."""

    def __init__(
        self,
        catalog: Catalog | None = None,
        root: Path | None = None,
        reporter: Reporter | None = None,
        retry_seconds: float = 1.0,
    ) -> None:
        self.catalog = catalog or load_catalog()
        self.store = Store(root or paths.cache_dir())
        self.pins = Pins(self.store.root / "lock.json")
        self.arch = machine_arch()
        self._reporter = reporter
        self._retry_seconds = retry_seconds

    @property
    def reporter(self) -> Reporter:
        """What progress is told to; by default bars on a terminal and lines elsewhere."""
        if self._reporter is None:
            self._reporter = default_reporter()
        return self._reporter

    def lookup(self, config: ClusterConfig) -> ArtifactSet | None:
        """Return the set if the cache has it whole, without asking anybody and without hashing; None when not."""
        sources = ("upstream", "debian") if config.artifact_source == "auto" else (config.artifact_source,)
        for source in sources:
            found = self._read(config, source)
            if found:
                return found
        return None

    def resolve(self, config: ClusterConfig, refresh: bool = False) -> ArtifactSet:
        """Return the set, bringing what the cache does not have; raises Pyk8sError.

        ``refresh`` asks the source again even so: newer Debian packages, a mirror's files that were built anew.
        """
        found = None if refresh else self.lookup(config)
        if found:
            return found
        with self.store.exclusive(self.reporter.say):
            found = None if refresh else self.lookup(config)
            return found or self._bring(config, refresh)

    def pause_binary(self) -> Path:
        """Return the static pause executable, compiled from Debian's source where the cache lacks it."""
        found = self._cached_pause()
        if found:
            return found
        with self.store.exclusive(self.reporter.say):
            web = Web(self._retry_seconds)
            try:
                return self._cached_pause() or debian.pause_binary(self._shop(web, False))
            finally:
                web.close()

    def sets(self) -> Iterator[dict[str, Any]]:
        """Return what the cache says it has: version, arch, source and mirror of each set."""
        for path in sorted((self.store.root / "sets").glob("*.json")):
            value = read_json(path)
            if value:
                yield value

    def _cached_pause(self) -> Path | None:
        for record in sorted((self.store.root / "store" / "pause").glob("*.json")):
            found = self.store.load("pause", record.stem)
            if found:
                return found.files["pause"].path
        return None

    def _bring(self, config: ClusterConfig, refresh: bool) -> ArtifactSet:
        version = config.kubernetes_version
        downloads = self.catalog.downloads(version, self.arch)
        web = Web(self._retry_seconds)
        shop = self._shop(web, refresh)
        try:
            source: str = config.artifact_source
            if source == "auto":
                source = self._choose(version, downloads, web)
            if source == "upstream":
                files = upstream.provide(downloads, shop)
            elif source == "mirror":
                files = self._from_mirror(config.artifact_mirror, downloads, shop)
            else:
                debian.refuse_version(version)
                files = debian.provide(downloads, shop)
        finally:
            web.close()
        return self._write(config, source, files)

    def _choose(self, version: str, downloads: Mapping[str, Download], web: Web) -> str:
        if upstream.answers(downloads.values(), web):
            return "upstream"
        if version not in debian.KUBERNETES_VERSIONS:
            raise Pyk8sError(
                f"Kubernetes {version} cannot be had here",
                "upstream's release servers do not answer, and Debian's source package builds "
                f"{', '.join(debian.KUBERNETES_VERSIONS)} and nothing else",
                "look at the network and the proxy settings; on a closed machine set artifact_source to mirror and "
                f"artifact_mirror to a folder or web server, or kubernetes_version to {debian.KUBERNETES_VERSIONS[-1]}",
            )
        self.reporter.say(
            "upstream's release servers do not answer: falling back to Debian, whose Kubernetes is built here once "
            f"({DEBIAN_MINUTES})"
        )
        return "debian"

    def _from_mirror(self, base: str, downloads: Mapping[str, Download], shop: Workshop) -> dict[str, Artifact]:
        """Take everything from the mirror; what it lacks beside Kubernetes itself comes from Debian, said aloud."""
        absent = mirror.missing(base, downloads, shop)
        kubernetes = [one.mirror_path for name, one in absent.items() if name in KUBERNETES]
        if kubernetes:
            raise Pyk8sError(
                f"the mirror {base} lacks Kubernetes",
                "it has no " + ", ".join(kubernetes),
                "put them there, or choose the kubernetes_version that it has",
            )
        files = mirror.provide(base, {name: one for name, one in downloads.items() if name not in absent}, shop)
        if absent:
            paths_there = ", ".join(one.mirror_path for one in absent.values())
            shop.reporter.say(f"the mirror has no {paths_there}: taking Debian's instead")
            files |= debian.provide(absent, shop)
            for name in absent:
                other = f"Debian's {files[name].version}" if name in files else "nothing, Debian has none"
                shop.reporter.say(f"  {name} {downloads[name].version}: {other}")
        return files

    def _shop(self, web: Web, refresh: bool) -> Workshop:
        return Workshop(self.store, self.pins, web, self.reporter, refresh)

    def _path(self, config: ClusterConfig, source: str) -> Path:
        name = f"{config.kubernetes_version}-{self.arch}-{source}"
        if source == "mirror":
            name += "-" + hashlib.sha256(config.artifact_mirror.encode()).hexdigest()[:8]
        return self.store.root / "sets" / f"{name}.json"

    def _wanted(self, config: ClusterConfig, source: str) -> dict[str, str]:
        """What makes a set stale when it changes: the catalog's row and sums; of Debian's, what the build corrects."""
        if source == "debian":
            return {"corrections": corrections.identity()}
        downloads = self.catalog.downloads(config.kubernetes_version, self.arch)
        return {name: f"{one.version} {one.sha256 or ''}".strip() for name, one in downloads.items()}

    def _write(self, config: ClusterConfig, source: str, files: Mapping[str, Artifact]) -> ArtifactSet:
        value = {
            "kubernetes_version": config.kubernetes_version,
            "arch": self.arch,
            "source": source,
            "mirror": config.artifact_mirror if source == "mirror" else "",
            "wanted": self._wanted(config, source),
            "files": {
                name: {"folder": one.folder, "url": one.url, "url_sha256": one.url_sha256}
                for name, one in files.items()
            },
        }
        write_json(self._path(config, source), value)
        return self._set(config, source, files)

    def _read(self, config: ClusterConfig, source: str) -> ArtifactSet | None:
        value = read_json(self._path(config, source))
        if value is None or value["wanted"] != self._wanted(config, source):
            return None
        files = {}
        for name, one in value["files"].items():
            artifact = self.store.load(name, one["folder"])
            if artifact is None:
                return None
            files[name] = dataclasses.replace(artifact, url=one["url"], url_sha256=one["url_sha256"])
        return self._set(config, source, files)

    def _set(self, config: ClusterConfig, source: str, files: Mapping[str, Artifact]) -> ArtifactSet:
        row = self.catalog.release(config.kubernetes_version)
        return ArtifactSet(
            config.kubernetes_version, self.arch, source, dict(files), row.pause_image, row.coredns_image
        )
