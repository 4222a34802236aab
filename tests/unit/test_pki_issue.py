"""Issuing: what every certificate says, and when one is issued anew."""

import ipaddress
import os
import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store, VerificationError

from pyk8s.cluster.config import ClusterConfig
from pyk8s.cluster.model import Cluster, Node, SshTarget
from pyk8s.errors import Pyk8sError
from pyk8s.pki import AuthorityError, ensure, expiry, leaves, renew, store
from pyk8s.pki.certificates import CLOCK_SKEW
from pyk8s.pki.plan import Leaf, Usage

ALL = frozenset({"control_plane", "etcd", "workers"})
NOW = datetime(2030, 6, 1, 12, tzinfo=UTC)


def node(name: str, last: int, *groups: str) -> Node:
    address = f"192.0.2.{last}"
    return Node(name, address, frozenset(groups), SshTarget(address))


def cluster_of(*nodes: Node, **keys) -> Cluster:
    return Cluster(ClusterConfig(kubernetes_version="1.36.2", **keys), nodes)


@pytest.fixture
def cluster() -> Cluster:
    return cluster_of(
        node("cp1", 11, "control_plane", "etcd"), node("e1", 12, "etcd"), node("w1", 13, "workers"), cluster_name="t"
    )


@pytest.fixture
def pki(tmp_path):
    return tmp_path / "pki"


def certificate(pki, stem) -> x509.Certificate:
    return x509.load_pem_x509_certificate((pki / f"{stem}.crt").read_bytes())


def extension(cert, kind):
    return cert.extensions.get_extension_for_class(kind).value


def leaf_named(cluster, name, on=None) -> Leaf:
    return next(leaf for leaf in leaves(cluster) if leaf.name == name and leaf.node == on)


def verify(pki, leaf: Leaf, authority: str, name: str | None = None, at: datetime = NOW):
    """Judge the chain as a TLS peer would: as a server under that name, or as a client when none is given."""
    builder = PolicyBuilder().store(Store([certificate(pki, authority)])).time(at)
    if name is None:
        nameless = ExtensionPolicy.webpki_defaults_ee().may_be_present(
            x509.SubjectAlternativeName, Criticality.AGNOSTIC, None
        )
        builder = builder.extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=nameless)
        return builder.build_client_verifier().verify(certificate(pki, leaf.stem), [])
    try:
        subject = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        subject = x509.DNSName(name)
    return builder.build_server_verifier(subject).verify(certificate(pki, leaf.stem), [])


def test_every_leaf_verifies_for_every_name_and_usage_that_it_was_planned_for(cluster, pki):
    ensure(cluster, pki, now=NOW)
    for leaf in leaves(cluster):
        authority = leaf.authority.value
        if Usage.SERVER in leaf.usages:
            for name in leaf.sans:
                verify(pki, leaf, authority, name)
        if Usage.CLIENT in leaf.usages:
            verify(pki, leaf, authority)


def test_a_client_certificate_cannot_pose_as_a_server_nor_a_server_as_a_client(cluster, pki):
    ensure(cluster, pki, now=NOW)
    with pytest.raises(VerificationError):
        verify(pki, leaf_named(cluster, "health", "w1"), "ca", "w1")
    with pytest.raises(VerificationError):
        verify(pki, leaf_named(cluster, "kubelet-server", "w1"), "ca")


def test_a_certificate_of_one_authority_is_refused_by_another(cluster, pki):
    ensure(cluster, pki, now=NOW)
    with pytest.raises(VerificationError):
        verify(pki, leaf_named(cluster, "etcd-health", "cp1"), "ca")
    with pytest.raises(VerificationError):
        verify(pki, leaf_named(cluster, "kubelet-client", "w1"), "etcd-ca")


def test_the_apiserver_answers_to_every_name_that_clients_use():
    one = cluster_of(node("cp1", 11, "control_plane", "etcd"), api_endpoint="api.example.org", cluster_domain="c.local")
    assert leaf_named(one, "apiserver", "cp1").sans == (
        *("cp1", "localhost", "192.0.2.11", "127.0.0.1", "api.example.org"),
        *("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.c.local", "10.96.0.1"),
    )


def test_an_api_endpoint_that_is_an_address_becomes_an_address_in_the_certificate(pki):
    one = cluster_of(node("cp1", 11, *ALL), api_endpoint="192.0.2.100")
    ensure(one, pki, now=NOW)
    verify(pki, leaf_named(one, "apiserver", "cp1"), "ca", "192.0.2.100")


def test_subjects_are_those_that_kubernetes_authorizes(cluster):
    subjects = {leaf.name: (leaf.common_name, leaf.organization) for leaf in leaves(cluster) if leaf.node != "cp1"}
    assert subjects["kubelet-client"] == ("system:node:w1", "system:nodes")
    assert subjects["kube-proxy"] == ("system:kube-proxy", "")
    assert subjects["admin"] == ("kubernetes-admin", "pyk8s:cluster-admins")
    masters = [leaf.name for leaf in leaves(cluster) if leaf.organization == "system:masters"]
    assert masters == ["super-admin"]


