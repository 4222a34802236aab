"""Which cluster it was: the ``cluster`` object of a report."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any

import yaml

from pyk8s.verify.model import Outcome, Status
from pyk8s.verify.objects import Manifest, reason
from pyk8s.verify.pods import is_ready
from pyk8s.verify.session import Session
from pyk8s.verify.wait import PASSING

ROLE = "node-role.kubernetes.io/"


def describe(
    session: Session, outcomes: Iterable[Outcome], started: datetime.datetime, seconds: float
) -> dict[str, Any]:
    """Return name, version, nodes, server, counts, start (UTC) and duration of a run against a cluster.

    With an inventory also the names of etcd's members, some of which may be no nodes.
    """
    outcomes = tuple(outcomes)
    counts = {status.value: sum(outcome.status is status for outcome in outcomes) for status in Status}
    members = [node.name for node in session.cluster.etcd] if session.cluster else None
    about = {
        "name": session.cluster.name if session.cluster else _context_name(session),
        "version": session.server_version,
        "server": session.api.configuration.host,
        "nodes": _nodes(session, members),
        "counts": counts | {"left_out": sum(outcome.left_out for outcome in outcomes)},
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
    }
    return about if members is None else about | {"etcd": members}


def _nodes(session: Session, members: list[str] | None) -> list[dict[str, Any]]:
    try:
        nodes = [_node(node) for node in session.objects.list("Node")]
    except PASSING as error:
        session.warn(f"the nodes could not be listed: {reason(error)}")
        return []
    return nodes if members is None else [node | {"etcd": node["name"] in members} for node in nodes]


def _node(node: Manifest) -> dict[str, Any]:
    labels = node["metadata"].get("labels") or {}
    return {
        "name": node["metadata"]["name"],
        "roles": sorted(label.removeprefix(ROLE) for label in labels if label.startswith(ROLE)),
        "version": node["status"]["nodeInfo"]["kubeletVersion"],
        "runtime": node["status"]["nodeInfo"]["containerRuntimeVersion"],
        "ready": is_ready(node),
    }


def _context_name(session: Session) -> str:
    known = yaml.safe_load(session.kubeconfig.read_text(encoding="utf-8"))
    current = known.get("current-context", "")
    contexts = {one["name"]: one["context"] for one in known.get("contexts") or []}
    return str(contexts.get(current, {}).get("cluster", current))
