"""A node is declared dead only where nobody is there, in the way that its Kubernetes knows."""

import pytest

from pyk8s.cluster.config import ClusterConfig
from pyk8s.cluster.model import Cluster, Node, SshTarget
from pyk8s.errors import Pyk8sError
from pyk8s.health import nodes
from pyk8s.ssh import UnreachableError

NODE = Node("w1", "192.0.2.21", frozenset({"workers"}), SshTarget("192.0.2.21"))


class FakeObjects:
    """One Node and the pods on it."""

    def __init__(self, ready, taints=()):
        status = {"conditions": [{"type": "Ready", "status": ready}]}
        self.node = {"metadata": {"name": "w1"}, "spec": {"taints": list(taints)}, "status": status}
        self.deleted = []

    def find(self, kind, name):
        return self.node if name == "w1" else None

    get = find

    def patch(self, kind, name, body):
        self.node["spec"] |= body["spec"]

    def list(self, kind, fields=""):
        return [{"metadata": {"name": name, "namespace": "n"}} for name in ("a", "b")]

    def delete(self, kind, name, namespace, grace):
        self.deleted.append((name, grace))


@pytest.fixture
def declare(monkeypatch):
    """Return a function that declares w1 dead or alive in a cluster as told."""

    def _declare(objects, version="1.36.4", answers=False, dead=True, silent=True):
        class FakeShell:
            def __init__(self, target):
                pass

            def run(self, command, timeout):
                if not answers:
                    error = UnreachableError("w1 is not reached", "it refuses the key")
                    error.silent = silent
                    raise error

            def close(self):
                pass

        monkeypatch.setattr(nodes, "Shell", FakeShell)
        monkeypatch.setattr(nodes, "_objects", lambda cluster: objects)
        cluster = Cluster(ClusterConfig(kubernetes_version=version), (NODE,))
        return (nodes.declare_dead if dead else nodes.declare_alive)(cluster, NODE)

    return _declare


def test_a_dead_node_gets_the_out_of_service_taint_beside_its_others(declare):
    objects = FakeObjects("Unknown", [{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}])
    assert "its pods are replaced" in declare(objects)
    assert [taint["key"] for taint in objects.node["spec"]["taints"]] == [
        "node.kubernetes.io/unreachable",
        "node.kubernetes.io/out-of-service",
    ]
    assert objects.deleted == []


def test_before_kubernetes_knew_that_taint_its_pods_are_deleted_by_force(declare):
    objects = FakeObjects("Unknown")
    assert declare(objects, version="1.20.2") == "2 pods of w1 deleted by force"
    assert objects.deleted == [("a", 0), ("b", 0)]


def test_a_node_that_reports_is_not_declared_dead(declare):
    with pytest.raises(Pyk8sError, match="it is Ready: its kubelet reports"):
        declare(FakeObjects("True"))


def test_a_machine_that_answers_is_not_declared_dead(declare):
    objects = FakeObjects("Unknown")
    with pytest.raises(Pyk8sError, match="its pods may still run, and would then run twice"):
        declare(objects, answers=True)
    assert objects.node["spec"]["taints"] == []


@pytest.mark.parametrize(("version", "by_hand"), [("1.36.4", "taint node w1"), ("1.20.2", "delete pod NAME")])
def test_a_machine_that_refuses_us_is_not_declared_dead(declare, version, by_hand):
    objects = FakeObjects("Unknown")
    with pytest.raises(Pyk8sError, match=r"may be alive \(it refuses the key\)") as refused:
        declare(objects, version=version, silent=False)
    assert by_hand in refused.value.hint
    assert objects.node["spec"]["taints"] == []
    assert objects.deleted == []


def test_back_and_ready_it_takes_pods_again(declare):
    objects = FakeObjects("True", [nodes.TAINT, {"key": "mine", "effect": "NoSchedule"}])
    assert "takes pods" in declare(objects, dead=False)
    assert [taint["key"] for taint in objects.node["spec"]["taints"]] == ["mine"]


def test_a_node_that_is_not_back_is_not_declared_alive(declare):
    with pytest.raises(Pyk8sError, match="w1 is not Ready"):
        declare(FakeObjects("Unknown", [nodes.TAINT]), dead=False)
