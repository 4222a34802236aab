"""The install module: versioned folders, links that switch in one step, and nothing that was not checked."""

import hashlib
import os
import tarfile

import pytest
from ansible_collections.pyk8s.node.plugins.module_utils import records
from ansible_collections.pyk8s.node.plugins.modules import install


@pytest.fixture(autouse=True)
def _node(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "DIRECTORY", str(tmp_path / "records"))
    monkeypatch.setattr(install, "ROOT", str(tmp_path / "opt"))
    if os.geteuid() != 0:
        monkeypatch.setattr(records.os, "fchown", lambda handle, uid, gid: None)


@pytest.fixture
def bin_directory(tmp_path):
    return tmp_path / "bin"


@pytest.fixture
def pack(tmp_path):
    """Make an archive of binaries, as the controller pushes it."""

    def pack(binaries, name="push.tar"):
        path = tmp_path / name
        with tarfile.open(path, "w:gz" if name.endswith("gz") else "w") as archive:
            for binary, content in binaries.items():
                source = tmp_path / "source"
                source.write_bytes(content)
                archive.add(source, arcname=binary)
        return str(path)

    return pack


def wanted(binaries, version, directory, **more):
    files = {n: {"sha256": hashlib.sha256(c).hexdigest(), "size": len(c)} for n, c in binaries.items()}
    base = {"component": "etcd", "folder": version, "files": files, "link_directory": str(directory)}
    return {**base, "link_folder": False, "archive": None, "downloads": None, **more}


def leftovers(tmp_path):
    return [name for _, folders, files in os.walk(tmp_path / "opt") for name in [*folders, *files] if name[0] == "."]


OLD = {"etcd": b"etcd 3.4", "etcdctl": b"ctl 3.4"}
NEW = {"etcd": b"etcd 3.6.", "etcdctl": b"ctl 3.6."}


def test_without_binaries_at_hand_it_says_that_they_are_missing(bin_directory, tmp_path):
    answer = install.install(wanted(OLD, "3.4-a", bin_directory), False)
    assert answer == {"changed": True, "missing": True, "folder": str(tmp_path / "opt" / "etcd" / "3.4-a")}
    assert not (tmp_path / "opt").exists()


def test_binaries_stand_in_a_folder_of_their_version_with_links_to_them(bin_directory, pack, tmp_path):
    answer = install.install(wanted(OLD, "3.4-a", bin_directory, archive=pack(OLD)), False)
    folder = tmp_path / "opt" / "etcd" / "3.4-a"
    assert answer == {"changed": True, "missing": False, "folder": str(folder)}
    assert (bin_directory / "etcd").readlink() == folder / "etcd"
    assert (bin_directory / "etcdctl").read_bytes() == b"ctl 3.4"
    assert (folder / "etcd").stat().st_mode & 0o7777 == 0o755
    assert folder.stat().st_mode & 0o7777 == 0o755
    assert leftovers(tmp_path) == []


def test_a_second_run_needs_no_archive_and_changes_nothing(bin_directory, pack):
    install.install(wanted(OLD, "3.4-a", bin_directory, archive=pack(OLD)), False)
    before = records.read("etcd", "install")
    assert install.install(wanted(OLD, "3.4-a", bin_directory), False)["changed"] is False
    assert records.read("etcd", "install") == before


def test_a_new_version_switches_the_links_and_the_old_one_stays_for_a_rollback(bin_directory, pack, tmp_path):
    install.install(wanted(OLD, "3.4-a", bin_directory, archive=pack(OLD)), False)
    install.install(wanted(NEW, "3.6-b", bin_directory, archive=pack(NEW)), False)
    assert (bin_directory / "etcd").read_bytes() == b"etcd 3.6."
    assert (tmp_path / "opt" / "etcd" / "3.4-a" / "etcd").read_bytes() == b"etcd 3.4"
    assert records.read("etcd", "install")["previous"] == str(tmp_path / "opt" / "etcd" / "3.4-a")


def test_going_back_needs_no_transfer(bin_directory, pack):
    install.install(wanted(OLD, "3.4-a", bin_directory, archive=pack(OLD)), False)
    install.install(wanted(NEW, "3.6-b", bin_directory, archive=pack(NEW)), False)
    answer = install.install(wanted(OLD, "3.4-a", bin_directory), False)
    assert (answer["changed"], answer["missing"]) == (True, False)
    assert (bin_directory / "etcd").read_bytes() == b"etcd 3.4"


def test_check_mode_says_what_would_change_and_changes_nothing(bin_directory, pack, tmp_path):
    answer = install.install(wanted(OLD, "3.4-a", bin_directory, archive=pack(OLD)), True)
    assert answer["changed"]
    assert not (tmp_path / "opt").exists()
    assert not bin_directory.exists()


def test_a_wrong_checksum_is_refused_and_leaves_nothing(bin_directory, pack, tmp_path):
    forged = {**OLD, "etcdctl": b"ctl 6.6"}
    with pytest.raises(install.InstallError, match="etcdctl has the checksum"):
        install.install(wanted(OLD, "3.4-a", bin_directory, archive=pack(forged)), False)
    assert not any((tmp_path / "opt" / "etcd").iterdir())
    assert not bin_directory.exists()
    assert records.read("etcd", "install") == {}


