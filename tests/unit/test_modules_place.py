"""The place module: only what differs is written, whole; what is no longer ours is removed."""

import base64
import grp
import json
import os
import pwd
from pathlib import Path

import pytest
from ansible_collections.pyk8s.node.plugins.action.place import digest_of
from ansible_collections.pyk8s.node.plugins.module_utils import records
from ansible_collections.pyk8s.node.plugins.modules import place

from pyk8s.render import Owned, RenderedFile

ME = {"owner": pwd.getpwuid(os.geteuid()).pw_name, "group": grp.getgrgid(os.getegid()).gr_name}


@pytest.fixture(autouse=True)
def _node(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "DIRECTORY", str(tmp_path / "records"))
    if os.geteuid() != 0:
        monkeypatch.setattr(records.os, "fchown", lambda handle, uid, gid: None)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "root"


def file(path, content="x\n", mode="0600", secret=False, **owned):
    encoded = base64.b64encode(content.encode()).decode()
    return {"path": str(path), "content": encoded, "mode": mode, "secret": secret, **ME, **owned}


def directory(path, mode="0755"):
    return {"path": str(path), "mode": mode, **ME}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def run(*files, directories=(), component="etcd", check_mode=False):
    wanted = {"component": component, "files": list(files), "directories": list(directories)}
    return place.place(wanted, check_mode)


def test_files_and_directories_are_made_with_their_modes(root):
    paths, _ = run(file(root / "etc" / "a", mode="0640"), directories=[directory(root / "var", "0700")])
    assert paths == [str(root / "var"), str(root / "etc" / "a")]
    assert (root / "etc" / "a").read_text() == "x\n"
    assert (root / "etc" / "a").stat().st_mode & 0o7777 == 0o640
    assert (root / "var").stat().st_mode & 0o7777 == 0o700


def test_a_second_run_changes_nothing_and_writes_no_record(root):
    wanted = file(root / "a"), file(root / "b")
    run(*wanted, directories=[directory(root / "var")])
    before = records.read("etcd", "place")
    inodes = [(root / name).stat().st_ino for name in "ab"]
    assert run(*wanted, directories=[directory(root / "var")]) == ([], [])
    assert records.read("etcd", "place") == before
    assert [(root / name).stat().st_ino for name in "ab"] == inodes


def test_only_the_file_that_differs_is_written(root):
    run(file(root / "a"), file(root / "b"))
    untouched = (root / "a").stat()
    paths, _ = run(file(root / "a"), file(root / "b", "y\n"))
    assert paths == [str(root / "b")]
    assert (root / "a").stat() == untouched


def test_an_edited_file_and_a_changed_mode_are_put_right(root):
    run(file(root / "a"), file(root / "b"))
    (root / "a").write_text("edited by hand\n")
    (root / "b").chmod(0o644)
    paths, _ = run(file(root / "a"), file(root / "b"))
    assert paths == [str(root / "a"), str(root / "b")]
    assert (root / "a").read_text() == "x\n"
    assert (root / "b").stat().st_mode & 0o7777 == 0o600


def test_a_file_is_replaced_in_one_step_so_that_no_reader_sees_half_of_it(root):
    run(file(root / "a", "old\n"))
    with (root / "a").open() as reader:
        run(file(root / "a", "new\n"))
        assert reader.read() == "old\n"
    assert (root / "a").read_text() == "new\n"


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(root, monkeypatch):
    run(file(root / "a", "old\n"))

    def full(source, target):
        raise OSError("no space left on device")

    monkeypatch.setattr(records.os, "rename", full)
    with pytest.raises(OSError, match="no space"):
        run(file(root / "a", "new\n"))
    assert (root / "a").read_text() == "old\n"
    assert names(root) == ["a"]


def test_a_mode_is_set_before_the_name_is_taken(root, monkeypatch):
    seen = []
    rename = os.rename
    monkeypatch.setattr(
        records.os, "rename", lambda a, b: (seen.append(Path(a).stat().st_mode & 0o7777), rename(a, b))[1]
    )
    run(file(root / "key", mode="0600"))
    assert set(seen) == {0o600}


