"""The authorities: three certificate authorities, the service accounts' key pair, and the key that encrypts secrets.

They are one set: made together, adopted together, and never replaced. A second set beside the first would lock
every node out, and a second encryption key would make the cluster's secrets unreadable.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import secrets
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from pyk8s.errors import Pyk8sError
from pyk8s.pki.certificates import (
    Authority,
    certificate_pem,
    key_matches,
    key_pem,
    load_key,
    new_authority,
    public_pem,
    signed_by,
)
from pyk8s.pki.plan import Signer
from pyk8s.pki.store import Store

ENCRYPTION_KEY_BYTES = 32
"""A secretbox key's size (XSalsa20-Poly1305)."""
_COMMON_NAMES = {Signer.KUBERNETES: "kubernetes-ca", Signer.ETCD: "etcd-ca", Signer.FRONT_PROXY: "front-proxy-ca"}
AUTHORITY_FILES = (
    *(f"{signer.value}.{ending}" for signer in Signer for ending in ("crt", "key")),
    "sa.key",
    "sa.pub",
    "encryption.key",
)
"""The whole set, by the names that the files have here and on the control planes (/etc/kubernetes/pki)."""


class AuthorityError(Pyk8sError):
    """The authorities are incomplete, damaged, or not the ones that the cluster trusts."""


@dataclasses.dataclass(frozen=True)
class Authorities:
    """The validated set, ready to sign."""

    signers: Mapping[Signer, Authority]
    files: Mapping[str, bytes] = dataclasses.field(repr=False)


def create(store: Store, cluster_name: str, now: datetime) -> Authorities:
    """Make the set; the store must be locked and hold none. RSA for service accounts: every client verifies RS256."""
    files: dict[str, bytes] = {}
    for signer in Signer:
        made = new_authority(_COMMON_NAMES[signer], cluster_name, now)
        files[f"{signer.value}.crt"] = certificate_pem(made.certificate)
        files[f"{signer.value}.key"] = key_pem(made.key)
    service_accounts = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    files["sa.key"] = key_pem(service_accounts)
    files["sa.pub"] = public_pem(service_accounts)
    files["encryption.key"] = base64.b64encode(secrets.token_bytes(ENCRYPTION_KEY_BYTES)) + b"\n"
    store.write_together(files)
    return validate(files, str(store.directory))


def load(store: Store) -> Authorities | None:
    """Return the set, None when there is nothing at all; raises AuthorityError when it is incomplete or damaged."""
    files = _present(store)
    missing = [name for name in AUTHORITY_FILES if name not in files]
    if not missing:
        return validate(files, str(store.directory))
    left = sorted(files) or store.certificates()
    if not left:
        return None
    raise AuthorityError(
        f"the authorities in {store.directory} are incomplete: {', '.join(missing)} missing",
        f"{', '.join(left[:3])} stand there; new authorities beside old ones would lock the nodes out",
        "restore the files from a backup, or remove the folder and adopt the authorities from a control plane",
    )


def validate(files: Mapping[str, bytes], where: str) -> Authorities:
    """Check that keys fit and authorities are such; raises AuthorityError naming all that is wrong."""
    signers: dict[Signer, Authority] = {}
    problems = []
    for signer in Signer:
        try:
            signers[signer] = _authority(files[f"{signer.value}.crt"], files[f"{signer.value}.key"])
        except ValueError as error:
            problems.append(f"{signer.value}: {error}")
    try:
        if public_pem(load_key(files["sa.key"])).split() != files["sa.pub"].split():
            problems.append("sa: public and private key do not match")
    except ValueError as error:
        problems.append(f"sa: {error}")
    if not _is_encryption_key(files["encryption.key"]):
        problems.append(f"encryption.key: not {ENCRYPTION_KEY_BYTES} bytes in base64")
    if problems:
        raise AuthorityError(
            f"the authorities in {where} are damaged", "; ".join(problems), "restore the files from a backup"
        )
    return Authorities(signers, files)


