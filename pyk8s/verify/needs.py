"""What a check may need before it can run, found out once a run."""

from __future__ import annotations

import errno
import socket

from pyk8s.verify.context import repels
from pyk8s.verify.model import Check, CheckSkipped
from pyk8s.verify.objects import Manifest
from pyk8s.verify.pods import is_ready
from pyk8s.verify.session import Session

KUBELET_PORT = 10250
REACH_SECONDS = 1.0
OWN_TAINTS = "node.kubernetes.io/"
"""Taints that Kubernetes itself sets when a node is ill: they say nothing about what the node is for."""


class Needs:
    """Answers for each check whether its needs are met; asks the cluster at most once for each."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._answers: dict[str, CheckSkipped | None] = {}

    def unmet(self, check: Check) -> CheckSkipped | None:
        """Return why the check cannot run, None when it can."""
        for need in check.needs:
            if need not in self._answers:
                self._answers[need] = self._ask(need)
            if answer := self._answers[need]:
                return answer
        return None

    def _ask(self, need: str) -> CheckSkipped | None:
        if need == "two-workers":
            return self._two_workers()
        if need == "outside":
            return self._outside()
        if need in {"spare-control-planes", "spare-members"}:
            return self._spare(control_planes=need == "spare-control-planes")
        if self.session.cluster is None:
            return CheckSkipped("needs a shell on the nodes; only a kubeconfig was given", expected=True)
        return None

    def _two_workers(self) -> CheckSkipped | None:
        nodes = self.session.objects.list("Node")
        now = sum(is_ready(node) and not repels(node) for node in nodes)
        if now >= 2:
            return None
        cluster = self.session.cluster
        wanted = len(cluster.workers) if cluster else sum(not _reserved(node) for node in nodes)
        return CheckSkipped(f"needs two nodes that take pods: {now} now, {wanted} by design", expected=wanted < 2)

    def _spare(self, *, control_planes: bool) -> CheckSkipped | None:
        """Whether one etcd member may die, by design, and a control plane with it where that is asked."""
        cluster = self.session.cluster
        if cluster is None:
            return CheckSkipped("needs the machines; only a kubeconfig was given", expected=True)
        spare = len(cluster.etcd) > cluster.etcd_quorum
        if spare and (len(cluster.control_plane) > 1 or not control_planes):
            return None
        what = "a control plane and an etcd member" if control_planes else "an etcd member"
        has = f"{len(cluster.control_plane)} control planes and {len(cluster.etcd)} etcd members"
        return CheckSkipped(f"needs {what} to spare: there are {has}", expected=True)

    def _outside(self) -> CheckSkipped | None:
        addresses = {node["metadata"]["name"]: address(node) for node in self.session.objects.list("Node")}
        out_of_reach = [name for name, where in addresses.items() if not _reachable(where)]
        if not out_of_reach:
            return None
        cluster = self.session.cluster
        over_it = {node.address for node in cluster.nodes if node.ssh.host == node.address} if cluster else set()
        return CheckSkipped(
            f"needs the nodes' addresses, which are not reached from here: {', '.join(out_of_reach)}",
            expected=not any(addresses[name] in over_it for name in out_of_reach),
        )


def address(node: Manifest) -> str:
    """Return a node's InternalIP, empty when it has none."""
    listed = node.get("status", {}).get("addresses") or []
    return next((str(one["address"]) for one in listed if one["type"] == "InternalIP"), "")


def _reserved(node: Manifest) -> bool:
    taints = node["spec"].get("taints") or []
    return any(taint["effect"] != "PreferNoSchedule" and not taint["key"].startswith(OWN_TAINTS) for taint in taints)


def _reachable(where: str) -> bool:
    try:
        with socket.create_connection((where, KUBELET_PORT), REACH_SECONDS):
            return True
    except OSError as error:
        return error.errno == errno.ECONNREFUSED
