"""Node objects are created before the kubelets start, with their labels, taints and pod ranges."""

import pytest

from pyk8s import paths
from pyk8s.cluster import registration
from pyk8s.errors import Pyk8sError
from tests.golden.cases import dedicated, stacked

TAINT = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}


class FakeApi:
    """Nodes by name, as they were created."""

    nodes: dict

    def __init__(self, cluster):
        self.cluster = cluster

    def get(self, path):
        if path == "/api/v1/nodes":
            return {"items": list(self.nodes.values())}
        return self.nodes.get(path.rsplit("/", 1)[1])

    def create(self, path, body):
        assert path == "/api/v1/nodes"
        self.nodes[body["metadata"]["name"]] = body

    def apply(self, manifest, *, dry_run=False):
        found = self.nodes.get(manifest["metadata"]["name"])
        if found is None:
            return True
        missing = {k: v for k, v in manifest["metadata"]["labels"].items() if k not in found["metadata"]["labels"]}
        if not dry_run:
            found["metadata"]["labels"] |= missing
        return bool(missing)


@pytest.fixture(autouse=True)
def api(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setattr(FakeApi, "nodes", {}, raising=False)
    monkeypatch.setattr(registration, "KubeApi", FakeApi)
    return FakeApi


def test_every_node_is_registered_with_a_range_of_its_own(api):
    changed, ranges = registration.register(stacked("1.36.4"))
    assert changed
    assert ranges == {name: node["spec"]["podCIDR"] for name, node in api.nodes.items()}
    assert all(node["spec"]["podCIDRs"] == [node["spec"]["podCIDR"]] for node in api.nodes.values())
    assert ranges == {name: f"10.244.{n}.0/24" for n, name in enumerate(["cp1", "cp2", "cp3", "w1", "w2"])}


def test_a_second_registration_changes_nothing(api):
    _, before = registration.register(stacked("1.36.4"))
    assert registration.register(stacked("1.36.4")) == (False, before)


def test_machines_of_etcd_alone_are_no_nodes(api):
    registration.register(dedicated("1.36.4"))
    assert sorted(api.nodes) == ["cp1", "cp2", "w1", "w2"]


def test_roles_are_labels_and_a_control_plane_is_tainted_from_the_start(api):
    registration.register(stacked("1.36.4"))
    labels = api.nodes["cp1"]["metadata"]["labels"]
    assert labels == {"kubernetes.io/hostname": "cp1", "node-role.kubernetes.io/control-plane": ""}
    assert api.nodes["cp1"]["spec"]["taints"] == [TAINT]
    assert "node-role.kubernetes.io/worker" in api.nodes["w1"]["metadata"]["labels"]
    assert api.nodes["w1"]["spec"]["taints"] == []


def test_nothing_is_placed_on_a_node_whose_kubelet_has_not_spoken(api):
    registration.register(stacked("1.36.4"))
    assert api.nodes["w1"]["status"]["allocatable"]["pods"] == "0"


def test_a_label_that_was_taken_away_comes_back(api):
    registration.register(stacked("1.36.4"))
    del api.nodes["w1"]["metadata"]["labels"]["node-role.kubernetes.io/worker"]
    assert registration.register(stacked("1.36.4"))[0] is True
    assert "node-role.kubernetes.io/worker" in api.nodes["w1"]["metadata"]["labels"]


def test_a_node_that_exists_is_not_created_again_and_keeps_its_taints(api):
    registration.register(stacked("1.36.4"))
    api.nodes["w1"]["spec"]["taints"] = [{"key": "mine", "effect": "NoExecute"}]
    registration.register(stacked("1.36.4"))
    assert api.nodes["w1"]["spec"]["taints"] == [{"key": "mine", "effect": "NoExecute"}]


def test_a_node_that_comes_later_gets_a_range_that_no_node_has_nor_one_of_another_cluster_member(api):
    registration.register(stacked("1.36.4"))
    del api.nodes["w1"]
    api.nodes["guest"] = {"metadata": {"name": "guest"}, "spec": {"podCIDR": "10.244.3.0/24"}}
    assert registration.register(stacked("1.36.4"))[1]["w1"] == "10.244.5.0/24"


def test_ranges_that_are_used_up_are_an_error_with_what_to_do(api):
    for number in range(4):
        api.nodes[f"gone{number}"] = {
            "metadata": {"name": f"gone{number}"},
            "spec": {"podCIDR": f"10.244.{number}.0/24"},
        }
    with pytest.raises(Pyk8sError, match="no pod range is left for cp1") as error:
        registration.register(stacked("1.36.4", pod_cidr="10.244.0.0/22"))
    assert "kubectl delete node" in error.value.hint
    assert "cp1" not in api.nodes


def test_a_network_of_ones_own_gives_and_waits_for_no_range(api):
    assert registration.register(stacked("1.36.4", pod_network="none")) == (True, {})
    assert "podCIDR" not in api.nodes["w1"]["spec"]


def test_check_mode_with_a_network_of_ones_own_needs_no_room_in_the_pod_range():
    cluster = stacked("1.36.4", pod_network="none", pod_cidr="10.244.0.0/26")
    assert registration.register(cluster, dry_run=True) == (True, {})


def test_a_node_that_came_by_itself_and_gets_no_range_is_an_error_naming_it(api, monkeypatch):
    registration.register(stacked("1.36.4"))
    del api.nodes["w2"]["spec"]["podCIDR"]
    clock = iter(range(0, 10_000, 30))
    monkeypatch.setattr(registration.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(registration.time, "sleep", lambda seconds: None)
    with pytest.raises(Pyk8sError, match="no pod range for w2 after 40 s") as error:
        registration.register(stacked("1.36.4"))
    assert "kube-controller-manager" in error.value.hint


def test_ranges_are_planned_without_asking_anybody(monkeypatch):
    monkeypatch.setattr(registration, "KubeApi", None)
    assert len(set(registration.planned(stacked("1.36.4")).values())) == 5
    assert registration.planned(stacked("1.36.4", pod_network="none")) == {}


def test_check_mode_creates_nothing_and_gives_new_nodes_the_next_free_range(api):
    registration.register(stacked("1.36.4"))
    del api.nodes["w1"]
    changed, ranges = registration.register(stacked("1.36.4"), dry_run=True)
    assert changed
    assert "w1" not in api.nodes
    assert ranges["w1"] == "10.244.3.0/24"
    assert ranges["w2"] == "10.244.4.0/24"
