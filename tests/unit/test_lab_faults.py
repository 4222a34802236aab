"""Faults are remembered before they are made, undone whatever happens, and refused where they cannot be."""

import os
import signal
import subprocess
import sys
import time
import types

import pytest

from pyk8s.cluster.config import ClusterConfig
from pyk8s.cluster.model import Cluster, Node, SshTarget
from pyk8s.errors import Pyk8sError
from pyk8s.lab import faults, guard, remedies, scripts
from pyk8s.lab.faults import Injector, UnavailableError
from pyk8s.lab.remedies import Ledger, Remedy

NODE = Node("w1", "192.0.2.21", frozenset({"workers"}), SshTarget("192.0.2.21"))


class FakeShell:
    """Remembers commands; fails on those that hold ``fails``."""

    def __init__(self, fails="\0"):
        self.ran = []
        self.boot = "this-boot"
        self.fails = fails

    def run(self, command, check=True, timeout=30):
        self.ran.append(command)
        if self.fails in command:
            raise Pyk8sError("it failed", "Error: Specified qdisc kind is unknown.")
        return types.SimpleNamespace(stdout=f"{self.boot}\n" if command == remedies.BOOT else "")

    def close(self):
        pass


@pytest.fixture
def shell():
    return FakeShell()


@pytest.fixture
def injector(tmp_path, shell, monkeypatch):
    monkeypatch.setattr(faults, "_engine", lambda: None)
    monkeypatch.setattr(guard, "start", lambda ledger: None)
    monkeypatch.setattr(remedies, "Shell", lambda target: shell)
    monkeypatch.setattr("pyk8s.paths.cluster_dir", lambda name: tmp_path)
    made = Injector(Cluster(ClusterConfig(), (NODE,)), lambda node: shell)
    made.close()
    return made


def test_a_fault_is_in_the_ledger_before_it_is_made_and_gone_from_it_once_undone(injector, shell):
    seen = []
    plain = shell.run
    shell.run = lambda command, **options: [seen.append(len(injector.ledger.open())), plain(command, **options)][1]
    fault = injector.stop(NODE, "kubelet")
    assert seen == [1]
    assert fault.what == "w1: kubelet stopped"
    injector.undo(fault)
    assert injector.ledger.open() == ()
    assert "systemctl start kubelet" in shell.ran
    injector.undo(fault)
    assert shell.ran.count("systemctl start kubelet") == 1


def test_a_fault_that_fails_half_way_is_undone_at_once(injector, shell):
    shell.fails = "systemctl stop"
    with pytest.raises(Pyk8sError, match="it failed"):
        injector.stop(NODE, "kubelet")
    assert shell.ran[-1] == "systemctl start kubelet"
    assert injector.ledger.open() == ()


def test_a_kill_needs_no_remedy(injector, shell):
    assert injector.kill(NODE, "etcd").remedy is None
    assert "systemctl kill --kill-who=main --signal=KILL etcd" in shell.ran[-1]


@pytest.mark.parametrize(
    ("keys", "removed", "units"),
    [
        ({}, ("iptables-restore", "ip pod_network"), "kube-proxy pod-network-refresh"),
        ({"pod_network": "none"}, ("iptables-restore",), "kube-proxy"),
        ({"kube_proxy_mode": "nftables"}, ("ip kube-proxy", "ip pod_network"), "kube-proxy pod-network-refresh"),
    ],
)
def test_a_flush_takes_all_rules_that_this_cluster_set_up_and_is_undone_by_who_did(
    injector, shell, keys, removed, units
):
    injector.cluster = Cluster(ClusterConfig(**keys), (NODE,))
    fault = injector.flush(NODE)
    tables = ("iptables-restore", "ip kube-proxy", "ip pod_network")
    assert tuple(table for table in tables if table in shell.ran[0]) == removed
    assert fault.remedy.command == f"systemctl restart {units}"


def test_a_reboot_by_ssh_is_over_when_the_machine_has_another_boot_not_when_it_still_answers(
    injector, shell, monkeypatch
):
    fault = injector.reboot(NODE)
    assert fault.remedy.boot == "this-boot"
    monkeypatch.setattr(remedies, "BACK_SECONDS", 0)
    with pytest.raises(Pyk8sError, match="it has not rebooted"):
        injector.undo(fault)
    shell.boot = "another-boot"
    injector.undo(fault)
    assert injector.ledger.open() == ()


def test_a_node_declared_dead_is_taken_back_by_whoever_undoes_faults(injector, shell, monkeypatch):
    taken = []
    monkeypatch.setattr(remedies.nodes, "declare_dead", lambda cluster, node: "said")
    monkeypatch.setattr(remedies.nodes, "take_back", lambda kubeconfig, name: taken.append((kubeconfig, name)))
    injector.declare_dead(NODE)
    assert [one.what for one in injector.ledger.open()] == ["w1: declared dead"]
    assert remedies.heal(injector.ledger) == ["w1: declared dead"]
    assert taken == [(str(injector.cluster.directory / "admin.kubeconfig"), "w1")]
    assert shell.ran == []


