"""A lab of its own for high availability: three control planes, two workers; PYK8S_KEEP_LAB leaves it up."""

import os
from collections.abc import Iterator

import pytest

from pyk8s.cluster import inventory
from pyk8s.cluster.model import Cluster
from pyk8s.lab.faults import Injector
from pyk8s.ssh import Shell
from tests import tools

LAB = "ha"


@pytest.fixture(scope="session")
def installed() -> Iterator[tools.Run]:
    """The run of site.yml that made the machines a highly available cluster."""
    assert tools.run("pyk8s", "lab", "down", "--name", LAB).code == 0
    came_up = tools.run("pyk8s", "lab", "up", "--name", LAB, "--control-planes", "3", "--workers", "2")
    assert came_up.code == 0, came_up.output
    ended = tools.playbook(LAB)
    assert ended.code == 0, ended.output[-6000:]
    yield ended
    if not os.environ.get("PYK8S_KEEP_LAB"):
        assert tools.run("pyk8s", "lab", "down", "--name", LAB).code == 0


@pytest.fixture(scope="session")
def cluster(installed: tools.Run) -> Cluster:
    """The installed cluster."""
    return inventory.load(tools.paths.ROOT / tools.inventory(LAB))


@pytest.fixture(scope="session")
def shells(cluster: Cluster) -> Iterator[dict[str, Shell]]:
    """A shell on every node, by name."""
    opened = {node.name: Shell(node.ssh) for node in cluster.nodes}
    yield opened
    for shell in opened.values():
        shell.close()


@pytest.fixture
def injector(cluster: Cluster, shells: dict[str, Shell]) -> Iterator[Injector]:
    """Makes faults; what a test leaves open is undone by the guard."""
    made = Injector(cluster, lambda node: shells[node.name])
    yield made
    made.close()
