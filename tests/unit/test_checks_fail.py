"""Checks that run pods, against a made-up cluster: each sees its promise broken and says what it saw instead."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from pyk8s.cluster.config import ClusterConfig
from pyk8s.cluster.model import Cluster, Node, SshTarget
from pyk8s.ssh import Result
from pyk8s.verify import pods
from pyk8s.verify.checks import dns, kube_proxy, kubelet, network, parts, runtime, workloads
from pyk8s.verify.model import CheckFailed, CheckSkipped

NODES = ("cp1", "w1")
CONFIG = ClusterConfig.model_validate({"kubernetes_version": "1.36.2", "pod_cidr": "10.244.0.0/16"})
CLUSTER = Cluster(
    CONFIG,
    (
        Node("cp1", "10.0.0.1", frozenset({"control_plane", "etcd"}), SshTarget("10.0.0.1")),
        Node("w1", "10.0.0.2", frozenset({"workers"}), SshTarget("10.0.0.2")),
    ),
)


def node(name: str, number: int, **info: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "spec": {"podCIDR": f"10.244.{number}.0/24"},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "nodeInfo": {"containerRuntimeVersion": "containerd://2.0.0"} | info,
        },
    }


class Objects:
    """Lists and objects by kind, as the test puts them."""

    def __init__(self, **lists: list[dict[str, Any]]) -> None:
        self.lists: dict[str, list[dict[str, Any]]] = {"Node": [node("cp1", 0), node("w1", 1)]} | lists

    def list(self, kind: str, namespace: str | None = None, **_: str) -> list[dict[str, Any]]:
        return self.lists.get(kind, [])

    def find(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any] | None:
        return next((one for one in self.list(kind) if one["metadata"]["name"] == name), None)

    def get(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any]:
        found = self.find(kind, name, namespace)
        assert found is not None, f"no {kind} {name}"
        return found

    def patch(self, *_: object, **__: object) -> None: ...

    def delete(self, *_: object, **__: object) -> None: ...


class Fake:
    """A context in which pods are Ready at once, with addresses by node, and commands say what the test wants."""

    def __init__(self, objects: Objects | None = None, say: Callable[[str, list[str]], str] = lambda *_: "") -> None:
        self.objects = objects or Objects()
        self.say = say
        self.images = pods.images({})
        self.cluster, self.nodes, self.version = CLUSTER, CLUSTER.nodes, 36
        self.applied: list[dict[str, Any]] = []
        self.pod = pods.manifest
        self.heard = ""

    def namespace(self) -> str:
        return "ns"

    def apply(self, manifest: dict[str, Any], namespace: str | None = None) -> dict[str, Any]:
        self.applied.append(manifest)
        return manifest | {"spec": manifest.get("spec", {}) | {"clusterIP": f"10.96.0.{len(self.applied)}"}}

    def wait_ready(self, ns: str, name: str, timeout: float = 60) -> dict[str, Any]:
        manifest = next(one for one in self.applied if one["metadata"]["name"] == name)
        place = manifest["spec"].get("nodeName", "w1")
        count = len([one for one in self.applied if one["kind"] == "Pod"])
        address = f"10.244.{NODES.index(place)}.{count}"
        state = {"containerID": "containerd://abc"}
        status = {"podIP": address, "containerStatuses": [state]}
        return manifest | {"spec": manifest["spec"] | {"nodeName": place}, "status": status}

    def run_pod(self, manifest: dict[str, Any], ns: str, timeout: float = 60) -> dict[str, Any]:
        self.apply(manifest, ns)
        return self.wait_ready(ns, manifest["metadata"]["name"])

    def wait(self, probe: Callable[[], Any], timeout: float, what: str, state: Callable[[], str] | None = None) -> Any:
        found = probe()
        if not found:
            raise CheckFailed(f"{what}: not within {timeout} s")
        return found

    def exec(self, ns: str, pod: str, command: list[str], **_: object) -> str:
        return self.say(pod, command)

    def logs(self, ns: str, name: str) -> str:
        return self.heard

    def pod_state(self, ns: str, name: str) -> str:
        return "ill"

    def schedulable(self) -> list[str]:
        return [one["metadata"]["name"] for one in self.objects.list("Node")]

    def defer(self, undo: Callable[[], object]) -> None: ...


def run(check: Callable[[Any], str], fake: Fake) -> str:
    return check(fake)


def pod(name: str, place: str, address: str = "") -> dict[str, Any]:
    ready = [{"type": "Ready", "status": "True"}]
    return {
        "metadata": {"name": name, "uid": "2"},
        "spec": {"nodeName": place},
        "status": {"podIP": address, "conditions": ready},
    }


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def ends(**how: Any) -> None:
        monkeypatch.setattr(parts, "finished", lambda *_: {"exitCode": 0, "reason": "Completed"} | how)

    return ends


def test_a_memory_limit_that_is_not_enforced_fails(ended: Callable[..., None]) -> None:
    ended()
    with pytest.raises(CheckFailed, match="256M could be taken with a limit of 48Mi"):
        run(kubelet.memory_limit, Fake())


@pytest.mark.parametrize("how", [{"exitCode": 137, "reason": "Error"}, {"exitCode": 1, "reason": "OOMKilled"}])
def test_a_container_killed_for_its_memory_passes(ended: Callable[..., None], how: dict[str, Any]) -> None:
    ended(**how)
    assert "256M wanted" in run(kubelet.memory_limit, Fake())


def test_a_log_that_is_lost_fails(ended: Callable[..., None]) -> None:
    ended()
    with pytest.raises(CheckFailed, match="its log has ''"):
        run(kubelet.logs, Fake())


def test_a_command_that_ran_in_another_pod_fails() -> None:
    with pytest.raises(CheckFailed, match=r"says \['10\.9\.9\.9'\]"):
        run(kubelet.run_inside, Fake(say=lambda *_: "10.9.9.9\n"))


def test_a_wrong_configmap_volume_fails() -> None:
    with pytest.raises(CheckFailed, match="the ConfigMap holds 'ConfigMap of ns', its volume 'old'"):
        run(kubelet.volumes, Fake(say=lambda *_: "old"))


def test_the_token_of_another_account_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubelet, "_owner", lambda *_: "system:serviceaccount:other:default")
    with pytest.raises(CheckFailed, match="that of 'system:serviceaccount:other:default'"):
        run(kubelet.volumes, Fake(say=lambda _, command: f"{command[1].split('/')[2]} of ns"))


def answers(**seen: str) -> Callable[[str, list[str]], str]:
    """Web pods: web-0 on cp1 is 10.244.0.2, web-1 on w1 10.244.1.2. ``seen``: what they see of a caller, if not it."""
    own = {"web-0": "10.244.0.2", "web-1": "10.244.1.2"}

    def say(pod: str, command: list[str]) -> str:
        return "".join(f"{a} {seen.get(pod.replace('-', '_'), own[pod])} {name}\n" for name, a in own.items())

    return say


def test_pods_that_reach_each_other_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_from_node", lambda *_: [])
    assert run(network.pod_to_pod, Fake(say=answers())).startswith("4 ways between cp1 (10.244.0.2), w1 (10.244.1.2)")


def test_a_pod_seen_under_a_translated_address_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_from_node", lambda *_: [])
    with pytest.raises(CheckFailed, match=r"w1 \(10\.244\.1\.2\) to cp1 \(10\.244\.0\.2\): web-0 .* saw 10\.0\.0\.2"):
        run(network.pod_to_pod, Fake(say=answers(web_1="10.0.0.2")))


def test_a_way_without_an_answer_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_from_node", lambda *_: [])
    with pytest.raises(CheckFailed, match=r"w1 \(10\.244\.1\.2\): no answer"):
        run(network.pod_to_pod, Fake(say=lambda pod, _: "10.244.1.2 \n" + f"10.244.0.2 10.244.0.2 {pod}\n"))


def test_a_node_that_reaches_no_pods_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_from_node", lambda _, machine, __: [f"node {machine.name} to all: no answer"])
    with pytest.raises(CheckFailed, match="node cp1 to all: no answer; node w1"):
        run(network.pod_to_pod, Fake(say=answers()))


def seen_as(**addresses: str) -> Callable[[str, list[str]], str]:
    """Return what the server outside says of client_0, on cp1, and of client_1, on w1."""
    own = {"client_0": "10.0.0.1", "client_1": "10.0.0.2"} | addresses
    return lambda pod, _: f"{own[pod.replace('-', '_')]} server\n" if own[pod.replace("-", "_")] else ""


def test_pods_that_are_seen_under_their_nodes_addresses_pass() -> None:
    assert "cp1, w1 are seen" in run(network.masquerade, Fake(say=seen_as()))


def test_a_pod_that_leaves_the_pod_network_under_its_own_address_fails() -> None:
    with pytest.raises(CheckFailed, match=r"^a pod on w1 \(10\.0\.0\.2\): cp1 saw 10\.244\.1\.4$"):
        run(network.masquerade, Fake(say=seen_as(client_1="10.244.1.4")))


def test_a_pod_that_is_not_answered_from_outside_fails() -> None:
    with pytest.raises(CheckFailed, match=r"^a pod on cp1 \(10\.0\.0\.1\): w1 did not answer$"):
        run(network.masquerade, Fake(say=seen_as(client_0="")))


@pytest.mark.parametrize("check", [network.pod_to_pod, kube_proxy.service_address, workloads.stateful_set])
def test_a_cluster_without_nodes_proves_nothing(check: Callable[[Any], str]) -> None:
    with pytest.raises(CheckFailed, match="no node is Ready"):
        run(check, Fake(Objects(Node=[])))


@pytest.mark.parametrize(
    ("nodes", "pods_", "said"),
    [
        ([node("cp1", 0), node("w1", 0)], [], "nodes share a range"),
        ([node("cp1", 0) | {"spec": {"podCIDR": "10.1.0.0/24"}}], [], "cp1 has 10.1.0.0/24"),
        ([node("cp1", 0) | {"spec": {}}], [], "cp1 has None"),
        ([node("cp1", 0), node("w1", 1)], [pod("p", "w1", "10.244.0.9")], "pod p on w1 .* has 10.244.0.9"),
    ],
)
def test_addresses_that_are_not_the_nodes_own_fail(nodes: list[Any], pods_: list[Any], said: str) -> None:
    with pytest.raises(CheckFailed, match=said):
        run(network.addresses, Fake(Objects(Node=nodes, Pod=pods_)))


def test_nodes_with_different_runtimes_fail() -> None:
    nodes = [node("cp1", 0), node("w1", 1, containerRuntimeVersion="containerd://1.6.20")]
    with pytest.raises(CheckFailed, match="the nodes differ"):
        run(runtime.version, Fake(Objects(Node=nodes)))


def test_another_runtime_than_the_wanted_one_fails() -> None:
    with pytest.raises(CheckFailed, match="wanted is containerd, the nodes run docker"):
        run(runtime.version, Fake(Objects(Node=[node("cp1", 0, containerRuntimeVersion="docker://20.10")])))


def test_an_image_that_was_there_already_proves_no_pull(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "event", lambda *_: 'Container image "redis:7.0" already present on machine')
    fake, ran = Fake(), []
    listed = "REF TYPE DIGEST\ndocker.io/library/redis:7.0 t sha256:1\nredis@sha256:1 t sha256:1\nother t sha256:2\n"

    def shell(command: str) -> Result:
        ran.append(command)
        return Result(listed, "", 0)

    fake.on = lambda _: SimpleNamespace(run=shell)  # type: ignore[attr-defined]
    with pytest.raises(CheckFailed, match="was not pulled"):
        run(runtime.pull, fake)
    assert "ctr --namespace k8s.io images rm --sync docker.io/library/redis:7.0 redis@sha256:1" in ran


@pytest.mark.parametrize(
    ("image", "full"),
    [
        ("redis:7.0", "docker.io/library/redis:7.0"),
        ("me/redis:7.0", "docker.io/me/redis:7.0"),
        ("registry.k8s.io/redis:7.0", "registry.k8s.io/redis:7.0"),
        ("localhost:5000/redis:7.0", "localhost:5000/redis:7.0"),
    ],
)
def test_an_image_has_the_name_that_the_runtime_stores(image: str, full: str) -> None:
    assert runtime._full_name(image) == full


def test_affinity_that_does_not_hold_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "follows", lambda *_: None)
    with pytest.raises(CheckFailed, match=r"went to {'web-0': 10, 'web-1': 10}"):
        run(kube_proxy.affinity, Fake(say=lambda *_: "1.1.1.1 web-0\n1.1.1.1 web-1\n" * 10))


def test_traffic_that_is_not_spread_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "follows", lambda *_: None)
    with pytest.raises(CheckFailed, match="both pods get traffic"):
        run(kube_proxy.affinity, Fake(say=lambda *_: "1.1.1.1 web-0\n" * 20))


def test_a_service_that_still_answers_without_pods_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "follows", lambda *_: None)

    def say(_: str, command: list[str]) -> str:
        return "1.1.1.1 a\n1.1.1.1 b\n" if "seq 10" in command[2] else "1.1.1.1 a\n"

    with pytest.raises(CheckFailed, match="answered by 0 pods"):
        run(kube_proxy.endpoints, Fake(say=say))


def test_a_service_that_does_not_answer_fails() -> None:
    with pytest.raises(CheckFailed, match="answers a pod on cp1"):
        run(kube_proxy.service_address, Fake())


def test_dns_that_is_not_installed_is_skipped_by_design() -> None:
    with pytest.raises(CheckSkipped) as caught:
        run(dns.resolve, Fake())
    assert caught.value.expected


def test_dns_without_pods_fails() -> None:
    objects = Objects(Service=[{"metadata": {"name": "kube-dns"}}], Endpoints=[{"metadata": {"name": "kube-dns"}}])
    with pytest.raises(CheckFailed, match="no ready pods"):
        run(dns.resolve, Fake(objects))


def test_data_lost_with_a_pod_fails() -> None:
    fake = Fake(Objects(Pod=[pod("redis-0", "w1")]), say=lambda *_: "another value")
    ready = pod("redis-0", "w1") | {"metadata": {"name": "redis-0", "uid": "1"}}
    fake.wait_ready = lambda *_: ready  # type: ignore[method-assign]
    with pytest.raises(CheckFailed, match="'ns' was written, the new pod says 'another value'"):
        run(workloads.stateful_set, fake)


def test_a_daemonset_that_misses_a_node_fails() -> None:
    with pytest.raises(CheckFailed, match=r"a Ready pod on each of \['cp1', 'w1'\]"):
        run(workloads.daemon_set, Fake(Objects(Pod=[pod("agent", "w1")])))


def job(kind: str, **more: Any) -> Fake:
    condition = {"type": kind, "status": "True"} | more
    return Fake(Objects(Job=[{"metadata": {"name": "job"}, "status": {"conditions": [condition], "succeeded": 2}}]))


def test_a_job_that_fails_or_completes_too_little_fails() -> None:
    with pytest.raises(CheckFailed, match="Failed with 2 of 3"):
        run(workloads.job, job("Failed"))
    with pytest.raises(CheckFailed, match="Complete with 2 of 3"):
        run(workloads.job, job("Complete"))


def test_a_failing_job_that_is_called_complete_or_gives_no_reason_fails() -> None:
    with pytest.raises(CheckFailed, match="ended as Complete"):
        run(workloads.failing_job, job("Complete"))
    with pytest.raises(CheckFailed, match="DeadlineExceeded"):
        run(workloads.failing_job, job("Failed", reason="DeadlineExceeded"))
    assert "BackoffLimitExceeded" in run(workloads.failing_job, job("Failed", reason="BackoffLimitExceeded"))


@pytest.mark.parametrize(("minor", "version"), [(20, "batch/v1beta1"), (21, "batch/v1"), (36, "batch/v1")])
def test_a_cronjob_is_asked_for_in_the_version_that_the_server_has(minor: int, version: str) -> None:
    fake = Fake()
    fake.version = minor
    with pytest.raises(CheckFailed, match="a Job of the CronJob succeeded"):
        run(workloads.cron_job, fake)
    assert fake.applied[0]["apiVersion"] == version
