"""Inventories that describe no cluster are refused, with everything that is wrong in one list."""

import pytest
import yaml

from pyk8s import paths
from pyk8s.cluster import inventory
from pyk8s.cluster.inventory import InventoryError
from pyk8s.errors import Pyk8sError

HOSTS = {"cp1": "192.0.2.11", "w1": "192.0.2.21", "w2": "192.0.2.22"}


@pytest.fixture
def write(tmp_path):
    """Write an inventory of one control plane and two workers, with what the test changes."""

    def write(keys=None, hosts=None, groups=None, host_keys=None):
        addresses = HOSTS if hosts is None else hosts
        found = {name: {"ansible_host": address} for name, address in addresses.items()}
        for name, values in (host_keys or {}).items():
            found[name] |= values
        members = {"control_plane": ["cp1"], "etcd": ["cp1"], "workers": ["w1", "w2"]} | (groups or {})
        children = {group: {"hosts": {name: {} for name in names}} for group, names in members.items()}
        (tmp_path / "group_vars").mkdir(exist_ok=True)
        (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": found, "children": children}}))
        (tmp_path / "group_vars" / "all.yml").write_text(yaml.safe_dump(keys or {}))
        return tmp_path

    return write


def refused(path):
    with pytest.raises(InventoryError) as error:
        inventory.load(path)
    return error.value.problems


def test_a_good_inventory_becomes_a_cluster(write):
    cluster = inventory.load(write({"cluster_name": "blue", "kubernetes_version": "1.34.2", "kubelet_max_pods": 50}))
    assert [node.name for node in cluster.nodes] == ["cp1", "w1", "w2"]
    assert (cluster.name, cluster.minor) == ("blue", 34)
    assert cluster.node("w1").address == "192.0.2.21"
    assert cluster.node("cp1").taints
    assert not cluster.node("w1").taints


def test_node_ip_is_the_address_towards_the_nodes_and_ansible_host_the_way_of_ssh(write):
    cluster = inventory.load(write(host_keys={"w2": {"ansible_host": "203.0.113.9", "node_ip": "192.0.2.22"}}))
    assert cluster.node("w2").address == "192.0.2.22"
    assert cluster.node("w2").ssh.host == "203.0.113.9"


def test_the_sample_inventory_is_accepted():
    cluster = inventory.load(paths.ROOT / "inventory" / "sample")
    assert len(cluster.control_plane) == len(cluster.etcd) == 3


def test_an_inventory_that_is_not_there_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(Pyk8sError, match="pyk8s lab up"):
        inventory.load(tmp_path / "absent")


def test_an_unknown_key_is_refused_by_name(write):
    assert refused(write({"favourite_colour": "blue"})) == ("unknown key favourite_colour (on every host)",)


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("kubernets_version", "kubernetes_version"),
        ("pod_cdir", "pod_cidr"),
        ("kubelet_maxpods", "kubelet_max_pods"),
        ("api_endpoints", "api_endpoint"),
    ],
)
def test_a_misspelt_key_is_refused_with_the_one_that_was_meant(write, misspelt, meant):
    assert refused(write({misspelt: "x"})) == (f"unknown key {misspelt} (on every host): did you mean {meant}?",)


def test_a_key_misspelt_on_one_host_is_refused_with_the_host(write):
    assert refused(write(host_keys={"w1": {"node_ipp": "192.0.2.21"}})) == (
        "unknown key node_ipp (on w1): did you mean node_ip?",
    )


def test_overlapping_ranges_are_refused(write):
    found = refused(write({"pod_cidr": "10.96.0.0/12", "service_cidr": "10.96.0.0/16"}))
    assert found == ("pod_cidr 10.96.0.0/12 and service_cidr 10.96.0.0/16 overlap",)


@pytest.mark.parametrize("key", ["pod_cidr", "service_cidr"])
def test_a_machine_inside_a_range_is_refused(write, key):
    found = refused(write({key: "192.0.0.0/16"}))
    assert f"cp1: its address 192.0.2.11 lies in {key} 192.0.0.0/16" in found
    assert len(found) == 3


def test_a_range_with_host_bits_is_refused(write):
    (found,) = refused(write({"pod_cidr": "10.244.0.1/16"}))
    assert found.startswith("pod_cidr: ")
    assert "host bits" in found


