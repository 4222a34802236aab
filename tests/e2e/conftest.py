"""A lab of its own for the end-to-end tests: one control plane, two workers; PYK8S_KEEP_LAB leaves it up."""

import os
from collections.abc import Iterator

import pytest

from pyk8s.cluster import inventory
from pyk8s.cluster.model import Cluster
from pyk8s.ssh import Shell
from tests import tools

LAB = "e2e"


@pytest.fixture(scope="session")
def bare_lab() -> Iterator[str]:
    """A lab whose machines nothing was installed on, with the binaries at hand."""
    assert tools.run("pyk8s", "lab", "down", "--name", LAB).code == 0
    came_up = tools.run("pyk8s", "lab", "up", "--name", LAB)
    assert came_up.code == 0, came_up.output
    yield LAB
    if not os.environ.get("PYK8S_KEEP_LAB"):
        assert tools.run("pyk8s", "lab", "down", "--name", LAB).code == 0


@pytest.fixture(scope="session")
def installed(bare_lab: str) -> tools.Run:
    """The run of site.yml that made the machines a cluster."""
    ended = tools.playbook(bare_lab)
    assert ended.code == 0, ended.output[-6000:]
    return ended


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
