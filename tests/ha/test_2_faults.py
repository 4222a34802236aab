"""A selection of the fault suite that fits into CI's time (the whole of it: make faults), and how faults are undone."""

import os
import signal
import subprocess
import time

from pyk8s.lab.remedies import Ledger
from pyk8s.paths import ROOT
from tests import tools
from tests.ha.conftest import LAB

SELECTION = (
    "fault-control-plane-dies",
    "fault-controller-manager-dies",
    "fault-etcd-all-killed",
    "fault-etcd-leader-cut-off",
    "fault-etcd-members-restart",
    "fault-etcd-quorum-lost",
    "fault-kubelet-restarts",
    "fault-node-reboots",
    "fault-runtime-restarts",
    "fault-service-rules-flushed",
    "fault-worker-dies",
)


def test_the_cluster_keeps_its_promises_while_parts_of_it_die(cluster):
    page = ROOT / "build" / "faults-ha.html"
    names = [word for name in SELECTION for word in ("--check", name)]
    ended, checks = tools.verify(LAB, "--html", str(page), *names)
    assert tools.names(checks, "passed") == set(SELECTION), ended.output[-8000:]
    assert ended.code == 0
    assert all(check["timeline"]["marks"] and check["timeline"]["tracks"] for check in checks.values())
    assert "fault-control-plane-dies" in page.read_text(encoding="utf-8")


def begin_fault(cluster):
    """Start a run that makes a fault, and return it once the fault is made."""
    command = ["pyk8s", "verify", "--inventory", tools.inventory(LAB), "--check", "fault-etcd-member-dies"]
    environment = {**os.environ, "PATH": f"{tools.BIN}:{os.environ['PATH']}"}
    run = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # Tests that are run in the background ignore it, and what they start would too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    ledger = Ledger.of(cluster)
    wait(lambda: ledger.open(), 90)
    return run, ledger


def wait(asked, seconds):
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not asked():
        assert time.monotonic() < deadline, "it did not become so"
        time.sleep(0.2)


def held(cluster, shells):
    """Return the members whose etcd does not run."""
    states = {node.name: shells[node.name].run("systemctl is-active etcd", check=False).stdout for node in cluster.etcd}
    return [name for name, state in states.items() if state.strip() != "active"]


def test_ctrl_c_undoes_the_fault_before_the_run_ends(cluster, shells):
    run, ledger = begin_fault(cluster)
    wait(lambda: held(cluster, shells), 30)
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=120)
    assert run.returncode == 130
    assert ledger.open() == ()
    assert held(cluster, shells) == []


def test_a_run_that_is_killed_leaves_a_guard_that_undoes_its_fault(cluster, shells):
    run, ledger = begin_fault(cluster)
    wait(lambda: held(cluster, shells), 30)
    run.kill()
    run.communicate(timeout=60)
    wait(lambda: not ledger.open(), 60)
    wait(lambda: not held(cluster, shells), 60)


def test_the_cluster_is_whole_again(cluster):
    ended, checks = tools.verify(LAB, "--suite", "smoke")
    assert tools.names(checks, "failed") == set(), ended.output[-4000:]