def test_what_is_no_longer_wanted_is_removed(root):
    run(file(root / "a"), file(root / "b"))
    paths, _ = run(file(root / "a"))
    assert paths == [str(root / "b")]
    assert not (root / "b").exists()
    assert run(file(root / "a")) == ([], [])


def test_what_another_component_placed_too_is_kept(root):
    run(file(root / "ca.crt"), file(root / "mine"))
    run(file(root / "ca.crt"), component="kubelet")
    paths, _ = run()
    assert paths == [str(root / "mine")]
    assert (root / "ca.crt").exists()


def test_files_that_we_did_not_place_and_directories_are_never_removed(root):
    run(file(root / "a"), directories=[directory(root / "data")])
    (root / "data" / "theirs").write_text("precious")
    (root / "theirs").write_text("precious")
    run()
    assert not (root / "a").exists()
    assert (root / "theirs").exists()
    assert (root / "data" / "theirs").exists()


def test_check_mode_says_what_would_change_and_changes_nothing(root):
    run(file(root / "a", "old\n"), file(root / "gone"))
    before = records.read("etcd", "place")
    paths, diffs = run(
        file(root / "a", "new\n"), file(root / "b"), directories=[directory(root / "var")], check_mode=True
    )
    assert paths == [str(root / "var"), str(root / "a"), str(root / "b"), str(root / "gone")]
    assert [diff["after_header"] for diff in diffs] == [str(root / "a"), str(root / "b")]
    assert names(root) == ["a", "gone"]
    assert (root / "a").read_text() == "old\n"
    assert records.read("etcd", "place") == before


def test_check_mode_works_before_the_user_of_a_file_exists(root):
    paths, _ = run(file(root / "a", owner="nobody-yet"), check_mode=True)
    assert paths == [str(root / "a")]
    with pytest.raises(KeyError):
        run(file(root / "a", owner="nobody-yet"))


def test_a_diff_shows_what_was_and_what_will_be(root):
    run(file(root / "a", "old\n"))
    _, (diff,) = run(file(root / "a", "new\n"))
    assert (diff["before"], diff["after"]) == ("old\n", "new\n")


@pytest.mark.parametrize("check_mode", [True, False])
def test_a_diff_never_shows_a_secret_neither_the_old_nor_the_new(root, check_mode):
    run(file(root / "key", "old-secret\n", secret=True))
    _, diffs = run(file(root / "key", "new-secret\n", secret=True), check_mode=check_mode)
    assert len(diffs) == 1
    assert "-secret" not in json.dumps(diffs)


def test_bytes_that_are_no_text_can_be_placed_and_compared(root):
    wanted = {**file(root / "a"), "content": base64.b64encode(b"\xff\x00").decode()}
    run(wanted)
    assert (root / "a").read_bytes() == b"\xff\x00"
    _, (diff,) = run(file(root / "a", "text\n"))
    assert diff["after"] == "text\n"


def test_a_damaged_record_does_not_stop_the_run(root):
    run(file(root / "a"))
    Path(records._path("etcd", "place")).write_text("{half")
    assert run(file(root / "a")) == ([], [])
    assert records.read("etcd", "place")["paths"] == [str(root / "a")]


def test_the_controllers_digest_is_the_nodes_until_anything_differs(root):
    run(file(root / "a"), directories=[directory(root / "var")])
    mine = Owned(ME["owner"], ME["group"], "0600")
    tree = [RenderedFile(str(root / "a"), b"x\n", mine)], {str(root / "var"): Owned(ME["owner"], ME["group"], "0755")}
    assert records.placed() == {"etcd": digest_of(*tree)}
    for spoil, restore in (
        (lambda: (root / "a").write_text("y\n"), lambda: (root / "a").write_text("x\n")),
        (lambda: (root / "a").chmod(0o644), lambda: (root / "a").chmod(0o600)),
        (lambda: (root / "var").chmod(0o700), lambda: (root / "var").chmod(0o755)),
    ):
        spoil()
        assert records.placed() != {"etcd": digest_of(*tree)}
        restore()
        assert records.placed() == {"etcd": digest_of(*tree)}
    (root / "a").unlink()
    assert records.placed() != {"etcd": digest_of(*tree)}
