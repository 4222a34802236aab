"""A run such as a real one: five nodes, seventy checks, six faults with timelines, two failures, one left out."""

from __future__ import annotations

from typing import Any

from pyk8s.verify.model import Check, Gap, Mark, Measure, Outcome, Report, Status, Timeline, Track

COMPONENTS = ("kube-apiserver", "etcd", "kube-scheduler", "kubelet", "nodes", "kube-proxy", "DNS", "workloads")
EVIDENCE = "3 of 3 members are healthy; the leader is cp2, at the same revision as the others"
FAULTS = (
    "kube-apiserver on cp1 stopped",
    "the leader of etcd killed",
    "kubelet on w1 stopped",
    "cp3 taken off the network",
    "kube-controller-manager's leader killed",
    "containerd on w2 killed",
)
PROBES = ("write through api_endpoint", "read from cp1", "read from cp2", "Service by ClusterIP from w1")


def node(name: str, role: str, *, ready: bool = True, etcd: bool = False) -> dict[str, Any]:
    """A node as ``describe`` tells of it."""
    told = {"version": "v1.36.2", "runtime": "containerd://2.1.4", "ready": ready, "etcd": etcd}
    return {"name": name, "roles": [role], **told}


NODES = [
    *(node(f"cp{number}", "control-plane", etcd=True) for number in (1, 2, 3)),
    node("w1", "worker"),
    node("w2", "worker", ready=False),
]
CLUSTER = {
    "name": "production",
    "version": "v1.36.2",
    "server": "https://api.example.com:6443",
    "nodes": NODES,
    "started": "2026-01-01T21:14:05+00:00",
    "seconds": 412.3,
}


def outcome(
    name: str, status: Status = Status.PASSED, detail: str = EVIDENCE, *, component: str = "etcd", **more: Any
) -> Outcome:
    """A check that ended so."""
    return Outcome(Check(name, component, f"The promise of {name} holds", lambda ctx: ""), status, 1.25, detail, **more)


def timeline(what: str, longest: float) -> Timeline:
    """A fault from 5 s to 30 s; one probe has two gaps, one has one, the others none."""
    gaps = (
        Gap(5.2, 5.2 + longest, "HTTP 503: etcdserver: request timed out"),
        Gap(29.9, 30.02, "read: connection reset by peer"),
    )
    tracks = [Track(name, 440, 0) for name in PROBES]
    tracks[0] = Track(PROBES[0], 440, 31, gaps)
    tracks[1] = Track(PROBES[1], 440, 249, (Gap(5.1, 31.4, "connect: connection refused"),))
    return Timeline(44.0, (Mark(what, 5.0, 30.0),), tuple(tracks))


def fault(number: int, *, longest: float = 3.4) -> Outcome:
    """A fault that was injected; it fails where writes stood still for more than 10 s."""
    what = FAULTS[number]
    measures = (
        Measure("longest time without a write", longest, 10),
        Measure("until all was well again", 18.31, 60),
        Measure("until the unit ran again", 3.2),
    )
    status = Status.FAILED if longest > 10 else Status.PASSED
    about = {"component": "faults", "measures": measures, "timeline": timeline(what, longest)}
    return outcome(f"fault-{number}", status, f"writes stood still for {longest} s", **about)


def sample() -> Report:
    """The whole run."""
    usual = [outcome(f"check-{number}", component=COMPONENTS[number % len(COMPONENTS)]) for number in range(60)]
    long = "x" * 400 + "\n" + "\n".join(f"line {number} of what kubectl said" for number in range(100))
    others = (
        outcome("unreachable", Status.FAILED, "wget: timed out\n<script>alert(1)</script>", component="pod network"),
        outcome("no-dns", Status.SKIPPED, "CoreDNS is absent", component="DNS"),
        outcome("one-worker", Status.SKIPPED, "there is one worker", component="kube-scheduler", expected=True),
        outcome("talks-much", detail=long, component="kubelet"),
    )
    faults = [fault(number, longest=12.4 if number == 1 else 3.4) for number in range(len(FAULTS))]
    return Report((*usual, *others, *faults), CLUSTER, ("still there after 30 s: pyk8s-verify-ab12/web-1",))
