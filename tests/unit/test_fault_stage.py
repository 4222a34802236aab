"""The stage of a fault fails where a promise did not hold, and undoes the fault whatever happens."""

import threading
import time
import types

import pytest

from pyk8s.cluster.config import ClusterConfig
from pyk8s.cluster.model import Cluster, Node, SshTarget
from pyk8s.lab.faults import Fault, UnavailableError
from pyk8s.verify.checks.fault_restarts import _thousandths
from pyk8s.verify.faults.places import front
from pyk8s.verify.faults.probes import Probe, Sample
from pyk8s.verify.faults.profile import profile
from pyk8s.verify.faults.stage import READ, WRITE, Stage
from pyk8s.verify.model import CheckFailed, CheckSkipped, Interrupted, Mark
from pyk8s.verify.wait import Deadline, poll

NODE = Node("cp1", "192.0.2.11", frozenset({"control_plane"}), SshTarget("192.0.2.11"))


class FakeInjector:
    """Remembers what was undone."""

    def __init__(self):
        self.undone = []

    def undo(self, fault):
        self.undone.append(fault.what)


@pytest.fixture
def stage():
    """A stage with two probes that nobody starts, and a cluster that holds one ConfigMap."""
    made = object.__new__(Stage)
    kept = [{"metadata": {"name": "w-0"}, "data": {"k0": "", "k1": ""}}]
    deadline = Deadline.after(30)
    made.ctx = types.SimpleNamespace(
        measures=[],
        timeline=None,
        deadline=deadline,
        objects=types.SimpleNamespace(list=lambda kind, namespace: kept),
        wait=lambda probe, timeout, what, state=None: poll(probe, timeout, what, deadline, state),
    )
    made.injector, made.namespace = FakeInjector(), "n"
    made.marks, made.problems, made.told, made.writers = [], [], [], []
    made.zero = time.monotonic() - 12
    made.probes = {name: Probe(name, lambda: "") for name in (READ, WRITE)}
    for probe in made.probes.values():
        probe.samples += [Sample(made.zero + n / 10, made.zero + n / 10 + 0.01) for n in range(120)]
    return made


def silence(stage, name, since, until):
    """Take a probe's answers away between two moments of the stage."""
    kept = [one for one in stage.probes[name].samples if not since < one.asked - stage.zero < until]
    stage.probes[name].samples[:] = kept


def test_what_stays_within_its_bounds_is_evidence(stage):
    silence(stage, READ, 2, 5)
    stage.api_answers()
    assert "no read through api_endpoint 3." in stage.evidence()
    assert [one.bound for one in stage.ctx.measures] == [5, 10]


def test_what_was_gone_for_too_long_fails_and_says_for_how_long(stage):
    silence(stage, READ, 2, 9)
    with pytest.raises(CheckFailed, match=r"no read through api_endpoint: 7\.\d s, promised are 5 s"):
        stage.evidence()


def test_the_api_is_judged_in_every_check(stage):
    silence(stage, WRITE, 0, 12)
    with pytest.raises(CheckFailed, match="no write through api_endpoint"):
        stage.evidence()


def test_a_lost_write_fails(stage):
    stage.writers.append(types.SimpleNamespace(acknowledged=[("w-0", "k0"), ("w-0", "k2"), ("w-1", "k9")]))
    stage.writes_kept()
    with pytest.raises(CheckFailed, match="2 acknowledged writes are lost: w-0/k2, w-1/k9"):
        stage.evidence()


def test_a_probe_that_never_failed_says_that_nothing_was_struck(stage):
    stage.marks.append(Mark("cp1: etcd stopped", 4.0, 9.0))
    silence(stage, WRITE, 4.5, 8)
    silence(stage, READ, 9.5, 12)
    stage.felt(WRITE)
    stage.felt(READ)
    assert stage.problems == [f"{READ} went on during `cp1: etcd stopped`, so that nothing was struck there"]


def test_a_service_is_judged_at_other_workers_only_where_there_are_others(stage):
    stage.probes["NodePort at w1"] = Probe("NodePort at w1", lambda: "")
    stage.services_answer(3, without=("w1",))
    assert (stage.ctx.measures, stage.told) == ([], ["there is no other worker to ask a Service at"])


def test_what_clients_know_alone_is_not_struck(stage):
    stage.cluster = Cluster(ClusterConfig(kubernetes_version="1.36.4"), (NODE,))
    stage.entrance = types.SimpleNamespace(names=lambda: {"cp1", NODE.address})
    with pytest.raises(CheckFailed, match=r"reach the API at cp1 alone .*: set api_virtual_ip"):
        front(stage)
    stage.cluster = Cluster(ClusterConfig(kubernetes_version="1.36.4", api_virtual_ip="192.0.2.5"), (NODE,))
    assert front(stage) == NODE


def test_a_fault_is_undone_and_marked_when_its_block_fails(stage):
    with pytest.raises(RuntimeError), stage.harm(lambda faults: Fault("cp1: etcd stopped", NODE)):
        raise RuntimeError
    assert stage.injector.undone == ["cp1: etcd stopped"]
    assert stage.marks[0].what == "cp1: etcd stopped"
    assert stage.marks[0].until >= stage.marks[0].at


def test_a_fault_that_these_machines_cannot_have_is_skipped_by_design(stage):
    def _cannot(faults):
        raise UnavailableError("cp1 cannot delay packets", "its kernel has no netem")

    said = "cp1 cannot delay packets why: its kernel has no netem"
    with pytest.raises(CheckSkipped, match=said) as skipped, stage.harm(_cannot):
        pass
    assert skipped.value.expected


def test_watching_ends_at_once_when_the_run_is_ended(stage):
    stage.ctx.deadline = Deadline.after(30, threading.Event())
    stage.ctx.deadline.stop.set()
    with pytest.raises(Interrupted):
        stage.watch(20)


@pytest.mark.parametrize(
    ("version", "key", "noticed", "moved"),
    [("1.20.2", "default", 50, 360), ("1.36.4", "default", 60, 370), ("1.36.4", "fast", 30, 70)],
)
def test_the_bounds_of_a_dead_worker_follow_from_failure_detection(version, key, noticed, moved):
    cluster = Cluster(ClusterConfig(kubernetes_version=version, failure_detection=key), (NODE,))
    assert (profile(cluster).noticed, profile(cluster).moved) == (noticed, moved)


@pytest.mark.parametrize(("text", "thousandths"), [("250m", 250), ("2", 2000), ("0", 0), ("0.5", 500)])
def test_quantities_of_cpu_are_read_as_kubernetes_does(text, thousandths):
    assert _thousandths(text) == thousandths
