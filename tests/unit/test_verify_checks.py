"""Checks against a cluster that is made up: each passes on a healthy one, and fails when its promise is broken."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_api import FakeApi, serve

from pyk8s.cluster.config import ClusterConfig
from pyk8s.cluster.model import Cluster, Node, SshTarget
from pyk8s.verify import probe, registry
from pyk8s.verify.checks import etcd, kube_apiserver, nodes
from pyk8s.verify.context import Context
from pyk8s.verify.model import Check, CheckFailed, CheckSkipped
from pyk8s.verify.probe import Answer
from pyk8s.verify.session import Session

TAINT = [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]
Answers = Callable[[Node, str, probe.Identity], Answer]


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeApi]:
    with serve(tmp_path) as api:
        api.add_node("cp1", taints=TAINT)
        api.add_node("w1")
        yield api


def context(fake: FakeApi, *, inventory: bool = True, name: str = "nodes-ready", **config: str) -> Context:
    known: dict[str, Check] = {one.name: one for one in registry.load()}
    machines = (
        Node("cp1", "198.18.0.11", frozenset({"control_plane", "etcd"}), SshTarget("198.18.0.11")),
        Node("w1", "198.18.0.61", frozenset({"workers"}), SshTarget("198.18.0.61")),
    )
    cluster = Cluster(ClusterConfig.model_validate({"kubernetes_version": "1.20.2"} | config), machines)
    return Context(Session(fake.kubeconfig, cluster if inventory else None), known[name])


def answering(monkeypatch: pytest.MonkeyPatch, answers: Answers) -> None:
    def fetch_all(ctx: Context, node: Node, asked: list[tuple[str, probe.Identity]]) -> list[Answer]:
        return [answers(node, url, who) for url, who in asked]

    monkeypatch.setattr(probe, "fetch_all", fetch_all)


def test_all_expected_nodes_ready_passes(fake: FakeApi) -> None:
    assert nodes.ready(context(fake)) == "2 of 2 nodes Ready: cp1, w1"


def test_a_missing_a_foreign_and_an_ill_node_are_each_named(fake: FakeApi) -> None:
    del fake.store["/api/v1/nodes/w1"]
    fake.add_node("w9", ready=False)
    with pytest.raises(CheckFailed) as failed:
        nodes.ready(context(fake))
    assert str(failed.value) == "w1 is not there; w9 is not in the inventory; w9 is not Ready: kubelet is ill"


def test_a_kubelet_of_another_version_is_named(fake: FakeApi) -> None:
    fake.store["/api/v1/nodes/w1"]["status"]["nodeInfo"]["kubeletVersion"] = "v1.19.9"
    with pytest.raises(CheckFailed, match=r"w1 has v1\.19\.9"):
        nodes.version(context(fake))


@pytest.mark.parametrize(("kubelet", "fine"), [("v1.18.0", True), ("v1.17.0", False), ("v1.21.0", False)])
def test_without_an_inventory_the_version_skew_policy_decides(fake: FakeApi, kubelet: str, fine: bool) -> None:
    fake.store["/api/v1/nodes/w1"]["status"]["nodeInfo"]["kubeletVersion"] = kubelet
    ctx = context(fake, inventory=False)
    if fine:
        assert kubelet in nodes.version(ctx)
    else:
        with pytest.raises(CheckFailed, match=kubelet):
            nodes.version(ctx)


@pytest.mark.parametrize(
    ("found", "same"), [("v1.20.2", True), ("v1.20.2-debian", True), ("v1.20.2+k3s1", True), ("v1.20.20", False)]
)
def test_a_builds_own_suffix_does_not_make_another_version(found: str, same: bool) -> None:
    assert nodes.same(found, "v1.20.2") is same


def test_a_control_plane_that_lost_its_taint_is_named(fake: FakeApi) -> None:
    ctx = context(fake, name="nodes-control-plane")
    assert nodes.control_plane(ctx) == "1 repel pods, 1 take them"
    fake.add_node("cp1")
    with pytest.raises(CheckFailed, match="cp1 should repel ordinary pods"):
        nodes.control_plane(ctx)


def test_a_kubelet_that_answers_anybody_is_named(fake: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    def answers(node: Node, url: str, who: probe.Identity) -> Answer:
        return Answer(0, "refused") if ":10255" in url else Answer(200 if node.name == "w1" else 401, "pods")

    answering(monkeypatch, answers)
    with pytest.raises(CheckFailed, match="w1: 401 was wanted from the kubelet, it says: 200 pods"):
        nodes.kubelet_refuses_anonymous(context(fake))


def test_an_apiserver_that_is_not_ready_is_named_with_its_answer(
    fake: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, lambda node, url, who: Answer(200, "ok"))
    ctx = context(fake)
    assert kube_apiserver.load_balancer(ctx) == "2 of 2 ready: cp1, w1"
    answering(monkeypatch, lambda node, url, who: Answer(*((200, "ok") if node.name == "cp1" else (0, "refused"))))
    assert kube_apiserver.ready(ctx) == "1 of 1 ready: cp1"
    with pytest.raises(CheckFailed, match=r"^w1 at https://127\.0\.0\.1:7443: refused$"):
        kube_apiserver.load_balancer(ctx)


def statuses(*seen: tuple[int, int]) -> str:
    told = [
        {
            "Endpoint": f"https://e{number}:2379",
            "Status": {"header": {"revision": revision}, "leader": leader, "dbSize": 2_000_000, "version": "3.4.23"},
        }
        for number, (leader, revision) in enumerate(seen)
    ]
    return json.dumps(told)


def hashes(*seen: int) -> str:
    return json.dumps([{"Endpoint": f"e{number}", "HashKV": {"hash": one}} for number, one in enumerate(seen)])


def etcd_saying(monkeypatch: pytest.MonkeyPatch, **told: str) -> None:
    def etcdctl(ctx: Context, *arguments: str, endpoints: tuple[str, ...] = ()) -> str:
        return next(text for word, text in told.items() if word in arguments)

    monkeypatch.setattr(etcd, "etcdctl", etcdctl)


def test_members_with_one_leader_and_one_hash_agree(fake: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    etcd_saying(monkeypatch, status=statuses((10, 7), (10, 5)), hashkv=hashes(255, 255))
    assert etcd.agreement(context(fake)) == "leader a, hash 000000ff at revision 5 on 2 members, 2.0 MB"


@pytest.mark.parametrize("leaders", [((10, 7), (11, 7)), ((0, 7), (0, 7))])
def test_two_leaders_or_none_fail(
    fake: FakeApi, monkeypatch: pytest.MonkeyPatch, leaders: tuple[tuple[int, int], ...]
) -> None:
    etcd_saying(monkeypatch, status=statuses(*leaders), hashkv=hashes(255, 255))
    with pytest.raises(CheckFailed, match="leaders seen"):
        etcd.agreement(context(fake))


def test_members_that_hold_different_data_fail(fake: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    etcd_saying(monkeypatch, status=statuses((10, 7), (10, 7)), hashkv=hashes(1, 2))
    ctx = context(fake)
    ctx.deadline = type(ctx.deadline).after(0.3)
    with pytest.raises(CheckFailed, match="the same hash on all members"):
        etcd.agreement(ctx)


def test_a_member_list_other_than_the_inventory_fails(fake: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    etcd_saying(monkeypatch, list=json.dumps({"members": [{"name": "cp1"}, {"ID": 2}]}))
    with pytest.raises(CheckFailed, match="a member that never started"):
        etcd.health(context(fake))


def test_etcd_that_answers_strangers_fails(fake: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    def answers(node: Node, url: str, who: probe.Identity) -> Answer:
        return Answer(0, "SSLError bad certificate") if who == probe.ETCD_NOBODY else Answer(200, "3.4.23")

    answering(monkeypatch, answers)
    with pytest.raises(CheckFailed, match=r"with /etc/kubernetes/pki/health\.crt: 200"):
        etcd.refuses_strangers(context(fake))


def test_etcd_that_is_not_there_is_not_taken_for_one_that_refuses(
    fake: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, lambda node, url, who: Answer(0, "ConnectionRefusedError nobody listens"))
    with pytest.raises(CheckFailed, match="even with a certificate"):
        etcd.refuses_strangers(context(fake))


def test_a_secret_whose_plain_text_is_in_etcd_fails(fake: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = context(fake)

    def raw(ctx: Context, ending: str) -> bytes:
        namespace = ending.split("/")[2]
        return b"k8s\0" + f"plain text of {namespace}".encode()

    monkeypatch.setattr(etcd, "_raw", raw)
    with pytest.raises(CheckFailed, match="plain text is in etcd"):
        etcd.secrets_encrypted(ctx)
    monkeypatch.setattr(etcd, "_raw", lambda ctx, ending: b"k8s:enc:aescbc:v1:key1:xyz")
    with pytest.raises(CheckFailed, match="not k8s:enc:secretbox:v1:"):
        etcd.secrets_encrypted(ctx)


def test_encryption_that_is_not_wanted_is_skipped_as_expected(fake: FakeApi) -> None:
    with pytest.raises(CheckSkipped) as skipped:
        etcd.secrets_encrypted(context(fake, secrets_encryption="none"))
    assert skipped.value.expected
