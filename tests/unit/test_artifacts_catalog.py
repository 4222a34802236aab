"""The catalog, the words of progress, the store and the command line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pyk8s import paths
from pyk8s.artifacts.catalog import load_catalog
from pyk8s.artifacts.cli import app
from pyk8s.artifacts.model import KUBERNETES, Artifact, File
from pyk8s.artifacts.pins import Pins, parse_sidecar
from pyk8s.artifacts.progress import PlainReporter, amount
from pyk8s.artifacts.store import Store, gather
from pyk8s.cluster.config import SUPPORTED_MINORS, ClusterConfig
from pyk8s.errors import Pyk8sError

CATALOG = load_catalog()
RELEASES = [row.newest for row in CATALOG.releases.values()] + [ClusterConfig().kubernetes_version]


def test_every_supported_minor_has_a_row() -> None:
    assert list(CATALOG.releases) == [f"1.{minor}" for minor in SUPPORTED_MINORS]


def test_a_minor_without_a_row_is_refused_and_the_rows_are_named() -> None:
    with pytest.raises(Pyk8sError, match=r"1\.20, 1\.34, 1\.35, 1\.36"):
        CATALOG.downloads("1.33.0", "amd64")


@pytest.mark.parametrize("version", RELEASES)
@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_all_but_the_control_plane_is_pinned_in_the_catalog(version: str, arch: str) -> None:
    downloads = CATALOG.downloads(version, arch)
    unpinned = {name for name, one in downloads.items() if one.sha256 is None}
    assert unpinned == {"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"}


def test_checksums_are_sha256_and_none_stands_twice() -> None:
    sums = [
        checksum
        for versions in CATALOG.checksums.values()
        for arches in versions.values()
        for checksum in arches.values()
    ]
    assert all(re.fullmatch(r"[0-9a-f]{64}", one) for one in sums)
    assert len(sums) == len(set(sums))


def test_a_mirror_has_the_path_of_the_upstream() -> None:
    downloads = CATALOG.downloads("1.36.2", "amd64")
    assert downloads["kubelet"].mirror_path == "release/v1.36.2/bin/linux/amd64/kubelet"
    etcd = downloads["etcd"]
    assert etcd.mirror_path == f"etcd-io/etcd/releases/download/v{etcd.version}/etcd-v{etcd.version}-linux-amd64.tar.gz"


def test_kubernetes_follows_the_version_and_the_rest_its_minor() -> None:
    downloads = CATALOG.downloads("1.36.0", "amd64")
    assert {downloads[name].version for name in KUBERNETES} == {"1.36.0"}
    assert downloads["etcd"].version == CATALOG.releases["1.36"].etcd


def test_containerd_still_serves_the_runtime_interface_of_kubernetes_1_20() -> None:
    assert CATALOG.releases["1.20"].containerd.startswith("1.7."), "CRI v1alpha2 went with containerd 2"


def test_the_folder_changes_with_any_file_of_an_artifact() -> None:
    def artifact(**sums: str) -> Artifact:
        return Artifact("etcd", "3.6.14", {name: File(name, Path(name), one, 1) for name, one in sums.items()})

    folders = {artifact(a="1", b="2").folder, artifact(a="1", b="3").folder, artifact(a="1").folder}
    assert len(folders) == 3
    assert all(re.fullmatch(r"3\.6\.14-[0-9a-f]{8}", folder) for folder in folders)


@pytest.mark.parametrize("text", ["a" * 64, f"{'A' * 64}  kubelet\n", f" {'a' * 64} *kubelet"])
def test_a_checksum_file_may_be_bare_or_as_sha256sum_writes_it(text: str) -> None:
    assert parse_sidecar(text, "here") == "a" * 64


def test_a_pin_holds_until_it_is_renewed(tmp_path: Path) -> None:
    pins = Pins(tmp_path / "lock.json")
    pins.pin("https://x/kubelet", "1" * 64)
    with pytest.raises(Pyk8sError, match="not the one it had"):
        pins.pin("https://x/kubelet", "2" * 64)
    pins.pin("https://x/kubelet", "2" * 64, renew=True)
    assert Pins(tmp_path / "lock.json").get("https://x/kubelet") == "2" * 64


def test_a_scratch_folder_is_gone_even_after_an_error(tmp_path: Path) -> None:
    def fail_halfway() -> None:
        with Store(tmp_path).scratch() as folder:
            (folder / "half").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_halfway()
    assert list(tmp_path.rglob("half")) == []


def test_the_same_content_twice_is_stored_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    stored = []
    for _ in range(2):
        with store.scratch() as folder:
            (folder / "runc").mkdir()
            (folder / "runc/runc").write_text("runc")
            stored.append(store.add(Artifact("runc", "1.0.0", gather(folder / "runc")), "test"))
    assert stored[0].directory == stored[1].directory
    assert store.find("runc", "test") == stored[0]
    assert store.find("runc", "other") is None


def test_plain_progress_speaks_seldom() -> None:
    lines: list[str] = []
    with PlainReporter(lines.append, seconds=60).step("building", 10, "packages") as advance:
        for _ in range(10):
            advance(1)
    assert lines == []
    with PlainReporter(lines.append, seconds=0).step("building", 10, "packages") as advance:
        advance(5)
    assert lines[0].startswith("building: 50 %, 5/10 packages")


def test_amounts_are_worded_in_their_unit() -> None:
    assert amount(12_500_000, 110_300_000, "MB") == "12.5/110.3 MB"
    assert amount(812, None, "packages") == "812 packages"


def test_the_command_line_lists_rows_and_refuses_what_does_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYK8S_CACHE", str(tmp_path))
    monkeypatch.setattr(paths, "DEFAULT_INVENTORY", tmp_path / "no-inventory")
    monkeypatch.setenv("COLUMNS", "200")
    listed = CliRunner().invoke(app, ["list"])
    assert listed.exit_code == 0
    assert all(row.newest in listed.output for row in CATALOG.releases.values())
    refused = CliRunner().invoke(app, ["fetch", "--source", "mirror"])
    assert isinstance(refused.exception, Pyk8sError)
    assert "artifact_mirror" in refused.exception.why
    wanted = CliRunner().invoke(app, ["list", "--kubernetes-version", "1.36.2"])
    assert "pinned on first use" in wanted.output
