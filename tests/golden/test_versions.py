"""Nothing is rendered that a version lacks, and nothing is left out that it wants."""

from __future__ import annotations

import re

import pytest

from pyk8s import artifacts
from pyk8s.cluster.config import SUPPORTED_MINORS, ClusterConfig
from tests.golden.cases import Case, cases, stacked, texts
from tests.golden.facts import EVERY, FIELD_SPANS, FLAG_SPANS, flags_of, lacking, missing, recorded
from tests.golden.record_flags import flags_of_binary

RECORD_OF = {20: 20, 34: 36, 35: 36, 36: 36}
"""Whose recorded flags a minor is held against: what 1.36 does not know is no longer used for 1.34 either."""
DEPRECATED_BUT_NEEDED = {
    20: {
        *(("kube-controller-manager", "port"), ("kube-scheduler", "port")),  # port 0 closes what is open by default
        ("kubelet", "network-plugin"),
    }
}
WRONG = [
    (24, "kubelet", "--network-plugin=cni"),
    (24, "kubelet", "--cni-bin-dir=/opt/cni/bin"),
    (24, "kube-scheduler", "--port=0"),
    (24, "kube-controller-manager", "--port=0"),
    (24, "kube-apiserver", "--insecure-port=0"),
    (26, "kube-proxy", "--log-dir=/var/log"),
    (26, "kubelet", "--logtostderr"),
    (27, "kubelet", "--container-runtime=remote"),
    (27, "kube-controller-manager", "--pod-eviction-timeout=30s"),
    (35, "kubelet", "--pod-infra-container-image=registry.k8s.io/pause:3.10"),
]
WRONG_FIELDS = [
    (20, "kubelet.config.k8s.io/v1beta1", "KubeletConfiguration", "containerRuntimeEndpoint: unix:///run/x.sock"),
    (20, "kubelet.config.k8s.io/v1beta1", "KubeletConfiguration", "failCgroupV1: false"),
    (20, "kubelet.config.k8s.io/v1beta1", "KubeletConfiguration", "seccompDefault: true"),
    (30, "kubelet.config.k8s.io/v1beta1", "KubeletConfiguration", "failCgroupV1: false"),
    (20, "kubeproxy.config.k8s.io/v1alpha1", "KubeProxyConfiguration", "mode: nftables"),
    (36, "kubeproxy.config.k8s.io/v1alpha1", "KubeProxyConfiguration", "mode: ipvs"),
    (20, "kubescheduler.config.k8s.io/v1", "KubeSchedulerConfiguration", "parallelism: 16"),
    (25, "kubescheduler.config.k8s.io/v1beta1", "KubeSchedulerConfiguration", "parallelism: 16"),
    (29, "kubescheduler.config.k8s.io/v1beta3", "KubeSchedulerConfiguration", "parallelism: 16"),
    (22, "rbac.authorization.k8s.io/v1beta1", "ClusterRole", "rules: []"),
    (25, "policy/v1beta1", "PodSecurityPolicy", "spec: {}"),
    (36, "v1", "Node", "spec: {taints: [{key: node-role.kubernetes.io/master}]}"),
]


def unit(binary: str, *flags: str) -> dict[str, str]:
    return {f"{binary}.service": "ExecStart=/usr/local/bin/" + " \\\n  ".join([binary, *flags]) + "\nRestart=always\n"}


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_nothing_is_rendered_that_the_version_lacks(case: Case) -> None:
    assert lacking(case.cluster.minor, texts(case)) == []


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_everything_is_rendered_that_the_version_wants(case: Case) -> None:
    assert missing(case.cluster.minor, texts(case)) == []


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_every_rendered_flag_is_known_to_the_real_binary_and_not_deprecated(case: Case) -> None:
    minor = case.cluster.minor
    known = recorded(RECORD_OF[minor])
    for path, text in texts(case).items():
        binary, flags = flags_of(text) if path.endswith(".service") else ("", [])
        for name in (flag.partition("=")[0] for flag in flags if binary in EVERY):
            assert name in known[binary], f"{binary} 1.{minor} knows no --{name}"
            needed = (binary, name) in DEPRECATED_BUT_NEEDED.get(minor, set())
            assert needed or not known[binary][name], f"{binary} 1.{minor} calls --{name} deprecated"


@pytest.mark.parametrize(("minor", "binary", "flag"), WRONG)
def test_a_planted_flag_is_found_from_the_version_that_lacks_it(minor: int, binary: str, flag: str) -> None:
    planted = unit(binary, "--first=1", flag, "--last=2")
    assert lacking(minor, planted) == [f"1.{minor} lacks {binary}.service: {flag.partition('=')[0]}"]
    assert lacking(minor - 1, planted) == []


@pytest.mark.parametrize(("minor", "version", "kind", "field"), WRONG_FIELDS)
def test_a_planted_field_or_api_version_is_found(minor: int, version: str, kind: str, field: str) -> None:
    found = lacking(minor, {"x.yaml": f"apiVersion: {version}\nkind: {kind}\n{field}\n"})
    assert len(found) == 1, found


def test_a_flag_and_a_field_that_are_planted_in_real_trees_are_found() -> None:
    for case in cases()[1:]:
        tree = texts(case)
        path = "w1/kubelet/etc/systemd/system/kubelet.service"
        tree[path] = tree[path].replace("--config=", "--container-runtime=remote --config=")
        assert lacking(case.cluster.minor, tree) == [f"1.{case.cluster.minor} lacks {path}: --container-runtime"]


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_a_wanted_flag_that_is_taken_away_is_missed(case: Case) -> None:
    tree = texts(case)
    path = "cp1/kube-apiserver/etc/systemd/system/kube-apiserver.service"
    tree[path] = re.sub(r"--service-account-issuer=\S+", "", tree[path])
    assert missing(case.cluster.minor, tree) == [
        f"1.{case.cluster.minor} wants kube-apiserver: --service-account-issuer="
    ]


def test_the_old_kubelet_without_its_runtime_flags_is_missed() -> None:
    assert len(missing(20, unit("kubelet", "--config=/etc/kubernetes/kubelet.yaml"))) == 3


def test_the_table_agrees_with_the_recorded_flags_of_real_binaries() -> None:
    for minor in (20, 36):
        known = recorded(minor)
        for (binary, name), span in FLAG_SPANS.items():
            assert name not in known[binary] or minor in span, f"{binary} 1.{minor} does know --{name}"


def test_each_supported_minor_has_a_case_and_flags_to_be_held_against() -> None:
    assert {case.cluster.minor for case in cases()} == set(SUPPORTED_MINORS) == set(RECORD_OF)
    assert FIELD_SPANS


@pytest.mark.parametrize("minor", ["1.20", "1.36"])
def test_the_recorded_flags_are_those_of_the_binaries_in_the_cache(minor: str) -> None:
    config = ClusterConfig(kubernetes_version=artifacts.load_catalog().releases[minor].newest)
    found = artifacts.lookup(config)
    if found is None:
        pytest.skip(f"Kubernetes {config.kubernetes_version} is not in the artifact cache")
    for binary in EVERY:
        assert flags_of_binary(found.files[binary].files[binary].path) == recorded(config.minor)[binary]


@pytest.mark.parametrize("keys", [{"pod_network": "vxlan", "failure_detection": "fast"}, {"pod_network": "none"}])
def test_other_keys_render_nothing_that_1_20_lacks(keys: dict[str, str]) -> None:
    assert lacking(20, texts(Case("any", stacked("1.20.2", **keys), ("cp1", "w1")))) == []