def test_each_machine_gets_only_what_it_runs(cluster):
    names = {on: {leaf.name for leaf in leaves(cluster) if leaf.node == on} for on in ("cp1", "e1", "w1")}
    assert names["e1"] == {"etcd-server", "etcd-peer", "etcd-health"}
    assert names["w1"] == {"kubelet-client", "kubelet-server", "kube-proxy", "health"}
    assert {"apiserver", "scheduler", "controller-manager", "kubelet-client", "etcd-peer"} < names["cp1"]


def test_no_key_is_used_twice(cluster, pki):
    ensure(cluster, pki, now=NOW)
    keys = [path.read_bytes() for path in pki.rglob("*.key")]
    assert len(keys) == len(set(keys)) == len(leaves(cluster)) + 5  # three authorities, sa, encryption


def test_certificates_carry_the_extensions_that_they_must(cluster, pki):
    ensure(cluster, pki, now=NOW)
    authority, leaf = certificate(pki, "ca"), certificate(pki, "nodes/cp1/apiserver")
    assert extension(authority, x509.BasicConstraints) == x509.BasicConstraints(ca=True, path_length=0)
    assert extension(authority, x509.KeyUsage).key_cert_sign
    assert not extension(leaf, x509.BasicConstraints).ca
    assert not extension(leaf, x509.KeyUsage).key_cert_sign
    signer = extension(authority, x509.SubjectKeyIdentifier).digest
    assert extension(leaf, x509.AuthorityKeyIdentifier).key_identifier == signer
    assert isinstance(leaf.public_key(), ec.EllipticCurvePublicKey)
    assert leaf.public_key().curve.name == "secp256r1"


def test_authorities_last_ten_years_and_leaves_one_and_both_began_an_hour_ago(cluster, pki):
    ensure(cluster, pki, now=NOW)
    authority, leaf = certificate(pki, "ca"), certificate(pki, "admin")
    assert authority.not_valid_after_utc == NOW + timedelta(days=3650)
    assert leaf.not_valid_after_utc == NOW + timedelta(days=365)
    assert authority.not_valid_before_utc == leaf.not_valid_before_utc == NOW - CLOCK_SKEW


def test_keys_can_be_read_by_their_owner_only_whatever_the_umask(cluster, pki):
    before = os.umask(0)
    try:
        ensure(cluster, pki, now=NOW)
    finally:
        os.umask(before)
    modes = {path: path.stat().st_mode & 0o777 for path in pki.rglob("*")}
    assert pki.stat().st_mode & 0o777 == 0o700
    for path, mode in modes.items():
        wanted = 0o700 if path.is_dir() else 0o644 if path.suffix in {".crt", ".pub"} else 0o600
        assert mode == wanted, path
    assert not list(pki.rglob(".new-*"))
    assert not list(pki.glob(".staged*"))


def test_a_second_run_changes_nothing(cluster, pki):
    first = ensure(cluster, pki, now=NOW)
    before = {path: path.stat().st_mtime_ns for path in pki.rglob("*.*")}
    assert len(first.issued) == len(leaves(cluster)) + 5
    assert not ensure(cluster, pki, now=NOW + timedelta(days=300))
    assert {path: path.stat().st_mtime_ns for path in pki.rglob("*.*")} == before


def test_a_dry_run_names_everything_and_makes_nothing(cluster, pki):
    preview = ensure(cluster, pki, dry_run=True, now=NOW)
    assert not pki.exists()
    assert preview == ensure(cluster, pki, now=NOW)


def test_a_changed_name_reissues_only_the_leaf_that_carries_it(cluster, pki):
    ensure(cluster, pki, now=NOW)
    renamed = Cluster(cluster.config.model_copy(update={"api_endpoint": "api.example.org"}), cluster.nodes)
    changes = ensure(renamed, pki, now=NOW)
    assert [str(change) for change in changes.issued] == ["cp1/apiserver: names (SANs) differ"]
    assert not ensure(renamed, pki, now=NOW)


def test_a_new_node_gets_certificates_and_the_others_keep_theirs(cluster, pki):
    ensure(cluster, pki, now=NOW)
    grown = Cluster(cluster.config, (*cluster.nodes, node("w2", 14, "workers")))
    stems = ensure(grown, pki, now=NOW).stems
    assert stems == {f"nodes/w2/{name}" for name in ("kubelet-client", "kubelet-server", "kube-proxy", "health")}


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: (folder / "health.key").unlink(), "missing"),
        (lambda folder: (folder / "health.crt").write_bytes(b"-----BEGIN"), "unreadable"),
        (lambda folder: (folder / "kube-proxy.key").replace(folder / "health.key"), "do not match"),
    ],
)
def test_a_damaged_leaf_is_reissued(cluster, pki, spoil, reason):
    ensure(cluster, pki, now=NOW)
    spoil(pki / "nodes/w1")
    reasons = {change.stem: change.reason for change in ensure(cluster, pki, now=NOW).issued}
    assert reason in reasons["nodes/w1/health"]
    assert set(reasons) <= {"nodes/w1/health", "nodes/w1/kube-proxy"}


