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
