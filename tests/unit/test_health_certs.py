"""Certificates on the nodes: read without their keys, sorted by expiry."""

import base64
import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from pyk8s.cluster.model import Node, SshTarget
from pyk8s.health import certs, on_node
from pyk8s.health.facts import NodeFacts


def pem_of_days(days: int) -> str:
    now, key = datetime.datetime.now(datetime.UTC), ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, str(days))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    dated = builder.not_valid_before(now - datetime.timedelta(days=99)).not_valid_after(now + datetime.timedelta(days))
    return dated.sign(key, None).public_bytes(Encoding.PEM).decode()


def node(name: str, **found: str) -> NodeFacts:
    return NodeFacts(Node(name, "10.0.0.1", frozenset(), SshTarget(name)), certificates=found)


def test_certificates_are_sorted_by_expiry_over_all_nodes():
    found = certs.soonest_first((node("cp1", a=pem_of_days(9)), node("w1", b=pem_of_days(3))))
    assert [(one.node, one.path, one.subject) for one in found] == [("w1", "b", "CN=3"), ("cp1", "a", "CN=9")]
    assert found[0].days(datetime.datetime.now(datetime.UTC)) == 2


def test_an_expired_certificate_has_negative_days():
    assert certs.parse("w1", "a", pem_of_days(-3)).days(datetime.datetime.now(datetime.UTC)) < 0


def test_what_is_no_certificate_is_refused():
    with pytest.raises(ValueError, match="PEM"):
        certs.parse("w1", "a", "nothing")


def test_of_a_kubeconfig_only_the_certificate_leaves_the_node(tmp_path):
    pem = pem_of_days(5)
    data = base64.b64encode(pem.encode()).decode()
    secret = base64.b64encode(b"-----BEGIN PRIVATE KEY-----").decode()
    (tmp_path / "a.kubeconfig").write_text(f"client-certificate-data: {data}\nclient-key-data: {secret}\n")
    (tmp_path / "b.crt").write_text(pem)
    (tmp_path / "empty.crt").write_text("")
    found = on_node.certificates([f"{tmp_path}/*.crt", f"{tmp_path}/*.kubeconfig"])
    assert found == {f"{tmp_path}/a.kubeconfig": pem, f"{tmp_path}/b.crt": pem}
