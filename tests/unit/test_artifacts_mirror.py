"""A mirror in the upstream's layout: a web server or a folder, with builds of one's own."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest
from test_artifacts_server import ReleaseServer, config, path_of, resolver, said, server, sha256

from pyk8s.artifacts.download import ChecksumError
from pyk8s.artifacts.model import Artifact
from pyk8s.artifacts.resolver import Resolver
from pyk8s.artifacts.sources import corrections
from pyk8s.artifacts.sources.base import Workshop
from pyk8s.artifacts.store import gather
from pyk8s.cluster.config import ClusterConfig
from pyk8s.errors import Pyk8sError

__all__ = ["resolver", "said", "server"]


@pytest.fixture
def folder(server: ReleaseServer, tmp_path: Path) -> Path:
    """The server's files as a folder."""
    base = tmp_path / "mirror"
    for path, content in server.files.items():
        target = base / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return base


def replace(base: Path, path: str, content: bytes, checksum: bool = True) -> None:
    target = base / path.lstrip("/")
    target.write_bytes(content)
    if checksum:
        target.with_name(f"{target.name}.sha256").write_text(f"{sha256(content)}  {target.name}\n")


def test_a_folder_is_a_mirror(resolver: Resolver, server: ReleaseServer, folder: Path) -> None:
    server.files.clear()
    found = resolver.resolve(config("mirror", str(folder)))
    assert found.files["kubelet"].files["kubelet"].path.is_file()
    assert (folder / path_of(resolver.catalog, "kubelet").lstrip("/")).is_file(), "the mirror keeps its file"
    assert not server.requests
    assert resolver.lookup(config("mirror", str(folder))) == found


def test_a_web_server_is_a_mirror_and_nodes_can_pull_from_it(resolver: Resolver, server: ReleaseServer) -> None:
    prefixed = {f"/k8s{path}": content for path, content in server.files.items()}
    server.files = prefixed
    found = resolver.resolve(config("mirror", f"{server.base}/k8s/"))
    etcd = found.files["etcd"]
    assert etcd.url == f"{server.base}/k8s{path_of(resolver.catalog, 'etcd')}"
    assert etcd.url_sha256 == sha256(prefixed[f"/k8s{path_of(resolver.catalog, 'etcd')}"])
    assert etcd.archive_members["etcdctl"].endswith("/etcdctl")
    assert found.files["kubelet"].archive_members == {"kubelet": ""}


def test_a_build_of_ones_own_is_taken_with_the_checksum_beside_it(resolver: Resolver, folder: Path) -> None:
    replace(folder, path_of(resolver.catalog, "kubelet"), b"my own kubelet")
    found = resolver.resolve(config("mirror", str(folder)))
    assert found.files["kubelet"].files["kubelet"].path.read_bytes() == b"my own kubelet"


def test_a_foreign_build_without_a_checksum_is_refused(resolver: Resolver, folder: Path) -> None:
    path = path_of(resolver.catalog, "runc")
    replace(folder, path, b"who built this?", checksum=False)
    with pytest.raises(ChecksumError, match="runc") as caught:
        resolver.resolve(config("mirror", str(folder)))
    assert "sha256sum" in caught.value.hint


def test_what_nobody_has_a_checksum_of_is_refused(resolver: Resolver, folder: Path) -> None:
    (folder / f"{path_of(resolver.catalog, 'kube-scheduler').lstrip('/')}.sha256").unlink()
    with pytest.raises(Pyk8sError, match=r"kube-scheduler has no checksum"):
        resolver.resolve(config("mirror", str(folder)))


