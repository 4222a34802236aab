"""Pinned binaries: the catalog of versions and checksums; sources upstream, mirror and debian; the cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pyk8s.artifacts.catalog import Catalog, load_catalog
from pyk8s.artifacts.model import Artifact, ArtifactSet, File
from pyk8s.artifacts.progress import Reporter, reporter_of
from pyk8s.artifacts.resolver import Resolver
from pyk8s.cluster.config import ClusterConfig

__all__ = [
    "Artifact",
    "ArtifactSet",
    "Catalog",
    "File",
    "Reporter",
    "Resolver",
    "load_catalog",
    "lookup",
    "pause_binary",
    "resolve",
]

Progress = Reporter | Callable[[str], None] | None


def resolve(config: ClusterConfig, progress: Progress = None) -> ArtifactSet:
    """Have everything that ``config.kubernetes_version`` needs in the cache and return it; raises Pyk8sError.

    ``progress`` is a reporter, or a function that takes a line of text now and then.
    """
    return Resolver(reporter=reporter_of(progress)).resolve(config)


def lookup(config: ClusterConfig) -> ArtifactSet | None:
    """Return the set if the cache has it whole: no network, no hashing; None when ``resolve`` has work to do."""
    return Resolver().lookup(config)


def pause_binary(progress: Progress = None) -> Path:
    """Return the static pause executable for an image of one's own; raises Pyk8sError where it cannot be made."""
    return Resolver(reporter=reporter_of(progress)).pause_binary()