def test_an_ipv6_range_is_refused(write):
    (found,) = refused(write({"pod_cidr": "fd00::/48"}))
    assert "IPv6 is not supported" in found


def test_a_pod_range_without_room_for_all_nodes_is_refused(write):
    (found,) = refused(write({"pod_cidr": "10.244.0.0/23"}))
    assert found == "pod_cidr 10.244.0.0/23 has room for 2 nodes of a /24 each, 3 are wanted"


def test_a_pod_range_smaller_than_one_node_is_refused(write):
    (found,) = refused(write({"pod_cidr": "10.244.0.0/25"}))
    assert "room for 0 nodes" in found


def test_a_pod_range_that_just_fits_is_accepted(write):
    assert inventory.load(write({"pod_cidr": "10.244.0.0/22"}))


def test_a_service_range_of_a_few_addresses_is_refused(write):
    (found,) = refused(write({"service_cidr": "10.96.0.0/29"}))
    assert "too small" in found


def test_a_service_range_wider_than_12_bits_of_prefix_is_refused(write):
    (found,) = refused(write({"service_cidr": "172.0.0.0/11"}))
    assert found == "service_cidr 172.0.0.0/11 is too large: /12 is the widest"
    assert inventory.load(write({"service_cidr": "172.16.0.0/12"}))


def test_an_even_number_of_etcd_members_is_refused(write):
    (found,) = refused(write(groups={"etcd": ["cp1", "w1"]}))
    assert found.startswith("2 etcd members: an even number")


def test_two_nodes_with_one_address_are_refused(write):
    assert refused(write(hosts=HOSTS | {"w2": "192.0.2.21"})) == ("w2 and w1 have one address, 192.0.2.21",)


def test_a_node_without_an_address_is_refused(write):
    (found,) = refused(write(hosts=HOSTS | {"w2": "w2.example.com"}))
    assert found.startswith("w2: 'w2.example.com' is no IPv4 address: set node_ip")


def test_a_port_that_is_no_number_is_refused(write):
    assert refused(write(host_keys={"w1": {"ansible_port": "ssh"}})) == ("w1: ansible_port 'ssh' is not a number",)


def test_a_name_that_kubernetes_does_not_take_is_refused(write):
    (found,) = refused(write(hosts=HOSTS | {"W_3": "192.0.2.23"}, groups={"workers": ["w1", "w2", "W_3"]}))
    assert found.startswith("W_3: a node's name must be a DNS label")


@pytest.mark.parametrize("version", ["1.19.0", "1.33.4", "1.37.0"])
def test_an_unsupported_version_is_refused_with_those_that_are(write, version):
    (found,) = refused(write({"kubernetes_version": version}))
    assert found.startswith(f"kubernetes_version: {version} is not supported; supported are the releases of 1.20, 1.34")


@pytest.mark.parametrize("version", ["v1.36.2", "1.36", "latest", "1.36.2-rc.0", "1.36.2 "])
def test_a_malformed_version_is_refused(write, version):
    (found,) = refused(write({"kubernetes_version": version}))
    assert "is not a version such as 1.36.2" in found


def test_a_version_that_yaml_reads_as_a_number_is_refused(write):
    (found,) = refused(write({"kubernetes_version": 1.36}))
    assert found.startswith("kubernetes_version: ")


def test_an_inventory_without_a_control_plane_is_refused(write):
    (found,) = refused(write(groups={"control_plane": []}))
    assert found.startswith("no control plane")


def test_an_inventory_without_etcd_is_refused(write):
    (found,) = refused(write(groups={"etcd": []}))
    assert found.startswith("no etcd")


def test_an_inventory_with_no_hosts_at_all_is_refused(write):
    found = refused(write(hosts={}, groups={"control_plane": [], "etcd": [], "workers": []}))
    assert [sentence.split(":")[0] for sentence in found] == ["no control plane", "no etcd"]


def test_a_key_that_differs_between_hosts_is_refused(write):
    (found,) = refused(write({"pod_network": "routes"}, host_keys={"w2": {"pod_network": "vxlan"}}))
    assert found.startswith("pod_network differs between hosts")


