"""What `fab health` finds, and what it calls wrong."""

import datetime
import io
import json

import pytest
from rich.console import Console

from pyk8s.cluster.config import ClusterConfig
from pyk8s.cluster.model import Cluster, Node, SshTarget
from pyk8s.errors import Pyk8sError
from pyk8s.health import components, etcd, facts, screen
from pyk8s.health.certs import Certificate
from pyk8s.health.etcd import Member
from pyk8s.health.facts import NodeFacts, NodeStatus
from pyk8s.ssh import Result

NOW = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
CONFIG = ClusterConfig(cluster_name="test", kubernetes_version="1.36.2")


def node(name: str, last: int, *groups: str) -> Node:
    return Node(name, f"10.0.0.{last}", frozenset(groups), SshTarget(f"10.0.0.{last}"))


CP1, W1 = node("cp1", 1, "control_plane", "etcd"), node("w1", 2, "workers")
CLUSTER = Cluster(CONFIG, (CP1, W1))


def healthy(**changes) -> screen.Health:
    given = {
        "nodes": (NodeFacts(CP1), NodeFacts(W1)),
        "statuses": tuple(NodeStatus(name, True, "", "v1.36.2", True) for name in ("cp1", "w1")),
        "members": (Member("cp1", "https://10.0.0.1:2379", "3.6.1", leader=True, database_bytes=5 << 20),),
        "certificates": (Certificate("cp1", "/etc/x.crt", "CN=x", NOW + datetime.timedelta(days=300)),),
        "now": NOW,
    }
    return screen.Health(CLUSTER, **(given | changes))


def shown(health: screen.Health) -> str:
    console = Console(file=io.StringIO(), width=160)
    screen.show(health, console)
    return console.file.getvalue()


def test_a_healthy_cluster_has_no_problem_and_says_so():
    assert healthy().problems == ()
    text = shown(healthy())
    assert "test is healthy" in text
    assert "✗" not in text
    assert "5.0 MiB" in text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"nodes": (NodeFacts(CP1), NodeFacts(W1, unreachable="no answer within 5 s"))},
            "w1 is not reached: no answer",
        ),
        ({"nodes": (NodeFacts(CP1), NodeFacts(W1, wrong={"kubelet": "inactive (dead)"}))}, "w1: kubelet: inactive"),
        ({"nodes": (NodeFacts(CP1, failed_units=("cron.service",)), NodeFacts(W1))}, "unit cron.service has failed"),
        ({"statuses": (NodeStatus("cp1", True, "", "v1.36.2", True),)}, "w1 is not in `kubectl get nodes`"),
        (
            {"statuses": tuple(NodeStatus(n, n == "cp1", "kubelet stopped", "v1.36.2", True) for n in ("cp1", "w1"))},
            "w1 is not Ready: kubelet stopped",
        ),
        (
            {"statuses": tuple(NodeStatus(n, True, "", "v1.36.1", True) for n in ("cp1", "w1"))},
            "runs v1.36.1, wanted is v1.36.2",
        ),
        ({"statuses": (), "api_error": "the API does not answer"}, "the API does not answer"),
        ({"members": (Member("cp1", "u", leader=True, wrong="NOSPACE"),)}, "etcd cp1: NOSPACE"),
        ({"members": (Member("cp1", "u"),)}, "etcd has 0 leaders"),
        ({"members": (), "etcd_error": "no etcd member answers"}, "no etcd member answers"),
        ({"certificates": (Certificate("w1", "/a.crt", "CN=a", NOW),)}, "w1: /a.crt expired on 2030-01-01"),
    ],
)
def test_what_is_wrong_is_named(changes, said):
    health = healthy(**changes)
    assert any(said in problem for problem in health.problems)
    assert said in shown(health).replace("\n", " ")
    assert "not healthy" in shown(health)


def test_a_failed_unit_that_is_a_component_is_named_once():
    broken = NodeFacts(W1, wrong={"kubelet": "failed (failed)"}, failed_units=("kubelet.service",))
    assert healthy(nodes=(NodeFacts(CP1), broken)).problems == ("w1: kubelet: failed (failed)",)


def test_a_coming_expiry_and_a_cordoned_node_are_warnings_only():
    soon = Certificate("w1", "/a.crt", "CN=a", NOW + datetime.timedelta(days=3, hours=1))
    statuses = tuple(NodeStatus(name, True, "", "v1.36.2", name == "cp1") for name in ("cp1", "w1"))
    health = healthy(certificates=(soon,), statuses=statuses)
    assert health.problems == ()
    assert [warning.split(":")[0] for warning in health.warnings] == ["w1", "w1 is cordoned"]
    assert "/a.crt expires in 3 days" in shown(health)


