"""The API is asked where it answers: a port that merely takes connections, as a frozen machine's does, is no answer."""

import socket
import threading

import pytest

from pyk8s import endpoints
from pyk8s.cluster.config import ClusterConfig
from pyk8s.cluster.model import Cluster, Node, SshTarget


@pytest.fixture
def silent():
    """A port that takes connections and says nothing."""
    listening = socket.create_server(("127.0.0.1", 0))
    taken = []
    threading.Thread(target=lambda: taken.append(listening.accept()), daemon=True).start()
    yield f"https://127.0.0.1:{listening.getsockname()[1]}"
    listening.close()


def test_a_port_that_takes_connections_and_is_silent_is_no_answer(silent):
    assert not endpoints.speaks(silent, seconds=0.3)


def test_a_closed_port_is_no_answer():
    assert not endpoints.speaks("https://127.0.0.1:9", seconds=0.3)


def test_the_first_that_answers_is_taken_the_wanted_one_before_all_others(monkeypatch):
    planes = tuple(Node(f"cp{n}", f"192.0.2.1{n}", frozenset({"control_plane", "etcd"}), SshTarget("")) for n in (1, 2))
    cluster = Cluster(ClusterConfig(api_virtual_ip="192.0.2.10"), planes)
    alive = {"https://192.0.2.12:6443"}
    monkeypatch.setattr(endpoints, "speaks", lambda url: url in alive)
    assert endpoints.answering(cluster) == "https://192.0.2.12:6443"
    alive.add("https://192.0.2.10:6443")
    assert endpoints.answering(cluster) == "https://192.0.2.10:6443"
    alive.add("https://api.example.com:6443")
    assert endpoints.answering(cluster, "https://api.example.com:6443") == "https://api.example.com:6443"
    alive.clear()
    assert endpoints.answering(cluster, "https://api.example.com:6443") == "https://api.example.com:6443"