def test_a_mirror_built_anew_is_taken_when_asked_to_refresh(resolver: Resolver, folder: Path) -> None:
    path = path_of(resolver.catalog, "kubelet")
    replace(folder, path, b"first build")
    resolver.resolve(config("mirror", str(folder)))
    replace(folder, path, b"second build")
    again = resolver.resolve(config("mirror", str(folder)))
    assert again.files["kubelet"].files["kubelet"].path.read_bytes() == b"first build"
    fresh = resolver.resolve(config("mirror", str(folder)), refresh=True)
    assert fresh.files["kubelet"].files["kubelet"].path.read_bytes() == b"second build"
    assert fresh.files["kubelet"].folder != again.files["kubelet"].folder


def test_a_pinned_sum_that_changes_is_refused_unless_refreshed(resolver: Resolver, folder: Path) -> None:
    path = path_of(resolver.catalog, "kubelet")
    replace(folder, path, b"first build")
    resolver.resolve(config("mirror", str(folder)))
    replace(folder, path, b"second build")
    for stale in (resolver.store.root / "sets").glob("*.json"):
        stale.unlink()
    with pytest.raises(Pyk8sError, match="is not the one it had"):
        resolver.resolve(config("mirror", str(folder)))


def test_a_mirror_without_the_wanted_kubernetes_names_what_is_missing(resolver: Resolver, folder: Path) -> None:
    path = path_of(resolver.catalog, "kubelet").lstrip("/")
    (folder / path).unlink()
    with pytest.raises(Pyk8sError, match="lacks Kubernetes") as caught:
        resolver.resolve(config("mirror", str(folder)))
    assert path in caught.value.why


def test_a_mirror_that_is_nowhere_is_refused(resolver: Resolver, server: ReleaseServer, tmp_path: Path) -> None:
    with pytest.raises(Pyk8sError, match="there is no mirror at"):
        resolver.resolve(config("mirror", str(tmp_path / "nowhere")))
    base = server.base
    server.shutdown()
    server.server_close()
    with pytest.raises(Pyk8sError, match="does not answer"):
        resolver.resolve(config("mirror", base))


def test_what_was_built_before_a_correction_is_built_anew(resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def packages(components: Collection[str], shop: Workshop) -> dict[str, Artifact]:
        made.append(corrections.identity())
        with shop.store.scratch() as scratch:
            inner = scratch / "kubelet"
            inner.mkdir()
            (inner / "kubelet").write_text(made[-1])
            return {"kubelet": shop.store.add(Artifact("kubelet", "1.20.2", gather(inner)), f"source:{made[-1]}")}

    wanted = ClusterConfig(kubernetes_version="1.20.2", artifact_source="debian")
    monkeypatch.setattr("pyk8s.artifacts.sources.debian.provide", packages)
    monkeypatch.setattr(corrections, "identity", lambda: "before")
    resolver.resolve(wanted)
    resolver.resolve(wanted)
    monkeypatch.setattr(corrections, "identity", lambda: "after")
    assert resolver.lookup(wanted) is None
    assert resolver.resolve(wanted).files["kubelet"].version == "1.20.2"
    assert made == ["before", "after"]


def test_what_the_mirror_lacks_beside_kubernetes_comes_from_debian_and_is_said(
    resolver: Resolver, folder: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def packages(components: Collection[str], shop: Workshop) -> dict[str, Artifact]:
        asked.extend(components)
        with shop.store.scratch() as scratch:
            inner = scratch / "etcd"
            inner.mkdir()
            (inner / "etcd").write_text("debian's")
            return {"etcd": shop.store.add(Artifact("etcd", "3.4.23", gather(inner)), "debian:etcd-server=3.4.23-4")}

    monkeypatch.setattr("pyk8s.artifacts.sources.debian.provide", packages)
    for component in ("etcd", "crictl"):
        (folder / path_of(resolver.catalog, component).lstrip("/")).unlink()
    found = resolver.resolve(config("mirror", str(folder)))
    assert asked == ["etcd", "crictl"]
    assert found.files["etcd"].version == "3.4.23"
    assert found.files["etcd"].url is None
    assert "crictl" not in found.files
    assert any("etcd 3.6.14: Debian's 3.4.23" in line for line in said)
