"""What a component's templates become on a node."""

import json
import re

import pytest
import yaml

from pyk8s import paths, render
from pyk8s.errors import Pyk8sError
from tests.golden.cases import cases, components_of, stacked, texts, variables

ALL = {f"{case.name}/{name}": text for case in cases() for name, text in texts(case).items()}


def only(suffix):
    return sorted(name for name in ALL if name.endswith(suffix))


def tree_of(component, cluster, name="cp1"):
    return render.render(component, cluster, cluster.node(name), variables(component, cluster))


def file_of(component, path, cluster, name="cp1"):
    return next((f.content.decode() for f in tree_of(component, cluster, name).files if f.path == path), None)


def test_every_configuration_is_yaml_or_json_that_can_be_read():
    for name in only(".yaml"):
        assert list(yaml.safe_load_all(ALL[name])), name
    for name in only(".conflist"):
        assert json.loads(ALL[name])["plugins"], name


@pytest.mark.parametrize("name", only(".service"))
def test_a_unit_has_its_sections_one_command_line_and_no_gaps(name):
    text = ALL[name]
    timed = name.replace(".service", ".timer") in ALL
    wanted = ["[Unit]", "[Service]", *([] if timed else ["[Install]"])]
    assert [line for line in text.splitlines() if line.startswith("[")] == wanted
    assert "\\\n\n" not in text
    assert not re.search(r"\\[ \t]+\n", text)
    continued = re.findall(r"\\\n(.*)", text)
    assert all(line.startswith("  --") for line in continued)


@pytest.mark.parametrize("name", only(".service"))
def test_the_flags_of_a_unit_are_sorted_line_by_line_and_given_once(name):
    flags = [re.findall(r"--([\w-]+)=", line) for line in re.findall(r"^  (--.*)$", ALL[name], re.MULTILINE)]
    first = [line[0] for line in flags]
    # The kubelet's last line is one that every version has, so that the command line can end there.
    assert first == sorted(first) or (first[-1] == "node-ip" and first[:-1] == sorted(first[:-1]))
    every = [flag for line in flags for flag in line]
    assert len(every) == len(set(every))


def test_nothing_of_the_template_language_or_of_python_is_left():
    left = re.compile(r"{{|}}(?!\S)|{%|%}|[=:] (True|False)\b|=(True|False|None)\b|frozenset|Undefined")
    for name, text in ALL.items():
        assert not left.search(text), name


def test_a_component_without_templates_is_refused():
    with pytest.raises(Pyk8sError, match="no templates for flannel"):
        tree_of("flannel", stacked("1.36.4"))


def test_a_template_that_uses_what_is_not_defined_is_an_error_with_its_name():
    cluster = stacked("1.36.4")
    with pytest.raises(Pyk8sError, match=r"templates/kubelet/.*kubelet.yaml.j2"):
        render.render("kubelet", cluster, cluster.node("w1"), {})


def test_a_template_that_renders_to_nothing_places_no_file():
    without, with_mirror = stacked("1.36.4"), stacked("1.36.4", image_mirror="http://192.0.2.2:5000")
    path = "/etc/containerd/certs.d/_default/hosts.toml"
    assert file_of("containerd", path, without) is None
    assert '[host."http://192.0.2.2:5000"]' in file_of("containerd", path, with_mirror)


def test_no_file_of_a_pod_network_is_placed_where_there_is_none():
    for component in ("cni", "pod-network"):
        assert tree_of(component, stacked("1.36.4", pod_network="none")).files == ()


def test_files_are_readable_by_root_alone_unless_tree_yml_says_otherwise(monkeypatch, tmp_path):
    folder = tmp_path / "thing" / "etc"
    folder.mkdir(parents=True)
    (folder / "private.j2").write_text("{{ node.name }}\n")
    (folder / "public").write_text("{{ literal }}\n")
    (tmp_path / "thing" / "tree.yml").write_text(
        "files:\n  /etc/public: {mode: '0644', owner: etcd}\ndirectories:\n  /var/lib/thing: {group: etcd}\n"
    )
    monkeypatch.setattr(paths, "TEMPLATES", tmp_path)
    render.environment.cache_clear()
    try:
        tree = render.render("thing", stacked("1.36.4"), stacked("1.36.4").node("cp1"), {})
    finally:
        render.environment.cache_clear()
    private, public = tree.files
    assert (private.path, private.content) == ("/etc/private", b"cp1\n")
    assert private.owned == render.Owned("root", "root", "0600")
    assert (public.content, public.owned) == (b"{{ literal }}\n", render.Owned("etcd", "root", "0644"))
    assert tree.directories == {"/var/lib/thing": render.Owned("root", "etcd", "0755")}


def test_an_audit_policy_of_ones_own_is_placed_as_it_is(tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Request}] # mine {{ }}\n")
    cluster = stacked("1.36.4", audit=str(policy))
    placed = file_of("kube-apiserver", "/etc/kubernetes/audit-policy.yaml", cluster)
    assert placed.strip() == policy.read_text().strip()
    unit = file_of("kube-apiserver", "/etc/systemd/system/kube-apiserver.service", cluster)
    assert "--audit-policy-file=/etc/kubernetes/audit-policy.yaml" in unit


