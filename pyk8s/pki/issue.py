"""Issue what is missing, wrong or about to expire; leave the rest alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from pyk8s.cluster.model import Cluster
from pyk8s.errors import Pyk8sError
from pyk8s.pki import authorities
from pyk8s.pki.authorities import AUTHORITY_FILES
from pyk8s.pki.certificates import issue, why_reissue
from pyk8s.pki.plan import Leaf, leaves
from pyk8s.pki.store import Store


@dataclasses.dataclass(frozen=True)
class Change:
    """One thing issued, or to be issued. ``stem`` is its path below the PKI folder, without an ending."""

    stem: str
    reason: str

    def __str__(self) -> str:
        return f"{self.stem.removeprefix('nodes/')}: {self.reason}"


@dataclasses.dataclass(frozen=True)
class Changes:
    """What was issued (or would be, in a dry run), and why; false when there is nothing."""

    issued: tuple[Change, ...]

    def __bool__(self) -> bool:
        return bool(self.issued)

    @property
    def stems(self) -> frozenset[str]:
        """The paths, without endings, of all that was issued."""
        return frozenset(change.stem for change in self.issued)


def pki_directory(cluster: Cluster, directory: Path | None = None) -> Path:
    """Return the PKI folder: the one given, or ``clusters/<name>/pki``."""
    return directory or cluster.directory / "pki"


def ensure(
    cluster: Cluster, directory: Path | None = None, *, dry_run: bool = False, now: datetime | None = None
) -> Changes:
    """Make the authorities if there are none, and issue every leaf that is missing, wrong or about to expire.

    ``dry_run`` only says what would be issued. ``now`` is the time to judge by (aware), the clock's if not given.
    Raises AuthorityError when the authorities are incomplete, damaged or expired, Pyk8sError when the folder stays
    locked or a node's name does not fit into a certificate.
    """
    return _issue(cluster, directory, lambda _leaf: False, dry_run=dry_run, now=now)


def renew(
    cluster: Cluster,
    directory: Path | None = None,
    *,
    leaf: str | None = None,
    node: str | None = None,
    now: datetime | None = None,
) -> Changes:
    """Issue leaves anew with fresh keys: all, or those of one name, of one node, or both; and what ``ensure`` would.

    Raises Pyk8sError when no leaf is called so, and what ``ensure`` raises.
    """
    known = leaves(cluster)

    def _chosen(one: Leaf) -> bool:
        return leaf in (None, one.name) and node in (None, one.node)

    if not any(map(_chosen, known)):
        raise Pyk8sError(
            f"cluster {cluster.name} has no certificate {leaf or 'of any name'}" + (f" on node {node}" if node else ""),
            f"its certificates are {', '.join(dict.fromkeys(one.name for one in known))}; "
            f"its nodes {', '.join(one.name for one in cluster.nodes)}",
            "choose one of these",
        )
    return _issue(cluster, directory, _chosen, dry_run=False, now=now)


def _issue(
    cluster: Cluster,
    directory: Path | None,
    forced: Callable[[Leaf], bool],
    *,
    dry_run: bool,
    now: datetime | None,
) -> Changes:
    moment = now or datetime.now(UTC)
    plan = leaves(cluster)
    store = Store(pki_directory(cluster, directory))
    changes: list[Change] = []
    with store.lock(shared=dry_run):
        authority = authorities.load(store)
        if authority is None:
            names = dict.fromkeys(name.rpartition(".")[0] for name in AUTHORITY_FILES)
            changes += [Change(name, "missing") for name in names]
            if dry_run:
                return Changes((*changes, *(Change(leaf.stem, "missing") for leaf in plan)))
            authority = authorities.create(store, cluster.name, moment)
        authorities.require_valid(authority, moment)
        for leaf in plan:
            signer = authority.signers[leaf.authority]
            pair = store.read(f"{leaf.stem}.crt"), store.read(f"{leaf.stem}.key")
            reason = why_reissue(leaf, *pair, signer, moment) or ("renewed" if forced(leaf) else "")
            if reason:
                changes.append(Change(leaf.stem, reason))
            if reason and not dry_run:
                certificate, key = issue(leaf, signer, moment)
                store.write(f"{leaf.stem}.key", key)
                store.write(f"{leaf.stem}.crt", certificate)
    return Changes(tuple(changes))
