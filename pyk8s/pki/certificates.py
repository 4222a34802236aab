"""X.509 with the cryptography library: authorities, leaves, and what is wrong with a leaf that exists."""

from __future__ import annotations

import dataclasses
import ipaddress
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pyk8s.pki.plan import Leaf, Usage

AUTHORITY_LIFETIME = timedelta(days=3650)
LEAF_LIFETIME = timedelta(days=365)
RENEWAL_WINDOW = timedelta(days=30)
"""A leaf that expires within this time is issued anew."""
CLOCK_SKEW = timedelta(hours=1)
"""How far a node's clock may lag behind the controller's: certificates are valid from that long ago."""

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
_USAGE = {Usage.CLIENT: ExtendedKeyUsageOID.CLIENT_AUTH, Usage.SERVER: ExtendedKeyUsageOID.SERVER_AUTH}


@dataclasses.dataclass(frozen=True)
class Authority:
    """A certificate authority with its private key, ready to sign."""

    certificate: x509.Certificate
    key: PrivateKey


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a fresh ECDSA P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: PrivateKey) -> bytes:
    """Return an unencrypted PKCS#8 PEM, which Go's TLS, kubeconfigs and OpenSSL all read."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public_pem(key: PrivateKey) -> bytes:
    """Return the public half of a key as PEM."""
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """Return a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def load_key(pem: bytes) -> PrivateKey:
    """Read a private key; ValueError when it is none, or neither RSA nor elliptic."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except TypeError as error:
        raise ValueError("the key is encrypted") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise ValueError(f"a key of the kind {type(key).__name__} is not supported")
    return key


def key_matches(certificate: x509.Certificate, key: PrivateKey) -> bool:
    """Whether the certificate was issued for this key."""
    return certificate.public_key() == key.public_key()


def new_authority(common_name: str, cluster_name: str, now: datetime) -> Authority:
    """Make a self-signed authority that may sign leaves, but no further authorities; valid for ten years."""
    key = new_key()
    subject = _name(common_name, cluster_name)
    builder = _builder(subject, subject, key, now).not_valid_after(now + AUTHORITY_LIFETIME)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(authority=True), critical=True)
    builder = builder.add_extension(_authority_id(x509.SubjectKeyIdentifier.from_public_key(key.public_key())), False)
    return Authority(builder.sign(key, hashes.SHA256()), key)


def issue(leaf: Leaf, authority: Authority, now: datetime) -> tuple[bytes, bytes]:
    """Issue a leaf with a fresh key; return the certificate and the key as PEM. It never outlives its authority."""
    key = new_key()
    end = min(now + LEAF_LIFETIME, authority.certificate.not_valid_after_utc)
    builder = _builder(_subject(leaf), authority.certificate.subject, key, now).not_valid_after(end)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(authority=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage(sorted(_usages(leaf), key=str)), critical=False)
    signer_id = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = builder.add_extension(_authority_id(signer_id), critical=False)
    if leaf.sans:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(n) for n in leaf.sans]), False)
    return certificate_pem(builder.sign(authority.key, hashes.SHA256())), key_pem(key)


def why_reissue(leaf: Leaf, cert: bytes | None, key: bytes | None, authority: Authority, now: datetime) -> str:
    """Say why a leaf that exists is not the one that is wanted; empty when it will do."""
    if cert is None or key is None:
        return "missing"
    try:
        certificate, private = x509.load_pem_x509_certificate(cert), load_key(key)
    except ValueError:
        return "unreadable"
    if not key_matches(certificate, private):
        return "certificate and key do not match"
    if not signed_by(certificate, authority.certificate):
        return "signed by another authority"
    return _difference(leaf, certificate) or _expiring(certificate, authority, now)


def signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether the authority signed the certificate."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _difference(leaf: Leaf, certificate: x509.Certificate) -> str:
    if certificate.subject != _subject(leaf):
        return f"subject is {certificate.subject.rfc4514_string()}"
    try:
        usages = frozenset(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
        names = frozenset(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound as missing:
        if missing.oid != x509.SubjectAlternativeName.oid:
            return "usages differ"
        names = frozenset()
    if usages != _usages(leaf):
        return "usages differ"
    return "" if names == {_general_name(name) for name in leaf.sans} else "names (SANs) differ"


def _expiring(certificate: x509.Certificate, authority: Authority, now: datetime) -> str:
    end = certificate.not_valid_after_utc
    gains = min(now + LEAF_LIFETIME, authority.certificate.not_valid_after_utc) > end
    return f"expires on {end:%Y-%m-%d}" if gains and end - now <= RENEWAL_WINDOW else ""


def _builder(subject: x509.Name, issuer: x509.Name, key: PrivateKey, now: datetime) -> x509.CertificateBuilder:
    public = key.public_key()
    builder = x509.CertificateBuilder(issuer_name=issuer, subject_name=subject, public_key=public)
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - CLOCK_SKEW)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)


def _authority_id(signer: x509.SubjectKeyIdentifier) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(signer)


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,  # an ECDSA key enciphers nothing
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str, organization: str) -> x509.Name:
    parts = [(NameOID.ORGANIZATION_NAME, organization), (NameOID.COMMON_NAME, common_name)]
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts if value])


def _subject(leaf: Leaf) -> x509.Name:
    return _name(leaf.common_name, leaf.organization)


def _usages(leaf: Leaf) -> frozenset[x509.ObjectIdentifier]:
    return frozenset(_USAGE[usage] for usage in leaf.usages)


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