def test_a_wrong_checksum_leaves_the_version_in_use(bin_directory, pack):
    install.install(wanted(OLD, "3.4-a", bin_directory, archive=pack(OLD)), False)
    with pytest.raises(install.InstallError):
        install.install(wanted(NEW, "3.6-b", bin_directory, archive=pack({**NEW, "etcd": b"forged..."})), False)
    assert (bin_directory / "etcd").read_bytes() == b"etcd 3.4"


def test_a_truncated_archive_is_refused_and_leaves_nothing(bin_directory, pack, tmp_path):
    big = {"etcd": os.urandom(40_000), "etcdctl": b"x"}
    archive = pack(big)
    os.truncate(archive, 20_000)
    with pytest.raises((tarfile.TarError, install.InstallError, OSError)):
        install.install(wanted(big, "3.4-a", bin_directory, archive=archive), False)
    assert not any((tmp_path / "opt" / "etcd").iterdir())


def test_an_archive_without_a_binary_is_refused_and_leaves_nothing(bin_directory, pack, tmp_path):
    with pytest.raises(install.InstallError, match="etcdctl is not a file in the archive"):
        install.install(wanted(OLD, "3.4-a", bin_directory, archive=pack({"etcd": OLD["etcd"]})), False)
    assert not any((tmp_path / "opt" / "etcd").iterdir())


def test_a_binary_that_was_cut_short_is_brought_anew(bin_directory, pack, tmp_path):
    install.install(wanted(OLD, "3.4-a", bin_directory, archive=pack(OLD)), False)
    (tmp_path / "opt" / "etcd" / "3.4-a" / "etcd").write_bytes(b"etc")
    assert install.install(wanted(OLD, "3.4-a", bin_directory), False)["missing"] is True
    install.install(wanted(OLD, "3.4-a", bin_directory, archive=pack(OLD)), False)
    assert (bin_directory / "etcd").read_bytes() == b"etcd 3.4"


def test_a_link_that_somebody_changed_is_put_right(bin_directory, pack):
    install.install(wanted(OLD, "3.4-a", bin_directory, archive=pack(OLD)), False)
    (bin_directory / "etcd").unlink()
    (bin_directory / "etcd").write_text("somebody's")
    assert install.install(wanted(OLD, "3.4-a", bin_directory), False)["changed"] is True
    assert (bin_directory / "etcd").read_bytes() == b"etcd 3.4"


def test_a_whole_folder_can_be_linked_and_one_that_was_there_is_kept_aside(pack, tmp_path):
    cni = tmp_path / "cni" / "bin"
    cni.mkdir(parents=True)
    (cni / "theirs").write_text("precious")
    more = {"archive": pack({"bridge": b"b"}), "link_folder": True}
    install.install(wanted({"bridge": b"b"}, "1.1-a", cni, **more), False)
    assert cni.is_symlink()
    assert (cni / "bridge").read_bytes() == b"b"
    assert (tmp_path / "cni" / "bin.before-pyk8s" / "theirs").read_text() == "precious"


def test_a_node_can_pull_a_plain_binary_and_an_archive_and_checks_what_came(pack, tmp_path, bin_directory):
    archive = pack({"etcd-v3/etcd": OLD["etcd"], "etcd-v3/etcdctl": OLD["etcdctl"]}, "etcd.tar.gz")
    content = (tmp_path / "etcd.tar.gz").read_bytes()
    members = {"etcd": "etcd-v3/etcd", "etcdctl": "etcd-v3/etcdctl"}
    download = {"url": f"file://{archive}", "sha256": hashlib.sha256(content).hexdigest(), "members": members}
    install.install(wanted(OLD, "3.4-a", bin_directory, downloads=[download]), False)
    assert (bin_directory / "etcdctl").read_bytes() == b"ctl 3.4"
    plain = tmp_path / "kubelet-release"
    plain.write_bytes(b"kubelet")
    sha256 = hashlib.sha256(b"kubelet").hexdigest()
    one = {"url": f"file://{plain}", "sha256": sha256, "members": {}, "name": "kubelet"}
    install.install(wanted({"kubelet": b"kubelet"}, "1.36-a", bin_directory, downloads=[one]), False)
    assert (bin_directory / "kubelet").read_bytes() == b"kubelet"
    assert leftovers(tmp_path) == []


def test_a_download_with_a_wrong_checksum_is_never_unpacked(pack, tmp_path, bin_directory):
    download = {"url": f"file://{pack(OLD)}", "sha256": "0" * 64, "members": {n: n for n in OLD}}
    with pytest.raises(install.InstallError, match="has the checksum"):
        install.install(wanted(OLD, "3.4-a", bin_directory, downloads=[download]), False)
    assert not any((tmp_path / "opt" / "etcd").iterdir())


def test_the_node_remembers_what_is_whole_and_notices_when_it_is_not(bin_directory, pack, tmp_path):
    install.install(wanted(OLD, "3.4-a", bin_directory, archive=pack(OLD)), False)
    folder = tmp_path / "opt" / "etcd" / "3.4-a"
    assert records.installed() == {"etcd": str(folder)}
    (bin_directory / "etcd").unlink()
    assert records.installed() == {}
    install.install(wanted(OLD, "3.4-a", bin_directory), False)
    assert records.installed() == {"etcd": str(folder)}
    (folder / "etcdctl").write_bytes(b"")
    assert records.installed() == {}
