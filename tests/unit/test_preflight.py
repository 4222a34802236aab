"""Unfit machines are refused, each reason by name."""

import pytest

from pyk8s.cluster.config import ClusterConfig
from pyk8s.cluster.model import Cluster, Node, SshTarget
from pyk8s.cluster.preflight import CLOCK_SECONDS, FREE_MIB, MEMORY_MIB, machine_problems, new_members, without_the_dead

NOW = 1_700_000_000.0
CP = Node("cp1", "192.0.2.11", frozenset({"control_plane", "etcd"}), SshTarget("192.0.2.11"))
WORKER = Node("w1", "192.0.2.21", frozenset({"workers"}), SshTarget("192.0.2.21"))
FIT = {
    "architecture": "x86_64",
    "init": "systemd",
    "uid": 0,
    "python": [3, 11],
    "memory_mib": 4096,
    "free_mib": 20_000,
    "swap": False,
    "cgroup": 2,
    "addresses": ["127.0.0.1", "192.0.2.11", "192.0.2.21"],
    "taken_ports": [],
    "clock": NOW,
}


@pytest.fixture(autouse=True)
def _controller(monkeypatch):
    monkeypatch.setattr("pyk8s.cluster.preflight.machine_arch", lambda: "amd64")


def cluster(version="1.36.4", **keys):
    return Cluster(ClusterConfig(kubernetes_version=version, **keys), (CP, WORKER))


def problems(host="cp1", wanted=None, fail_cgroup_v1=True, **machine):
    probe = {"machine": FIT | machine}
    return machine_problems(host, probe, wanted or cluster(), now=NOW, fail_cgroup_v1=fail_cgroup_v1)


@pytest.mark.parametrize("host", ["cp1", "w1"])
def test_a_fit_machine_is_accepted(host):
    assert problems(host) == []


def test_an_unreachable_machine_is_named_with_the_first_line_of_the_reason():
    probe = {"unreachable": True, "msg": "Failed to connect: timed out\nwarning: something else"}
    assert machine_problems("w1", probe, cluster(), now=NOW) == [
        "w1: unreachable over SSH: Failed to connect: timed out"
    ]


@pytest.mark.parametrize("probe", [{}, {"msg": ""}, {"msg": "   \n"}, {"skipped": True}])
def test_a_machine_that_was_not_looked_at_is_refused(probe):
    found = machine_problems("w1", probe, cluster(), now=NOW)
    assert found == ["w1: it was not looked at: the probe did not run there"]


@pytest.mark.parametrize(
    ("probe", "said"),
    [
        ({"msg": "Missing sudo password"}, "Missing sudo password"),
        (
            {"msg": "No interpreter.\nSee stderr.", "module_stderr": "Hi\n/bin/sh: python3: not found\n"},
            "No interpreter.: /bin/sh: python3: not found",
        ),
        ({"module_stderr": "Killed\n"}, "Killed"),
        ({}, "no reason was given"),
    ],
)
def test_a_probe_that_failed_on_a_reachable_machine_says_what_failed(probe, said):
    found = machine_problems("w1", {"failed": True, **probe}, cluster(), now=NOW)
    assert found == [f"w1: looking at it failed: {said}"]


def test_an_unreachable_machine_without_a_reason_is_still_called_unreachable():
    found = machine_problems("w1", {"unreachable": True}, cluster(), now=NOW)
    assert found == ["w1: unreachable over SSH: no reason was given"]


@pytest.mark.parametrize(
    ("machine", "part"),
    [
        ({"architecture": "riscv64"}, "its architecture riscv64 is not supported"),
        ({"architecture": "aarch64"}, "the controller fetches binaries for amd64 alone"),
        ({"init": "runit"}, "its init is runit, not systemd"),
        ({"uid": 1000}, "do not run as root"),
        ({"python": [3, 8]}, "its Python is 3.8; 3.9 or newer is needed"),
        ({"memory_mib": MEMORY_MIB["control plane"] - 1}, "a control plane needs 1700"),
        ({"free_mib": FREE_MIB - 1}, "MiB free"),
        ({"clock": NOW + CLOCK_SECONDS + 1}, "its clock is 61 s ahead of the controller's"),
        ({"clock": NOW - 3600}, "its clock is 3600 s behind the controller's"),
        ({"taken_ports": [22, 2379, 6443]}, "something else listens on TCP 2379, 6443"),
        ({"addresses": ["127.0.0.1", "10.0.0.4"]}, "the address 192.0.2.11 is not one of its own"),
        ({"cgroup": 1}, "it has cgroup v1, which Kubernetes 1.36.4 refuses"),
    ],
)
def test_an_unfit_machine_is_refused_with_the_reason(machine, part):
    (found,) = problems(**machine)
    assert found.startswith("cp1: ")
    assert part in found