def test_without_audit_no_flag_and_no_policy_is_left():
    cluster = stacked("1.36.4", audit="none")
    assert file_of("kube-apiserver", "/etc/kubernetes/audit-policy.yaml", cluster) is None
    assert "audit" not in file_of("kube-apiserver", "/etc/systemd/system/kube-apiserver.service", cluster)


def test_every_apiserver_is_behind_every_nodes_haproxy_with_its_certificate_verified():
    cluster = stacked("1.36.4", api_port=8443)
    text = file_of("haproxy", "/etc/haproxy/haproxy.cfg", cluster, "w1")
    servers = re.findall(r"^    server (\S+) (\S+)$", text, re.MULTILINE)
    assert servers == [(f"cp{n}", f"192.0.2.1{n}:8443") for n in (1, 2, 3)]
    assert "check-ssl verify required" in text
    assert "default-server ca-file /etc/kubernetes/pki/ca.crt crt /etc/haproxy/pki/health.pem" in text
    assert "etcd" not in re.findall(r"^backend (\S+)$", text, re.MULTILINE)
    assert "bind 127.0.0.1:7443" in text


def test_all_etcd_members_know_each_other_and_the_apiservers_know_them_all():
    cluster = stacked("1.36.4")
    member = yaml.safe_load(file_of("etcd", "/etc/etcd/etcd.yaml", cluster, "cp2"))
    assert member["name"] == "cp2"
    assert member["initial-cluster"].split(",") == [f"cp{n}=https://192.0.2.1{n}:2380" for n in (1, 2, 3)]
    assert member["client-transport-security"]["client-cert-auth"] is True
    assert member["peer-transport-security"]["client-cert-auth"] is True
    unit = file_of("kube-apiserver", "/etc/systemd/system/kube-apiserver.service", cluster)
    assert "--etcd-servers=https://127.0.0.1:2378 " in unit
    balancer = file_of("haproxy", "/etc/haproxy/haproxy.cfg", cluster, "cp2")
    assert "bind 127.0.0.1:2378" in balancer
    servers = re.findall(r"^    server (\S+) \S+:2379( backup)?$", balancer, re.MULTILINE)
    assert servers == [("cp1", " backup"), ("cp2", ""), ("cp3", " backup")]


@pytest.mark.parametrize("version", ["1.20.2", "1.36.4"])
def test_a_control_plane_that_is_no_worker_is_registered_with_its_taint(version):
    cluster = stacked(version)
    taint = "node-role.kubernetes.io/control-plane"
    config = yaml.safe_load(file_of("kubelet", "/etc/kubernetes/kubelet.yaml", cluster))
    unit = file_of("kubelet", "/etc/systemd/system/kubelet.service", cluster)
    if version.startswith("1.20"):
        assert f"--register-with-taints={taint}=:NoSchedule" in unit
    else:
        assert config["registerWithTaints"] == [{"key": taint, "effect": "NoSchedule"}]
    assert taint not in file_of("kubelet", "/etc/kubernetes/kubelet.yaml", cluster, "w1")
    assert taint not in file_of("kubelet", "/etc/systemd/system/kubelet.service", cluster, "w1")


def test_a_node_has_a_way_to_every_other_node_and_none_to_itself():
    cluster = stacked("1.36.4")
    ways = file_of("pod-network", "/etc/pod-network/routes", cluster, "w1")
    routes = re.findall(r"^route replace (\S+) via (\S+)", ways, re.MULTILINE)
    assert routes == [
        ("10.244.0.0/24", "192.0.2.11"),
        ("10.244.1.0/24", "192.0.2.12"),
        ("10.244.2.0/24", "192.0.2.13"),
        ("10.244.4.0/24", "192.0.2.22"),
    ]


def test_vxlan_knows_every_peer_by_address_and_takes_its_bytes_from_the_mtu():
    cluster = stacked("1.36.4", pod_network="vxlan")
    unit = file_of("pod-network", "/etc/systemd/system/pod-network.service", cluster, "w1")
    for last in (11, 12, 13, 22):
        assert f"dev pods0 dst 192.0.2.{last}" in unit
    assert "dst 192.0.2.21" not in unit
    assert "mtu 1450" in unit
    conflist = json.loads(file_of("cni", "/etc/cni/net.d/10-pod-network.conflist", cluster, "w1"))
    assert conflist["plugins"][0]["mtu"] == 1450


def test_a_machine_of_etcd_alone_gets_nothing_of_kubernetes():
    case = next(case for case in cases() if "etcd1" in case.nodes)
    assert set(components_of(case.cluster.node("etcd1"))) == {"node", "etcd"}


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_manifests_have_kinds_names_and_images_of_the_catalog(case):
    documents = [
        document for component in ("rbac", "coredns") for document in render.manifests(component, case.cluster, {})
    ]
    identities = [(d["kind"], d["metadata"].get("namespace"), d["metadata"]["name"]) for d in documents]
    assert len(identities) == len(set(identities))
    deployment = next(d for d in documents if d["kind"] == "Deployment")
    assert ":" in deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    service = next(d for d in documents if d["kind"] == "Service")
    assert service["spec"]["clusterIP"] == case.cluster.dns_service_ip
