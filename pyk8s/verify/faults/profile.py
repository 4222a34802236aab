"""How soon a dead node is noticed, and left by its pods: what ``failure_detection`` promises."""

from __future__ import annotations

import dataclasses

from pyk8s.cluster.model import Cluster

NOTICED_SLACK, MOVED_SLACK = 10.0, 20.0
"""Seconds added to what the profile says: for the last lease before, the controllers' periods, and a pod's start."""


@dataclasses.dataclass(frozen=True)
class Profile:
    """How soon failures are noticed, in seconds: the node controller's grace, and the pods' toleration after that."""

    grace: float
    toleration: float

    @property
    def noticed(self) -> float:
        """Until a dead node is NotReady."""
        return self.grace + NOTICED_SLACK

    @property
    def moved(self) -> float:
        """Until its pods run elsewhere."""
        return self.grace + self.toleration + MOVED_SLACK


def profile(cluster: Cluster) -> Profile:
    """Return what failure_detection means (kube-controller-manager's grace is 50 s by default from 1.32, before 40)."""
    if cluster.config.failure_detection == "fast":
        return Profile(20, 30)
    return Profile(50 if cluster.minor >= 32 else 40, 300)