def test_a_worker_needs_less_memory_and_listens_on_less():
    assert problems("w1", memory_mib=MEMORY_MIB["worker"], taken_ports=[2379, 6443, 10257]) == []
    assert problems("w1", memory_mib=MEMORY_MIB["worker"] - 1)
    assert problems("w1", taken_ports=[10250])


def test_the_apis_port_follows_the_key():
    assert problems(wanted=cluster(api_port=8443), taken_ports=[6443]) == []
    assert "8443" in problems(wanted=cluster(api_port=8443), taken_ports=[8443])[0]


def test_cgroup_v1_is_fine_before_kubelets_could_refuse_it():
    assert problems(wanted=cluster("1.20.2"), cgroup=1) == []


def test_cgroup_v1_is_refused_where_the_kubelet_would_refuse_it():
    assert "cgroup v1" in problems(wanted=cluster("1.34.1"), cgroup=1)[0]


def test_cgroup_v1_is_fine_where_the_kubelet_is_told_so():
    assert problems(cgroup=1, fail_cgroup_v1=False) == []


def test_all_that_is_wrong_with_a_machine_is_named_at_once():
    found = problems(init="runit", uid=1000, free_mib=1, clock=0.0, cgroup=1)
    assert len(found) == 5
    assert all(sentence.startswith("cp1: ") for sentence in found)


def test_a_machine_is_looked_at_even_when_the_inventory_is_refused():
    found = machine_problems("cp1", {"machine": FIT | {"init": "runit"}}, None, now=NOW)
    assert found == ["cp1: its init is runit, not systemd"]


ALIVE = {"machine": FIT | {"placed": {"kubelet": "digest"}}}
BARE = {"machine": FIT | {"placed": {}}}
DEAD = {"unreachable": True, "msg": "no route to host"}


def three_and_one():
    front = [
        Node(f"cp{n}", f"192.0.2.1{n}", frozenset({"control_plane", "etcd"}), SshTarget(f"192.0.2.1{n}"))
        for n in (1, 2, 3)
    ]
    return Cluster(ClusterConfig(kubernetes_version="1.36.4"), (*front, WORKER))


@pytest.mark.parametrize("dead", ["cp1", "cp2", "w1"])
def test_any_one_machine_of_a_standing_cluster_may_be_down(dead):
    probes = {node.name: DEAD if node.name == dead else ALIVE for node in three_and_one().nodes}
    found = without_the_dead(probes, three_and_one())
    assert found.left_out == {dead: "unreachable over SSH: no route to host"}
    assert found.problems == ()


def test_a_first_installation_wants_every_machine():
    probes = {"cp1": BARE, "cp2": DEAD, "cp3": BARE, "w1": BARE}
    found = without_the_dead(probes, three_and_one())
    assert not found.left_out
    assert found.problems == ("cp2: unreachable over SSH: no route to host",)


def test_without_a_majority_of_etcd_nothing_is_done():
    probes = {"cp1": ALIVE, "cp2": DEAD, "cp3": DEAD, "w1": ALIVE}
    found = without_the_dead(probes, three_and_one())
    assert not found.left_out
    assert found.problems[-1] == "etcd has lost its majority: 1 of 3 members are reached, 2 are needed"
    assert len(found.problems) == 3


def test_without_any_control_plane_nothing_is_done():
    found = without_the_dead({"cp1": DEAD, "w1": ALIVE}, cluster())
    assert "no control plane is reached, and without one nothing can be done" in found.problems


def placed(*components):
    return {"machine": {"placed": dict.fromkeys(components, "0123")}}


STANDS = placed("etcd", "kube-apiserver", "kubelet")


def test_a_machine_that_would_be_a_new_etcd_member_of_a_standing_cluster_is_refused():
    found = new_members({"cp1": STANDS, "cp2": placed(), "cp3": placed("kubelet"), "w1": placed()}, three_and_one())
    assert [problem.partition(":")[0] for problem in found] == ["cp2", "cp3"]
    assert "Keep group etcd as it was (cp1)" in found[0]


@pytest.mark.parametrize(
    "probes",
    [
        {"cp1": STANDS, "cp2": STANDS, "cp3": STANDS, "w1": placed()},
        {"cp1": STANDS, "cp2": DEAD, "cp3": STANDS, "w1": STANDS},
        {"cp1": placed("etcd"), "cp2": placed(), "cp3": placed(), "w1": placed()},
    ],
    ids=["a new worker", "a dead member", "a first installation that was broken off"],
)
def test_members_that_are_there_down_or_not_yet_installed_are_no_new_ones(probes):
    assert new_members(probes, three_and_one()) == []