def test_each_node_is_asked_about_what_belongs_on_it():
    units = {one.name: [component.unit for component in components.on(one)] for one in CLUSTER.nodes}
    assert units["w1"] == ["haproxy", "containerd", "kubelet", "kube-proxy"]
    assert set(units["w1"]) < set(units["cp1"])
    by_unit = {component.unit: component.endpoint(CLUSTER, CP1) for component in components.on(CP1)}
    assert by_unit["kube-apiserver"] == "https://10.0.0.1:6443/readyz"
    assert by_unit["haproxy"] == "https://127.0.0.1:7443/readyz"


def answering(monkeypatch, answer) -> list[str]:
    asked = []

    class Fake:
        def __init__(self, target):
            self.target = target

        def run(self, command, **_):
            asked.append(command)
            if isinstance(answer, Exception):
                raise answer
            return Result(answer, "", 0)

        def close(self):
            pass

    monkeypatch.setattr(facts, "Shell", Fake)
    monkeypatch.setattr(etcd, "Shell", Fake)
    return asked


def test_a_unit_that_is_down_explains_more_than_its_endpoint(monkeypatch):
    units = {unit: {"LoadState": "loaded", "ActiveState": "active"} for unit in ("haproxy", "kube-proxy")}
    units["kubelet"] = {"LoadState": "loaded", "ActiveState": "failed", "SubState": "failed", "NRestarts": "4"}
    units["containerd"] = {"LoadState": "not-found", "ActiveState": "inactive"}
    said = {"kubelet": "connection refused", "kube-proxy": "503: not synced", "haproxy": ""}
    answer = {"units": units, "failed": ["kubelet.service"], "endpoints": said, "certificates": {}}
    answering(monkeypatch, json.dumps(answer))
    found = facts.of_node(CLUSTER, W1)
    assert found.wrong == {
        "containerd": "not installed",
        "kubelet": "failed (failed), restarted 4 times",
        "kube-proxy": "503: not synced",
    }
    assert found.failed_units == ("kubelet.service",)


def test_an_unreachable_node_is_a_finding_and_not_an_error(monkeypatch):
    answering(monkeypatch, Pyk8sError("root@10.0.0.2:22 is not reached over SSH", "no answer within 5 s", "try"))
    assert facts.of_node(CLUSTER, W1).unreachable == "no answer within 5 s"


def test_a_node_that_says_nonsense_is_a_finding_too(monkeypatch):
    answering(monkeypatch, "Welcome to this machine")
    assert "Expecting value" in facts.of_node(CLUSTER, W1).unreachable


def status(member: int, leader: int, size: int = 1024) -> dict:
    header = {"cluster_id": 1, "member_id": member, "revision": 9}
    more = {"version": "3.4.23", "dbSize": size, "leader": leader, "raftIndex": 12}
    return {"Endpoint": f"https://10.0.0.{member}:2379", "Status": {"header": header, **more}}


def test_etcd_members_are_read_and_silent_ones_are_named(monkeypatch):
    three = Cluster(CONFIG, tuple(node(f"cp{n}", n, "control_plane", "etcd") for n in (1, 2, 3)))
    output = json.dumps([status(1, 2), status(2, 2, 4096)])
    found = etcd.parse(three, output, "Failed to get the status of endpoint https://10.0.0.3:2379 (deadline exceeded)")
    assert [(one.name, one.leader, one.database_bytes) for one in found[:2]] == [
        ("cp1", False, 1024),
        ("cp2", True, 4096),
    ]
    assert "deadline exceeded" in found[2].wrong


def test_an_etcd_member_without_a_leader_is_wrong():
    (found,) = etcd.parse(CLUSTER, json.dumps([status(1, 0)]))
    assert found.wrong == "sees no leader"
    assert not found.leader


def test_etcd_asks_the_next_member_and_says_why_when_none_answers(monkeypatch):
    asked = answering(monkeypatch, Pyk8sError("cp1 is not reached", "no route"))
    with pytest.raises(Pyk8sError, match="no etcd member answers") as caught:
        etcd.members(CLUSTER)
    assert "no route" in caught.value.why
    assert "--endpoints=https://10.0.0.1:2379" in asked[0]