def test_a_cluster_key_on_one_host_alone_is_refused(write):
    (found,) = refused(write(host_keys={"cp1": {"api_port": 8443}}))
    assert found.startswith("api_port differs between hosts")


def test_nftables_on_a_version_without_it_is_refused(write):
    (found,) = refused(write({"kube_proxy_mode": "nftables", "kubernetes_version": "1.20.2"}))
    assert found == "kube_proxy_mode nftables needs Kubernetes 1.31, not 1.20.2: use iptables"


def test_ipvs_is_refused_with_what_to_use(write):
    (found,) = refused(write({"kube_proxy_mode": "ipvs"}))
    assert "deprecated since Kubernetes 1.35" in found
    assert "use nftables or iptables" in found


@pytest.mark.parametrize("runtime", ["crio", "docker"])
def test_a_runtime_without_a_role_is_refused(write, runtime):
    (found,) = refused(write({"container_runtime": runtime}))
    assert found == f"container_runtime {runtime} has no role yet: use containerd"


def test_a_runtime_that_nobody_knows_is_refused(write):
    (found,) = refused(write({"container_runtime": "rkt"}))
    assert "containerd" in found


def test_a_mirror_without_an_address_is_refused(write):
    (found,) = refused(write({"artifact_source": "mirror"}))
    assert found.startswith("artifact_source mirror needs artifact_mirror")


@pytest.mark.parametrize("mirror", ["", "/srv/mirror"])
def test_pulling_from_what_nodes_cannot_reach_is_refused(write, mirror):
    (found,) = refused(write({"artifact_delivery": "pull", "artifact_mirror": mirror}))
    assert found.startswith("artifact_delivery pull needs artifact_mirror: an http address")


def test_a_port_of_another_component_is_refused(write):
    (found,) = refused(write({"api_port": 10250}))
    assert found.startswith("api_port 10250 is the port of another component")


@pytest.mark.parametrize("port", [80, 70000, "many"])
def test_a_port_out_of_range_is_refused(write, port):
    (found,) = refused(write({"api_port": port}))
    assert found.startswith("api_port: ")


def test_an_audit_policy_that_is_not_there_is_refused(write):
    (found,) = refused(write({"audit": "/no/such/policy.yaml"}))
    assert "path of an audit policy file on the controller" in found


def test_an_audit_policy_of_ones_own_is_accepted(write, tmp_path_factory):
    policy = tmp_path_factory.mktemp("policies") / "policy.yaml"
    policy.write_text("apiVersion: audit.k8s.io/v1\n")
    assert inventory.load(write({"audit": str(policy)})).config.audit == str(policy)


@pytest.mark.parametrize(
    ("key", "value"),
    [("api_endpoint", "https://x"), ("cluster_domain", "Cluster_Local"), ("cluster_name", "my cluster")],
)
def test_a_name_that_is_none_is_refused(write, key, value):
    (found,) = refused(write({key: value}))
    assert found.startswith(f"{key}: ")


def test_five_things_that_are_wrong_are_named_at_once(write):
    keys = {
        "kubernets_version": "1.36.2",
        "kubernetes_version": "1.12.0",
        "pod_cidr": "10.96.0.0/12",
        "artifact_source": "mirror",
    }
    with pytest.raises(InventoryError) as error:
        inventory.load(write(keys, hosts=HOSTS | {"w2": "192.0.2.21"}, groups={"etcd": ["cp1", "w1"]}))
    for part in (
        "unknown key kubernets_version",
        "2 etcd members",
        "1.12.0 is not supported",
        "artifact_source mirror needs artifact_mirror",
        "w2 and w1 have one address",
        "pod_cidr 10.96.0.0/12 and service_cidr 10.96.0.0/16 overlap",
    ):
        assert part in str(error.value)
    assert len(error.value.problems) == 6
    assert "nothing was changed" in str(error.value)


def test_a_bad_range_does_not_hide_what_is_wrong_with_the_other(write):
    found = refused(write({"pod_cidr": "nonsense", "service_cidr": "192.0.2.0/24"}))
    assert any(sentence.startswith("pod_cidr: ") for sentence in found)
    assert "w2: its address 192.0.2.22 lies in service_cidr 192.0.2.0/24" in found


