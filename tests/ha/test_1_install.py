"""Three control planes and two workers: installed, changed no more, proven; and run again with any one machine down."""

import re

from tests import tools
from tests.ha.conftest import LAB

NAMES = {"cp1", "cp2", "cp3", "w1", "w2"}
EXPECTED_SKIPS = {"dns"}


def holders(cluster, shells):
    """Return who holds the virtual IP."""
    address = cluster.config.api_virtual_ip
    asked = f"ip -o -4 address show to {address}"
    return [node.name for node in cluster.control_plane if address in shells[node.name].run(asked).stdout]


def test_site_makes_a_highly_available_cluster(installed):
    assert set(installed.changed) == NAMES


def test_a_second_run_changes_nothing_on_any_host(installed):
    second = tools.playbook(LAB)
    assert second.code == 0, second.output[-4000:]
    assert second.changed == dict.fromkeys(NAMES, 0)


def test_one_control_plane_holds_the_virtual_ip(cluster, shells):
    assert len(holders(cluster, shells)) == 1


def test_the_promises_hold(installed):
    ended, checks = tools.verify(LAB, "--suite", "smoke")
    assert ended.code == 0, ended.output[-8000:]
    assert tools.names(checks, "failed") == set()
    assert tools.names(checks, "skipped") <= EXPECTED_SKIPS
    assert {"apiserver-backends", "controller-one-leader", "scheduler-one-leader"} <= tools.names(checks, "passed")


def test_with_the_first_control_plane_dead_everything_still_works_and_says_who_is_down(cluster, injector):
    dead = cluster.control_plane[0]
    fault = injector.crash(dead)
    try:
        again = tools.playbook(LAB, ANSIBLE_TIMEOUT="5")
        health = tools.run("fab", "health", PYK8S_INVENTORY=tools.inventory(LAB))
        nodes = tools.run("fab", "kubectl", "--", "get", "nodes", PYK8S_INVENTORY=tools.inventory(LAB))
    finally:
        injector.undo(fault)
    assert re.search(r"cp1 is down and left\s+out", again.output), again.output[-4000:]
    assert again.code == 4, again.output[-4000:]
    assert again.changed == dict.fromkeys(NAMES, 0)
    assert again.seconds < 120
    assert health.code == 1
    assert "cp1 is not reached" in health.output
    assert nodes.code == 0, nodes.output
    assert "cp2" in nodes.output


def test_a_change_to_etcd_waits_for_the_member_that_is_down_and_is_taken_up_later(cluster, shells, injector):
    started = "systemctl show -p ExecMainStartTimestampMonotonic --value etcd"
    before = {name: shells[name].run(started).stdout for name in ("cp1", "cp2", "cp3")}
    fault = injector.hold(cluster.node("cp3"), "etcd")
    try:
        shells["cp1"].run("echo '# by hand' >> /etc/etcd/etcd.yaml")
        spared = tools.playbook(LAB, "--tags", "etcd", "--limit", "cp1,cp2")
    finally:
        injector.undo(fault)
    assert spared.code == 0, spared.output[-4000:]
    assert "etcd was not restarted" in spared.output
    assert shells["cp1"].run(started).stdout == before["cp1"]
    after = tools.playbook(LAB, "--tags", "etcd")
    assert after.code == 0, after.output[-4000:]
    assert shells["cp1"].run(started).stdout != before["cp1"]
    assert shells["cp2"].run(started).stdout == before["cp2"]
