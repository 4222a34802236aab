"""The inventory that a lab writes, and its SSH keys."""

import stat

import pytest
import yaml

from pyk8s import paths
from pyk8s.cluster import inventory as model
from pyk8s.lab import api, host, inventory, spec, ssh

ALL = frozenset(host.CAPABILITIES)
CLOSED = host.Host(ALL - {"SYS_RESOURCE"}, False, 1, swap=False, kmsg=True, modules=False)
LAPTOP = host.Host(ALL, True, 2, swap=True, kmsg=True, modules=True)
RANGES = spec.free_ranges([])
ADDRESSES = {name: RANGES.address(name) for name in ("cp1", "w1", "w2")}


@pytest.fixture
def keys(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setattr(paths, "DEFAULT_INVENTORY", tmp_path / "inventory" / "lab")
    return ssh.ensure_keys("lab")


def write(keys, given="", addresses=ADDRESSES, ranges=RANGES):
    return inventory.write("lab", addresses, keys, ranges, lambda: "1.20.2", given)


def variables(folder):
    return (folder / "group_vars" / "all.yml").read_text()


def test_the_model_accepts_what_the_lab_writes(keys):
    keys.pin(ADDRESSES)
    cluster = model.load(write(keys))
    assert [node.name for node in cluster.nodes] == ["cp1", "w1", "w2"]
    assert cluster.config.kubernetes_version == "1.20.2"
    assert cluster.config.image_mirror == "http://198.18.0.2:5000"
    assert cluster.node("w1").ssh.known_hosts == str(keys.known_hosts)
    assert cluster.node("w1").ssh.key_file == str(keys.private_key)


def test_other_labs_have_folders_of_their_own(keys):
    assert inventory.directory("lab").name == "lab"
    assert inventory.directory("blue").name == "lab-blue"


def test_edits_survive_a_second_up(keys):
    folder = write(keys)
    path = folder / "group_vars" / "all.yml"
    path.write_text(variables(folder).replace("kube_proxy_mode: iptables", "kube_proxy_mode: nftables # mine"))
    write(keys, addresses=ADDRESSES | {"w3": RANGES.address("w3")})
    assert "kube_proxy_mode: nftables # mine" in variables(folder)
    assert "w3" in (folder / "hosts.yml").read_text()
    assert not inventory.is_as_written("lab")


def test_a_version_that_is_given_changes_that_line_alone(keys):
    folder = write(keys)
    before = variables(folder)
    write(keys, given="1.36.2")
    assert variables(folder) == before.replace("1.20.2", "1.36.2")
    assert inventory.is_as_written("lab")


def test_a_version_that_is_given_is_not_looked_up(keys):
    def never():
        raise AssertionError

    inventory.write("lab", ADDRESSES, keys, RANGES, never, "1.35.1")
    assert "kubernetes_version: 1.35.1" in variables(inventory.directory("lab"))


def test_addresses_of_an_earlier_subnet_follow_the_lab_and_a_users_own_stay(keys):
    folder = write(keys)
    path = folder / "group_vars" / "all.yml"
    path.write_text(variables(folder).replace("service_cidr: 198.18.16.0/20", "service_cidr: 10.96.0.0/16"))
    write(keys, ranges=spec.free_ranges(["198.18.0.0/18"]))
    content = yaml.safe_load(variables(folder))
    assert content["pod_cidr"] == "198.18.96.0/19"
    assert content["image_mirror"] == "http://198.18.64.2:5000"
    assert content["service_cidr"] == "10.96.0.0/16"


def test_a_restricted_machine_gets_the_variables_that_it_needs():
    found = inventory.role_keys(CLOSED)
    assert found["containerd_restrict_oom_score_adj"] is True
    assert found["containerd_unit_oom_score_adjust"] == 0
    assert (found["kubelet_oom_score_adj"], found["kube_proxy_oom_score_adj"]) == (0, 0)
    assert (found["containerd_cgroup_driver"], found["kubelet_cgroup_driver"]) == ("cgroupfs", "cgroupfs")
    assert found["kubelet_fail_cgroup_v1"] is False
    assert "kubelet_fail_swap_on" not in found


def test_an_ordinary_machine_gets_no_variable_that_it_does_not_need():
    assert inventory.role_keys(LAPTOP) == {
        "kube_proxy_conntrack_max_per_core": 0,
        "kubelet_fail_swap_on": False,
        "node_swap_off": False,
    }


def test_no_variable_is_written_that_no_role_takes(monkeypatch):
    monkeypatch.setattr(inventory, "role_variables", lambda: frozenset({"kubelet_oom_score_adj"}))
    assert inventory.role_keys(CLOSED) == {"kubelet_oom_score_adj": 0}


def test_a_key_that_is_absent_is_added_at_the_end():
    assert inventory.set_key("a: 1\n", "b", "2") == "a: 1\nb: 2\n"
    assert inventory.set_key("a: 1 # why\nab: 3\n", "a", "2") == "a: 2\nab: 3\n"


def test_keys_are_made_once_and_only_for_their_owner(keys):
    before = keys.private_key.read_bytes()
    assert ssh.ensure_keys("lab").private_key.read_bytes() == before
    assert stat.S_IMODE(keys.private_key.stat().st_mode) == 0o600
    assert stat.S_IMODE(keys.folder.stat().st_mode) == 0o700
    assert keys.authorized_key.startswith("ssh-ed25519 ")


def test_every_host_key_is_pinned_before_the_host_exists(keys):
    keys.pin(ADDRESSES)
    lines = keys.known_hosts.read_text().splitlines()
    assert [line.split()[0] for line in lines] == list(ADDRESSES.values())
    assert len({line.split()[2] for line in lines}) == 3


def test_waiting_for_a_login_ends_when_the_node_has_ended(keys, monkeypatch):
    def refuse(*_):
        raise OSError("refused")

    def ended():
        raise api.Pyk8sError("pyk8s-lab-w1 ended (exited)")

    monkeypatch.setattr(ssh, "_login", refuse)
    with pytest.raises(api.Pyk8sError, match="ended"):
        ssh.wait_for_login(keys, "w1", "198.18.0.61", ended)