def test_a_default_that_stands_in_for_a_bad_range_is_never_reported():
    groups = {"control_plane": ["cp1"], "etcd": ["cp1"], "workers": []}
    hosts = {"cp1": {"ansible_host": "10.244.0.5", "pod_cidr": "nonsense"}}
    with pytest.raises(InventoryError) as error:
        inventory.from_hostvars(hosts, groups)
    assert len(error.value.problems) == 1


def test_what_tasks_registered_is_no_unknown_key_later_in_a_play():
    groups = {"control_plane": ["cp1"], "etcd": ["cp1"], "workers": []}
    hosts = {"cp1": {"ansible_host": "192.0.2.11", "something_registered": {}}}
    assert inventory.from_hostvars(hosts, groups, strict=False)
    with pytest.raises(InventoryError, match="something_registered"):
        inventory.from_hostvars(hosts, groups)


@pytest.mark.parametrize(
    ("group", "meant"),
    [
        *(("worker", "workers"), ("Workers", "workers"), ("nodes", "workers"), ("kube_node", "workers")),
        *(("control-plane", "control_plane"), ("kube_control_plane", "control_plane"), ("masters", "control_plane")),
        ("etcds", "etcd"),
    ],
)
def test_a_host_in_a_misspelt_group_is_refused_with_the_one_that_was_meant(write, group, meant):
    found = refused(write(groups={"workers": ["w1"], group: ["w2"]}))
    assert found == (f"w2 is in the unknown group {group}: did you mean {meant}?",)


def test_all_hosts_of_a_misspelt_group_are_named(write):
    found = refused(write(groups={"workers": [], "worker": ["w1", "w2"], "europe": ["cp1", "w1", "w2"]}))
    assert [sentence.split(" is in ")[0] for sentence in found] == ["w1", "w2"]
    assert all(sentence.endswith("did you mean workers?") for sentence in found)


def test_a_host_in_groups_that_are_not_ours_is_left_alone(write):
    cluster = inventory.load(write(groups={"workers": ["w1"], "bastion": ["w2"]}))
    assert "w2" not in {node.name for node in cluster.nodes}


def test_groups_of_ones_own_are_fine_beside_ours(write):
    assert inventory.load(write(groups={"europe": ["cp1", "w1"], "worker": ["w2"]})).node("w2").groups == {"workers"}


def test_hosts_of_an_inventory_that_are_in_no_group_are_left_alone():
    magic = {"all": ["cp1", "printer"], "ungrouped": ["printer"]}
    groups = {"control_plane": ["cp1"], "etcd": ["cp1"], "workers": [], **magic}
    hosts = {"cp1": {"ansible_host": "192.0.2.11"}, "printer": {"ansible_host": "192.0.2.99"}}
    assert [node.name for node in inventory.from_hostvars(hosts, groups).nodes] == ["cp1"]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            {"api_virtual_ip": "192.0.2.11"},
            "api_virtual_ip 192.0.2.11 is the address of cp1: give it one that no machine",
        ),
        ({"api_virtual_ip": "10.96.0.9"}, "api_virtual_ip 10.96.0.9 lies in service_cidr 10.96.0.0/16"),
        ({"api_virtual_ip": "vip.example.com"}, "api_virtual_ip: 'vip.example.com' does not appear to be an IPv4"),
        (
            {"api_virtual_ip": "192.0.2.10", "api_endpoint": "192.0.2.9"},
            "api_endpoint 192.0.2.9 is another address than api_virtual_ip 192.0.2.10: leave api_endpoint out",
        ),
    ],
)
def test_a_virtual_ip_that_cannot_work_is_refused(write, keys, said):
    assert any(problem.startswith(said) for problem in refused(write(keys)))


def test_a_virtual_ip_is_where_clients_go_unless_they_have_a_name_for_it(write):
    plain = inventory.load(write({"api_virtual_ip": "192.0.2.10"}))
    assert plain.api_urls == ("https://192.0.2.10:6443", "https://192.0.2.11:6443")
    named = inventory.load(write({"api_virtual_ip": "192.0.2.10", "api_endpoint": "api.example.com"}))
    assert named.api_url == "https://api.example.com:6443"
