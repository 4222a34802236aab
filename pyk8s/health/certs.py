"""Certificates on the nodes: what they are for and when they expire."""

from __future__ import annotations

import dataclasses
import datetime

from cryptography import x509

from pyk8s.health.facts import NodeFacts

WARN_DAYS = 30
"""From when on a coming expiry is said aloud; kubelets rotate, and people renew, well before."""


@dataclasses.dataclass(frozen=True)
class Certificate:
    """One certificate file (or the client certificate within a kubeconfig) on one node."""

    node: str
    path: str
    subject: str
    expires: datetime.datetime

    def days(self, now: datetime.datetime) -> int:
        """Whole days left; negative when it has expired."""
        return (self.expires - now).days


def parse(node: str, path: str, pem: str) -> Certificate:
    """Read one PEM certificate; raises ValueError when it is none."""
    certificate = x509.load_pem_x509_certificate(pem.encode("ascii"))
    return Certificate(node, path, certificate.subject.rfc4514_string(), certificate.not_valid_after_utc)


def soonest_first(facts: tuple[NodeFacts, ...]) -> tuple[Certificate, ...]:
    """Return all certificates of all nodes, those that expire soonest first."""
    found = [parse(one.node.name, path, pem) for one in facts for path, pem in one.certificates.items()]
    return tuple(sorted(found, key=lambda certificate: (certificate.expires, certificate.node, certificate.path)))
