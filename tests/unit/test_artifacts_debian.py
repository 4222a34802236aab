"""The debian source: the machine's apt entries, versions, a build with its progress and its failures."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from pyk8s.artifacts.download import Web
from pyk8s.artifacts.pins import Pins
from pyk8s.artifacts.progress import PlainReporter
from pyk8s.artifacts.sources import apt, build, corrections
from pyk8s.artifacts.sources.base import Workshop
from pyk8s.artifacts.sources.corrections import Correction
from pyk8s.artifacts.store import Store
from pyk8s.errors import Pyk8sError

DEB822 = """\
# a comment
Types: deb
# another
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: https://packages.example/node
Suites: nodistro
Components: main
Signed-By: /usr/share/keyrings/node.gpg

Types: deb
URIs: https://packages.example/sneaky
Suites: bookworm
Components: main
Signed-By: /usr/share/keyrings/sneaky.gpg
"""
ONE_LINE = """\
# deb http://old.example/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive.gpg] http://one.example/debian bookworm main contrib
deb-src http://two.example/debian-security bookworm-security main # security
deb https://cloud.example/apt cloud-sdk-bookworm main
"""


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(Store(tmp_path), Pins(tmp_path / "lock.json"), Web(), PlainReporter(lambda _: None))


@pytest.fixture
def apt_folder(tmp_path: Path) -> Path:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text("")
    return tmp_path


def test_debians_own_entries_are_found_in_both_formats(apt_folder: Path) -> None:
    (apt_folder / "sources.list.d/debian.sources").write_text(DEB822)
    (apt_folder / "sources.list").rename(apt_folder / "sources.list.d/ignored.save")
    (apt_folder / "sources.list").write_text(ONE_LINE)
    found = apt.debian_entries("bookworm", apt_folder)
    assert [entry["URIs"] for entry in found] == [
        "http://one.example/debian",
        "http://two.example/debian-security",
        "http://mirror.example/debian",
    ]
    assert found[0]["Architectures"] == "amd64"


def test_a_disabled_entry_is_left_out(apt_folder: Path) -> None:
    stanza = "Enabled: no\nTypes: deb\nURIs: http://x.example/debian\nSuites: bookworm\nComponents: main\n"
    (apt_folder / "sources.list.d/debian.sources").write_text(stanza)
    assert apt.debian_entries("bookworm", apt_folder) == []


@pytest.mark.parametrize(
    ("debian", "upstream"),
    [
        ("1.20.5+really1.20.2-1.1+deb12u1", "1.20.2"),
        ("1.6.20~ds1-1+deb12u3", "1.6.20"),
        ("3.4.23-4+b4", "3.4.23"),
        ("1:2.3.4-1", "2.3.4"),
    ],
)
def test_upstreams_version_is_read_from_debians(debian: str, upstream: str) -> None:
    assert apt.upstream_version(debian) == upstream


def test_a_machine_without_debian_is_told_what_else_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt, "os_release", lambda: {"ID": "fedora", "PRETTY_NAME": "Fedora 44"})
    with pytest.raises(Pyk8sError, match="Fedora 44") as caught:
        apt.Apt(tmp_path).update()
    assert "mirror" in caught.value.hint


def test_missing_build_packages_are_named_to_who_may_not_install_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Pyk8sError, match=r"no-such-package.* not installed"):
        apt.install_missing(["dpkg", "no-such-package"], "building", print)


def make_tree(tmp_path: Path, recipe: str) -> tuple[Path, Path]:
    work = tmp_path / "work"
    tree = work / "go/src/k8s.io/kubernetes"
    tree.mkdir(parents=True)
    (tree / "Makefile").write_text("all:\n" + "".join(f"\t@{line}\n" for line in recipe.splitlines()))
    return work, tree


def test_a_build_counts_the_packages_it_compiles(tmp_path: Path) -> None:
    work, tree = make_tree(
        tmp_path, "echo internal/cpu\necho k8s.io/api/core/v1\necho '+++ [1123] Building'\necho runtime"
    )
    lines: list[str] = []
    build._make(tree, work, "1.20.2", ["kubelet"], PlainReporter(lines.append, seconds=0))
    counted = [line for line in lines if "packages" in line]
    assert "3/" in counted[-1]
    assert (work / "make.log").read_text().splitlines()[-1] == "runtime"


def test_a_build_that_fails_shows_its_last_lines(tmp_path: Path) -> None:
    work, tree = make_tree(tmp_path, "echo out of memory; exit 3")
    with pytest.raises(Pyk8sError, match="out of memory") as caught:
        build._make(tree, work, "1.20.2", ["kubelet"], PlainReporter(lambda _: None))
    assert "make.log" in caught.value.why


def test_a_build_that_is_interrupted_leaves_no_process(tmp_path: Path) -> None:
    work, tree = make_tree(tmp_path, "echo $$$$ > pid; echo started; sleep 60 & echo waiting; wait")

    def interrupt(line: str) -> None:
        if "packages" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build._make(tree, work, "1.20.2", ["kubelet"], PlainReporter(interrupt, seconds=0))
    pid = (tree / "pid").read_text().strip()
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists():
            return
        time.sleep(0.02)
    pytest.fail("the build goes on")


def test_too_small_a_disk_is_refused_before_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "DISK_BYTES", 10**18)
    with pytest.raises(Pyk8sError, match="too little room"):
        build._enough_room(tmp_path)


def test_built_binaries_are_found_again_by_their_source_package(tmp_path: Path, shop: Workshop) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/kubelet").write_text("kubelet")
    made = build.store_binaries(tmp_path / "bin", "1.20.5+really1.20.2-1.1", ["kubelet"], shop)
    assert made["kubelet"].version == "1.20.2"

    class Known(apt.Apt):
        def source_version(self, package: str) -> str:
            return "1.20.5+really1.20.2-1.1"

    assert build.kubernetes(Known(tmp_path), shop, ["kubelet"]) == made


def test_a_fault_of_the_source_is_corrected_and_makes_it_another_build(tmp_path: Path) -> None:
    one = Correction("a/watch.go", "return\n", "close(results)\n\treturn\n", "a watch did not end")
    (tmp_path / "a").mkdir()
    file = tmp_path / "a/watch.go"
    file.write_text("if ended {\n\treturn\n}\n")
    corrections.correct(tmp_path, (one,))
    assert file.read_text() == "if ended {\n\tclose(results)\n\treturn\n}\n"
    assert corrections.identity((one,)) != corrections.identity(()) != corrections.identity()
    assert corrections.identity() in build._origin("1.20.2-1")


@pytest.mark.parametrize("text", [None, "", "return\nreturn\n"])
def test_a_source_that_is_not_as_it_was_is_not_corrected_blindly(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "watch.go").write_text(text)
    with pytest.raises(Pyk8sError, match=r"watch\.go .* is not as it was") as caught:
        corrections.correct(tmp_path, (Correction("watch.go", "return\n", "", "a watch did not end"),))
    assert "a watch did not end" in caught.value.why
    assert text is None or (tmp_path / "watch.go").read_text() == text


def test_a_source_package_without_its_tree_is_said(shop: Workshop, tmp_path: Path) -> None:
    with pytest.raises(Pyk8sError, match="compiling pause failed"):
        build.compile_pause(tmp_path / "pause.c", "1.20.2-1", shop)
    assert not (tmp_path / "store" / "pause").exists()
    records = [json.loads(path.read_text()) for path in tmp_path.rglob("*.json")]
    assert records == []


def test_a_failing_command_is_quoted_with_its_last_lines(tmp_path: Path) -> None:
    with pytest.raises(Pyk8sError, match="reading failed") as caught:
        apt.run(["ls", "no such thing"], tmp_path, "reading")
    assert "no such thing" in caught.value.why
