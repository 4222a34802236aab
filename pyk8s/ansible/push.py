"""How binaries travel to the nodes: an uncompressed archive to push, or addresses to pull from."""

from __future__ import annotations

import fcntl
import tarfile
from typing import Any

from pyk8s import paths
from pyk8s.artifacts.model import Artifact
from pyk8s.errors import Pyk8sError


def archive_of(artifact: Artifact) -> str:
    """Return the path of a tar of the component's binaries, made once per version; concurrent callers wait."""
    folder = paths.cache_dir() / "push"
    folder.mkdir(exist_ok=True)
    archive = folder / f"{artifact.component}-{artifact.folder}.tar"
    with archive.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not archive.exists():
            partial = archive.with_suffix(".part")
            with tarfile.open(partial, "w") as tar:
                for name, file in sorted(artifact.files.items()):
                    tar.add(file.path, arcname=name)
            partial.rename(archive)
    return str(archive)


def downloads_of(artifact: Artifact, mirror: str) -> list[dict[str, Any]]:
    """Return what a node has to download from the mirror; raises Pyk8sError for what no mirror has."""
    if not artifact.mirror_path or not artifact.url_sha256:
        raise Pyk8sError(
            f"{artifact.component} {artifact.version} cannot be pulled by the nodes",
            "it was built or unpacked on the controller, so that no mirror has it",
            "set artifact_delivery: push",
        )
    packed = any(artifact.archive_members.values())
    members = dict(artifact.archive_members) if packed else {}
    url = f"{mirror.rstrip('/')}/{artifact.mirror_path}"
    return [{"url": url, "sha256": artifact.url_sha256, "members": members, "name": next(iter(artifact.files))}]
