"""When certificates expire."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

from pyk8s.errors import Pyk8sError
from pyk8s.pki.store import Store


@dataclasses.dataclass(frozen=True)
class CertificateStatus:
    """A certificate on the controller. ``node`` is None where it belongs to no node; ``days_left`` may be negative."""

    name: str
    node: str | None
    subject: str
    not_after: datetime
    days_left: int
    authority: str


def expiry(directory: Path, now: datetime | None = None) -> list[CertificateStatus]:
    """Return every certificate of a PKI folder, those that expire first in front.

    Raises Pyk8sError when the folder holds none, or one that cannot be read.
    """
    store = Store(directory)
    with store.lock(shared=True):
        found = {name: store.read(name) or b"" for name in store.certificates()}
    if not found:
        raise Pyk8sError(
            f"there are no certificates in {directory}",
            "the cluster was not installed from here",
            "run `ansible-playbook site.yml`, which issues them or adopts them from a control plane",
        )
    moment = now or datetime.now(UTC)
    listed = [_status(directory, name, pem, moment) for name, pem in found.items()]
    return sorted(listed, key=lambda status: (status.not_after, status.node or "", status.name))


def _status(directory: Path, name: str, pem: bytes, now: datetime) -> CertificateStatus:
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise Pyk8sError(
            f"{directory / name} is not a certificate", str(error), "remove it and run `ansible-playbook site.yml`"
        ) from error
    path = Path(name)
    issuer = certificate.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    return CertificateStatus(
        name=path.stem,
        node=path.parent.name if path.parts[0] == "nodes" else None,
        subject=certificate.subject.rfc4514_string(),
        not_after=certificate.not_valid_after_utc,
        days_left=(certificate.not_valid_after_utc - now).days,
        authority=str(issuer[0].value) if issuer else certificate.issuer.rfc4514_string(),
    )