def full_disk(tmp_path, *, placed):
    """Run the remedy of a full disk on folders here; return what the shell said and what stands in the data folder."""
    etcd, small, tools = tmp_path / "etcd", tmp_path / "small", tmp_path / "bin"
    (etcd / "member").mkdir(parents=True)
    (etcd / "member" / "data").write_text("old")
    (small / "member").mkdir(parents=True)
    (small / "member" / "data").write_text("new" if placed else "half a copy")
    if placed:
        (small / "newer").touch()
    tools.mkdir()
    for name in ("systemctl", "mountpoint", "umount"):
        (tools / name).write_text("#!/bin/sh\nexit 0\n")
        (tools / name).chmod(0o755)
    script = scripts.EMPTY.replace(scripts.ETCD, str(etcd)).replace(scripts.SMALL, str(small))
    subprocess.run(["sh", "-c", script], check=True, env={"PATH": f"{tools}:{os.environ['PATH']}"})
    return (etcd / "member" / "data").read_text()


def test_a_disk_that_was_never_full_keeps_its_data_when_that_is_undone(tmp_path):
    assert full_disk(tmp_path, placed=False) == "old"


def test_what_was_written_on_the_full_disk_is_taken_over_once_it_was_in_place(tmp_path):
    assert full_disk(tmp_path, placed=True) == "new"


def test_two_runs_at_a_time_are_refused(injector, tmp_path):
    with injector.ledger.own(), pytest.raises(Pyk8sError, match="another run makes faults on this cluster"):
        injector.ledger.own()


@pytest.mark.parametrize("word", ["crash", "freeze", "fill_disk"])
def test_what_nobody_could_undo_by_ssh_is_refused_there(injector, shell, word):
    with pytest.raises(UnavailableError, match="w1 is no machine of a lab here"):
        getattr(injector, word)(NODE)
    assert shell.ran == []


def test_a_kernel_without_netem_is_said_to_have_none(injector, shell):
    shell.fails = "netem delay"
    with pytest.raises(UnavailableError, match=r"w1 cannot delay packets(\n|.)*no netem"):
        injector.delay(NODE, 50)


def test_a_cut_is_undone_by_the_machine_itself_should_nobody_reach_it_any_more(injector, shell):
    fault = injector.cut(NODE, ["192.0.2.11", "10.244.0.0/24"])
    harm = shell.ran[-1]
    assert harm.index("systemd-run") < harm.index("nft -f -")
    assert f"--on-active={faults.LONGEST_SECONDS}" in harm
    injector.undo(fault)
    assert f"systemctl stop pyk8s-undo-{fault.remedy.identity}.timer" in shell.ran[-1]
    assert "nft delete table inet pyk8s_fault_" in shell.ran[-1]


@pytest.mark.parametrize(
    ("ways", "percent", "present", "absent"),
    [
        ("both", 100, ["ip saddr { a, b } counter drop", "ip daddr { a, b } counter drop"], ["numgen"]),
        ("in", 100, ["ip saddr { a, b } counter drop"], ["daddr"]),
        ("out", 100, ["ip daddr { a, b } counter drop"], ["saddr"]),
        ("both", 30, ["numgen random mod 100 < 30 counter drop"], []),
    ],
)
def test_packets_are_dropped_in_the_wanted_direction_and_share(ways, percent, present, absent):
    text = scripts.drop("1", ["a", "b"], ways, percent)
    assert all(part in text for part in present)
    assert not any(part in text for part in absent)


@pytest.mark.parametrize("script", [scripts.FILL, scripts.EMPTY, scripts.hold(("etcd",)), scripts.release(("etcd",))])
def test_every_script_is_a_shell_script(script):
    assert subprocess.run(["sh", "-n", "-c", script], check=False).returncode == 0


def remedy(folder, identity="1"):
    return Remedy(identity, f"w1: fault {identity}", "w1", "192.0.2.21", SshTarget("192.0.2.21"), command="true")


def test_what_an_earlier_run_left_is_undone_the_latest_first(tmp_path, shell, monkeypatch):
    monkeypatch.setattr(remedies, "Shell", lambda target: shell)
    ledger = Ledger(tmp_path / "faults.json")
    for number in ("1", "2"):
        ledger.add(remedy(tmp_path, number))
    assert remedies.heal(ledger) == ["w1: fault 2", "w1: fault 1"]
    assert not ledger.path.exists()


def test_what_cannot_be_undone_stays_in_the_ledger_and_is_named(tmp_path, shell, monkeypatch):
    monkeypatch.setattr(remedies, "Shell", lambda target: shell)
    monkeypatch.setattr(remedies, "BACK_SECONDS", 0)
    shell.fails = remedies.BOOT
    ledger = Ledger(tmp_path / "faults.json")
    ledger.add(remedy(tmp_path))
    with pytest.raises(Pyk8sError, match=r"w1: fault 1: w1 is not back after"):
        remedies.heal(ledger)
    assert len(ledger.open()) == 1


KILLED = """
import sys, time
from pathlib import Path
from pyk8s.lab import guard
from pyk8s.lab.remedies import Ledger
guard.start(Ledger(Path(sys.argv[1])))
print("guarded", flush=True)
time.sleep(60)
"""


def test_a_guard_notices_when_its_run_is_killed(tmp_path):
    ledger = Ledger(tmp_path / "faults.json")
    run = subprocess.Popen([sys.executable, "-c", KILLED, str(ledger.path)], stdout=subprocess.PIPE, text=True)
    assert run.stdout.readline() == "guarded\n"
    gone = Remedy(
        "1", "w1: fault", "w1", "192.0.2.21", SshTarget("127.0.0.1", port=9), container="none", action="start"
    )
    ledger.add(gone)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    log = tmp_path / "faults.log"
    deadline = time.monotonic() + 20
    while "w1: fault" not in log.read_text(encoding="utf-8") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert "faults could not be undone" in log.read_text(encoding="utf-8")
    assert len(ledger.open()) == 1