def require_valid(authorities: Authorities, now: datetime) -> None:
    """Raise AuthorityError when an authority has expired: what it signs would be refused everywhere."""
    for signer, authority in authorities.signers.items():
        end = authority.certificate.not_valid_after_utc
        if end <= now:
            raise AuthorityError(
                f"the authority {signer.value} expired on {end:%Y-%m-%d}",
                "nothing that it signs would be accepted",
                "check the controller's clock; if it is right the authorities must be replaced on every node",
            )


def adopt(directory: Path, files: Mapping[str, bytes], *, dry_run: bool = False) -> bool:
    """Take over the authorities read from a control plane (by their names in ``AUTHORITY_FILES``; others are ignored).

    Nothing happens when none are given, or when the set here is complete and agrees with all that are given. A set
    here that lacks files is completed. Returns whether anything was stored (or would be, with ``dry_run``, which
    refuses what a real run would refuse). Raises AuthorityError, with nothing changed, when a file here differs from
    the control plane's, or when what is to be adopted is incomplete or damaged.
    """
    theirs = {name: files[name] for name in AUTHORITY_FILES if name in files}
    if not theirs:
        return False
    store = Store(directory)
    with store.lock(shared=dry_run):
        ours = _present(store)
        differing = [name for name, content in theirs.items() if ours.get(name, content) != content]
        if differing:
            raise AuthorityError(
                f"two authorities: {', '.join(differing)} in {directory} differ from the control plane's",
                "the folder belongs to another cluster of that name, or the cluster was installed from elsewhere",
                f"to keep the running cluster, move {directory} away and run again: that adopts the control plane's",
            )
        if len(ours) == len(AUTHORITY_FILES):
            return False
        _require_complete(theirs)
        validate(theirs, "the control plane")
        if not dry_run:
            store.write_together({name: content for name, content in theirs.items() if name not in ours})
    return True


def authority_fingerprint(directory: Path) -> str | None:
    """Return the fingerprint of a folder's set, None when there is none; raises AuthorityError on a partial one."""
    store = Store(directory)
    with store.lock(shared=True):
        authorities = load(store)
    return fingerprint_of(authorities.files) if authorities else None


def fingerprint_of(files: Mapping[str, bytes]) -> str | None:
    """Return the SHA-256 over a set of authority files, None for none; raises AuthorityError on a partial one."""
    found = {name: files[name] for name in AUTHORITY_FILES if name in files}
    if not found:
        return None
    _require_complete(found)
    sums = "".join(f"{name} {hashlib.sha256(content).hexdigest()}\n" for name, content in found.items())
    return hashlib.sha256(sums.encode()).hexdigest()


def _present(store: Store) -> dict[str, bytes]:
    found = {name: store.read(name) for name in AUTHORITY_FILES}
    return {name: content for name, content in found.items() if content is not None}


def _require_complete(files: Mapping[str, bytes]) -> None:
    missing = [name for name in AUTHORITY_FILES if name not in files]
    if missing:
        raise AuthorityError(
            f"the control plane's authorities are incomplete: {', '.join(missing)} missing",
            "an installation was interrupted, or files were removed from /etc/kubernetes/pki",
            "restore them there, use another control plane, or run from the controller that installed the cluster",
        )


def _authority(cert: bytes, key: bytes) -> Authority:
    certificate, private = x509.load_pem_x509_certificate(cert), load_key(key)
    if not key_matches(certificate, private):
        raise ValueError("certificate and key do not match")
    try:
        is_authority = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound as missing:
        raise ValueError(f"the certificate is not that of an authority: {missing}") from missing
    if not is_authority or not signed_by(certificate, certificate):
        raise ValueError("the certificate is not that of an authority")
    return Authority(certificate, private)


def _is_encryption_key(text: bytes) -> bool:
    try:
        return len(base64.b64decode(text.strip(), validate=True)) == ENCRYPTION_KEY_BYTES
    except binascii.Error:
        return False
