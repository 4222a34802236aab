"""Authorities: one set, never replaced, taken over from a control plane, never half-made."""

import shutil
from pathlib import Path

import pytest

from pyk8s.cluster.config import ClusterConfig
from pyk8s.cluster.model import Cluster, Node, SshTarget
from pyk8s.pki import AUTHORITY_FILES, AuthorityError, adopt, authority_fingerprint, ensure, files_for, fingerprint_of
from pyk8s.pki.store import Store

ONE = Node("cp1", "192.0.2.11", frozenset({"control_plane", "etcd", "workers"}), SshTarget("192.0.2.11"))
CLUSTER = Cluster(ClusterConfig(kubernetes_version="1.36.2"), (ONE,))


def authority_files(folder) -> dict[str, bytes]:
    """What the control plane holds, under the names it has there."""
    placed = files_for(CLUSTER, "pki_authorities", ONE, folder)
    return {path.rpartition("/")[2]: file.content for path, file in placed.items()}


def tree(folder) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def issued(tmp_path_factory):
    folder = tmp_path_factory.mktemp("issued") / "pki"
    ensure(CLUSTER, folder)
    return folder


@pytest.fixture
def pki(issued, tmp_path):
    return Path(shutil.copytree(issued, tmp_path / "pki"))


@pytest.fixture(scope="module")
def lost(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("lost")
    ensure(CLUSTER, folder)
    return authority_files(folder)


@pytest.fixture
def running(lost) -> dict[str, bytes]:
    """The authorities of a control plane whose controller was lost."""
    return dict(lost)


def test_a_new_controller_adopts_the_authorities_and_then_issues_only_leaves(tmp_path, running):
    fresh = tmp_path / "fresh"
    assert adopt(fresh, running)
    assert authority_fingerprint(fresh) == fingerprint_of(running)
    assert not ensure(CLUSTER, fresh).stems & {"ca", "etcd-ca", "front-proxy-ca", "sa", "encryption"}
    assert authority_files(fresh) == running
    assert {(fresh / name).stat().st_mode & 0o777 for name in AUTHORITY_FILES if name.endswith("key")} == {0o600}


def test_adopting_again_changes_nothing(pki):
    before = tree(pki)
    assert not adopt(pki, authority_files(pki))
    assert tree(pki) == before


def test_a_dry_run_says_what_would_be_adopted_and_refuses_what_would_be_refused(tmp_path, pki, running):
    assert adopt(tmp_path / "fresh", running, dry_run=True)
    assert not (tmp_path / "fresh").exists()
    with pytest.raises(AuthorityError, match="two authorities"):
        adopt(pki, running, dry_run=True)


def test_another_authority_is_refused_and_nothing_is_changed(pki, running):
    before = tree(pki)
    with pytest.raises(AuthorityError, match="two authorities"):
        adopt(pki, running)
    assert tree(pki) == before


def test_another_encryption_key_alone_is_refused(pki, running):
    before = tree(pki)
    theirs = authority_files(pki) | {"encryption.key": running["encryption.key"]}
    with pytest.raises(AuthorityError, match=r"two authorities: encryption\.key"):
        adopt(pki, theirs)
    assert tree(pki) == before


def test_a_control_plane_whose_copy_is_not_complete_yet_agrees_with_a_complete_controller(pki):
    some = {name: authority_files(pki)[name] for name in ("ca.crt", "ca.key")}
    adopt(pki, some)


@pytest.mark.parametrize("lacking", AUTHORITY_FILES)
def test_a_partial_set_is_not_adopted(tmp_path, running, lacking):
    del running[lacking]
    with pytest.raises(AuthorityError, match="incomplete") as caught:
        adopt(tmp_path / "fresh", running)
    assert lacking in caught.value.what
    assert tree(tmp_path / "fresh") == {}
    with pytest.raises(AuthorityError, match="incomplete"):
        fingerprint_of(running)


@pytest.mark.parametrize(
    ("damaged", "by", "said"),
    [
        ("ca.key", "etcd-ca.key", "ca: certificate and key do not match"),
        ("sa.key", "ca.key", "sa: public and private key do not match"),
        ("front-proxy-ca.crt", "sa.pub", "front-proxy-ca: "),
        ("encryption.key", "sa.pub", "encryption.key: not 32 bytes"),
    ],
)
def test_a_damaged_set_is_not_adopted(tmp_path, running, damaged, by, said):
    with pytest.raises(AuthorityError, match="damaged") as caught:
        adopt(tmp_path / "fresh", running | {damaged: running[by]})
    assert said in caught.value.why
    assert tree(tmp_path / "fresh") == {}


def test_a_leaf_in_place_of_an_authority_is_refused(tmp_path, pki):
    leaf = {f"ca.{end}": (pki / f"admin.{end}").read_bytes() for end in ("crt", "key")}
    with pytest.raises(AuthorityError, match="damaged") as caught:
        adopt(tmp_path / "fresh", authority_files(pki) | leaf)
    assert "not that of an authority" in caught.value.why


def test_no_message_of_an_error_shows_a_key(tmp_path, running):
    spoiled = running | {"encryption.key": b"c2hvcnQgc2VjcmV0\n"}
    with pytest.raises(AuthorityError) as caught:
        adopt(tmp_path / "fresh", spoiled)
    assert "c2hvcnQgc2VjcmV0" not in str(caught.value)


def test_nothing_to_adopt_is_no_error(tmp_path):
    adopt(tmp_path / "fresh", {"apiserver.crt": b"not an authority's"})
    assert not (tmp_path / "fresh").exists()
    assert authority_fingerprint(tmp_path / "fresh") is None
    assert fingerprint_of({}) is None


@pytest.mark.parametrize("lacking", AUTHORITY_FILES)
def test_a_missing_authority_file_is_never_made_anew_beside_the_others(pki, lacking):
    (pki / lacking).unlink()
    before = tree(pki)
    for dry_run in (True, False):
        with pytest.raises(AuthorityError, match="incomplete") as caught:
            ensure(CLUSTER, pki, dry_run=dry_run)
        assert lacking in caught.value.what
    assert tree(pki) == before


def test_authorities_lost_beside_leaves_that_they_signed_are_not_made_anew(pki):
    for name in AUTHORITY_FILES:
        (pki / name).unlink()
    with pytest.raises(AuthorityError, match="incomplete"):
        ensure(CLUSTER, pki)


def test_a_lost_file_is_completed_from_a_control_plane_and_leaves_stay(pki):
    whole = authority_files(pki)
    (pki / "encryption.key").unlink()
    adopt(pki, whole)
    assert authority_files(pki) == whole
    assert not ensure(CLUSTER, pki)


def test_a_damaged_authority_on_the_controller_is_an_error(pki):
    (pki / "ca.key").write_bytes((pki / "etcd-ca.key").read_bytes())
    with pytest.raises(AuthorityError, match="damaged"):
        ensure(CLUSTER, pki)


def test_authorities_interrupted_while_put_in_place_are_completed_by_the_next_run(tmp_path, running, monkeypatch):
    folder = tmp_path / "pki"
    folder.mkdir()
    with monkeypatch.context() as broken:
        broken.setattr(Store, "_finish", power_cut_after_two_files)
        with pytest.raises(KeyboardInterrupt):
            adopt(folder, running)
    assert sum((folder / name).is_file() for name in AUTHORITY_FILES) == 2
    ensure(CLUSTER, folder)
    assert authority_files(folder) == running
    assert not list(folder.glob(".staged*"))


def test_authorities_interrupted_while_prepared_leave_nothing(tmp_path, monkeypatch):
    folder = tmp_path / "pki"

    def power_cut(_folder):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr("pyk8s.pki.store._sync", power_cut)
        with pytest.raises(KeyboardInterrupt):
            ensure(CLUSTER, folder)
    ensure(CLUSTER, folder)
    assert not list(folder.glob(".staged*"))


def power_cut_after_two_files(store):
    staged = store.directory / ".staged"
    if staged.is_dir():
        for path in sorted(staged.iterdir())[:2]:
            path.replace(store.directory / path.name)
        raise KeyboardInterrupt
