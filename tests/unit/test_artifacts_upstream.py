"""Fetching from upstream: in parallel, resumed, checked, nothing half-written left."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from test_artifacts_server import (
    VERSION,
    ReleaseServer,
    config,
    leftovers,
    local_catalog,
    path_of,
    resolver,
    said,
    server,
    sha256,
)

from pyk8s.artifacts.download import AbsentError, ChecksumError, UnreachableError
from pyk8s.artifacts.model import KUBERNETES
from pyk8s.artifacts.progress import PlainReporter
from pyk8s.artifacts.resolver import Resolver
from pyk8s.artifacts.store import DiskFullError
from pyk8s.errors import Pyk8sError

__all__ = ["resolver", "said", "server"]


def test_everything_is_fetched_in_parallel_and_executable(resolver: Resolver, server: ReleaseServer) -> None:
    found = resolver.resolve(config())
    assert set(found.files) == {*KUBERNETES, "etcd", "containerd", "runc", "cni", "crictl"}
    for artifact in found.files.values():
        for file in artifact.files.values():
            assert os.access(file.path, os.X_OK)
            assert sha256(file.path.read_bytes()) == file.sha256
    assert set(found.files["etcd"].files) == {"etcd", "etcdctl", "etcdutl"}
    assert set(found.files["cni"].files) == {"bridge", "host-local", "loopback", "portmap"}
    assert server.most_at_once > 1
    assert leftovers(resolver.store.root) == []


def test_a_second_run_asks_nobody_and_hashes_nothing(
    resolver: Resolver, server: ReleaseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = resolver.resolve(config())
    server.requests.clear()
    monkeypatch.setattr("pyk8s.artifacts.store.sha256_of", lambda path: pytest.fail(f"hashed {path}"))
    assert resolver.resolve(config()) == first
    assert resolver.lookup(config()) == first
    assert not server.requests


def test_a_lookup_brings_nothing(resolver: Resolver, server: ReleaseServer) -> None:
    assert resolver.lookup(config()) is None
    assert not server.requests


def test_a_damaged_cache_is_noticed_and_mended(resolver: Resolver) -> None:
    path = resolver.resolve(config()).files["kubelet"].files["kubelet"].path
    with path.open("ab") as stream:
        stream.write(b"x")
    assert resolver.lookup(config()) is None
    mended = resolver.resolve(config()).files["kubelet"].files["kubelet"]
    assert sha256(mended.path.read_bytes()) == mended.sha256


def test_a_copied_cache_with_new_times_is_still_good(resolver: Resolver, server: ReleaseServer) -> None:
    file = resolver.resolve(config()).files["kubelet"].files["kubelet"]
    os.utime(file.path, (1, 1))
    server.requests.clear()
    assert resolver.lookup(config()) is not None
    assert not server.requests


def test_another_patch_release_fetches_only_what_differs(resolver: Resolver, server: ReleaseServer) -> None:
    resolver.resolve(config())
    server.requests.clear()
    for path in [path for path in server.files if VERSION in path]:
        other = server.files[path] + b"newer"
        server.files[path.replace(VERSION, "1.36.3")] = (
            sha256(server.files[path.removesuffix(".sha256")] + b"newer").encode()
            if path.endswith(".sha256")
            else other
        )
    resolver.resolve(config(version="1.36.3"))
    assert {path for path in server.requests if "1.36.3" not in path} == set()


def test_a_download_that_breaks_off_is_resumed_where_it_stopped(resolver: Resolver, server: ReleaseServer) -> None:
    path = path_of(resolver.catalog, "kubelet")
    server.break_after[path] = (100_000, 1)
    resolver.resolve(config())
    assert server.ranges == [(path, "bytes=100000-")]


def test_a_run_that_was_broken_off_goes_on_in_the_next(resolver: Resolver, server: ReleaseServer) -> None:
    path = path_of(resolver.catalog, "kubelet")
    server.break_after[path] = (10_000, 4)
    with pytest.raises(UnreachableError, match="kubelet cannot be had"):
        resolver.resolve(config())
    assert resolver.lookup(config()) is None
    server.ranges.clear()
    resolver.resolve(config())
    assert (path, "bytes=40000-") in server.ranges


def test_a_truncated_file_is_refused(resolver: Resolver, server: ReleaseServer) -> None:
    path = path_of(resolver.catalog, "runc")
    server.files[path] = server.files[path][:-1]
    with pytest.raises(ChecksumError, match=r"runc.* is not what it should be"):
        resolver.resolve(config())
    assert not (resolver.store.root / "store" / "runc").exists()


def test_a_wrong_checksum_is_refused_and_thrown_away(resolver: Resolver, server: ReleaseServer) -> None:
    path = path_of(resolver.catalog, "etcd")
    server.files[path] = server.files[path_of(resolver.catalog, "containerd")]
    with pytest.raises(ChecksumError, match="was expected"):
        resolver.resolve(config())
    assert not [name for name in leftovers(resolver.store.root) if "etcd" in name]
    assert resolver.lookup(config()) is None


def test_a_missing_file_is_named(resolver: Resolver, server: ReleaseServer) -> None:
    path = path_of(resolver.catalog, "runc")
    del server.files[path]
    with pytest.raises(AbsentError, match=path):
        resolver.resolve(config())


def test_nothing_is_used_unchecked(resolver: Resolver, server: ReleaseServer) -> None:
    path = path_of(resolver.catalog, "kube-apiserver")
    del server.files[f"{path}.sha256"]
    with pytest.raises(Pyk8sError, match="no checksum can be had for kube-apiserver"):
        resolver.resolve(config())
    assert server.requests[path] == 0


def test_a_page_in_place_of_a_checksum_is_refused(resolver: Resolver, server: ReleaseServer) -> None:
    server.files[path_of(resolver.catalog, "kube-apiserver") + ".sha256"] = b"<html>log in</html>"
    with pytest.raises(Pyk8sError, match="holds no sha256"):
        resolver.resolve(config())


def test_a_checksum_from_beside_the_file_is_pinned_on_first_use(resolver: Resolver, server: ReleaseServer) -> None:
    resolver.resolve(config())
    path = path_of(resolver.catalog, "kube-apiserver")
    pins = json.loads((resolver.store.root / "lock.json").read_text())
    assert pins[server.base + path] == sha256(server.files[path])
    assert server.base + path_of(resolver.catalog, "kubelet") not in pins, "the catalog knows that one"


def test_a_pinned_file_that_changes_upstream_is_refused(resolver: Resolver, server: ReleaseServer) -> None:
    resolver.resolve(config())
    path = path_of(resolver.catalog, "kube-apiserver")
    server.files[path] = b"evil"
    server.files[f"{path}.sha256"] = sha256(b"evil").encode()
    shutil.rmtree(resolver.store.root / "store")
    with pytest.raises(ChecksumError, match="kube-apiserver"):
        resolver.resolve(config(), refresh=True)


def test_a_server_that_is_not_there_is_named(resolver: Resolver, server: ReleaseServer) -> None:
    server.shutdown()
    server.server_close()
    with pytest.raises(UnreachableError, match=server.base):
        resolver.resolve(config())
    assert leftovers(resolver.store.root) == []


def test_auto_says_why_only_debian_is_left_and_what_it_can_do(resolver: Resolver, server: ReleaseServer) -> None:
    server.shutdown()
    server.server_close()
    with pytest.raises(Pyk8sError) as caught:
        resolver.resolve(config("auto"))
    assert "1.20.2" in str(caught.value)
    assert "mirror" in caught.value.hint


def test_auto_takes_upstream_where_it_answers(resolver: Resolver) -> None:
    assert resolver.resolve(config("auto")).source == "upstream"
    assert resolver.lookup(config("auto")) is not None


def test_debian_refuses_a_version_that_it_cannot_build(resolver: Resolver) -> None:
    with pytest.raises(Pyk8sError, match=r"Kubernetes 1\.36\.2 cannot be had from Debian"):
        resolver.resolve(config("debian"))


def test_a_full_disk_is_said_and_leaves_nothing(resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.open

    class Full:
        def __init__(self, stream: Any) -> None:
            self.stream = stream

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            self.stream.close()

        def write(self, data: bytes) -> None:
            self.stream.write(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def opened(path: Path, mode: str = "r", *rest: Any, **more: Any) -> Any:
        stream = real(path, mode, *rest, **more)
        return Full(stream) if path.name.endswith("kubelet.part") else stream

    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(DiskFullError, match="the disk is full"):
        resolver.resolve(config())
    assert not [name for name in leftovers(resolver.store.root) if "kubelet" in name]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_real_full_disk_is_said_and_leaves_nothing_half_written(server: ReleaseServer, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        resolver = Resolver(local_catalog(server.base), small, PlainReporter(lambda _: None), retry_seconds=0.01)
        with pytest.raises(DiskFullError, match="the disk is full"):
            resolver.resolve(config())
        assert resolver.lookup(config()) is None
        assert not list(small.glob("store/.new-*"))
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_a_run_waits_for_another_one_and_then_finds_the_work_done(
    resolver: Resolver, server: ReleaseServer, said: list[str]
) -> None:
    other = Resolver(resolver.catalog, resolver.store.root, PlainReporter(said.append))
    waiting = threading.Thread(target=other.resolve, args=(config(),))
    with resolver.store.exclusive(said.append):
        waiting.start()
        while not said:
            time.sleep(0.01)
        resolver._bring(config(), refresh=False)
        server.requests.clear()
    waiting.join()
    assert "another run is filling" in said[0]
    assert not server.requests