def test_a_leaf_with_a_wrong_subject_or_usage_is_reissued(cluster, pki):
    ensure(cluster, pki, now=NOW)
    folder = pki / "nodes/w1"
    for ending in ("crt", "key"):
        (folder / f"health.{ending}").write_bytes((folder / f"kube-proxy.{ending}").read_bytes())
        (folder / f"kubelet-server.{ending}").write_bytes((pki / f"nodes/cp1/kubelet-server.{ending}").read_bytes())
    reasons = {change.stem: change.reason for change in ensure(cluster, pki, now=NOW).issued}
    assert reasons["nodes/w1/health"] == "subject is CN=system:kube-proxy"
    assert reasons["nodes/w1/kubelet-server"] == "subject is CN=cp1"


def test_a_leaf_of_another_authority_is_reissued(cluster, pki, tmp_path):
    ensure(cluster, pki, now=NOW)
    ensure(cluster, tmp_path / "other", now=NOW)
    for ending in ("crt", "key"):
        (pki / f"admin.{ending}").write_bytes((tmp_path / f"other/admin.{ending}").read_bytes())
    assert [str(change) for change in ensure(cluster, pki, now=NOW).issued] == ["admin: signed by another authority"]


@pytest.mark.parametrize(("days", "renewed"), [(334, False), (335, True), (400, True)])
def test_leaves_are_renewed_thirty_days_before_they_expire(cluster, pki, days, renewed):
    ensure(cluster, pki, now=NOW)
    later = NOW + timedelta(days=days)
    changes = ensure(cluster, pki, now=later)
    assert bool(changes) == renewed
    assert changes.stems == (frozenset(leaf.stem for leaf in leaves(cluster)) if renewed else frozenset())
    assert not ensure(cluster, pki, now=later)


def test_leaves_never_outlive_their_authority_and_are_not_renewed_in_vain(cluster, pki):
    ensure(cluster, pki, now=NOW)
    late = NOW + timedelta(days=3640)
    ensure(cluster, pki, now=late)
    assert certificate(pki, "admin").not_valid_after_utc == NOW + timedelta(days=3650)
    assert not ensure(cluster, pki, now=late)


def test_an_expired_authority_is_refused(cluster, pki):
    ensure(cluster, pki, now=NOW)
    with pytest.raises(AuthorityError, match="expired"):
        ensure(cluster, pki, now=NOW + timedelta(days=3651))


def test_renewal_reissues_what_was_chosen_with_fresh_keys(cluster, pki):
    ensure(cluster, pki, now=NOW)
    old = (pki / "nodes/cp1/apiserver.key").read_bytes()
    assert renew(cluster, pki, leaf="apiserver", now=NOW).stems == {"nodes/cp1/apiserver"}
    assert (pki / "nodes/cp1/apiserver.key").read_bytes() != old
    assert renew(cluster, pki, node="e1", now=NOW).stems == {
        f"nodes/e1/etcd-{name}" for name in ("server", "peer", "health")
    }
    everything = renew(cluster, pki, now=NOW)
    assert len(everything.issued) == len(leaves(cluster))


def test_renewing_what_does_not_exist_says_what_does(cluster, pki):
    with pytest.raises(Pyk8sError, match="no certificate apisrver") as caught:
        renew(cluster, pki, leaf="apisrver")
    assert "apiserver-etcd-client" in caught.value.why


def test_a_node_name_too_long_for_a_certificate_is_refused_with_the_limit(pki):
    with pytest.raises(Pyk8sError, match="at most 52 characters"):
        ensure(cluster_of(node("n" * 53, 11, *ALL)), pki)
    ensure(cluster_of(node("n" * 52, 11, *ALL)), pki)


def test_expiry_lists_every_certificate_soonest_first(cluster, pki):
    ensure(cluster, pki, now=NOW)
    listed = expiry(pki, now=NOW + timedelta(days=360))
    assert len(listed) == len(leaves(cluster)) + 3
    assert [one.days_left for one in listed] == sorted(one.days_left for one in listed)
    apiserver = next(one for one in listed if one.name == "apiserver")
    assert (apiserver.node, apiserver.days_left, apiserver.authority) == ("cp1", 5, "kubernetes-ca")
    assert apiserver.subject == "CN=kube-apiserver"
    assert next(one for one in listed if one.name == "etcd-ca").node is None


def test_expiry_of_nothing_is_an_error(pki):
    with pytest.raises(Pyk8sError, match="no certificates"):
        expiry(pki)


def test_a_folder_held_by_another_process_is_waited_for_and_then_refused(cluster, pki, monkeypatch):
    monkeypatch.setattr(store, "LOCK_TIMEOUT", 0.1)
    with store.Store(pki).lock(), pytest.raises(Pyk8sError, match="locked"):
        ensure(cluster, pki)


def test_issuing_for_five_machines_takes_less_than_a_second_or_two(pki):
    five = cluster_of(*(node(f"n{index}", index + 1, *ALL) for index in range(5)))
    begin = time.process_time()
    ensure(five, pki)
    assert time.process_time() - begin < 2
