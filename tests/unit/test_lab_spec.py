"""What a lab consists of, where it lies, and what this machine can give."""

import ipaddress

import pytest

from pyk8s.errors import Pyk8sError
from pyk8s.lab import host, spec


def test_the_default_lab_is_one_control_plane_and_two_workers():
    assert spec.LabSpec().machine_names == ("cp1", "w1", "w2")


@pytest.mark.parametrize(
    ("wish", "complaint"),
    [
        ({"name": "Not_A_Label"}, "small letters"),
        ({"control_planes": 0}, "at least one control plane"),
        ({"workers": -1}, "out of range"),
        ({"workers": 31}, "out of range"),
        ({"control_planes": 9, "workers": 30}, "room for 32"),
        ({"etcd": 2}, "even number"),
    ],
)
def test_an_impossible_lab_is_refused_with_the_reason(wish, complaint):
    with pytest.raises(Pyk8sError, match="no such lab") as refused:
        spec.LabSpec(**wish)
    assert complaint in refused.value.why


def test_a_lab_of_one_machine_is_an_all_in_one_node():
    assert spec.groups(["cp1"]) == {"control_plane": ("cp1",), "etcd": ("cp1",), "workers": ("cp1",)}


def test_a_control_plane_is_no_worker_where_there_are_workers():
    assert spec.groups(["w2", "w1", "cp1"])["workers"] == ("w1", "w2")


def test_etcd_runs_on_an_odd_number_of_control_planes():
    assert spec.groups(["cp1", "cp2", "w1"])["etcd"] == ("cp1",)
    assert spec.groups(["cp1", "cp2", "cp3"])["etcd"] == ("cp1", "cp2", "cp3")


def test_machines_for_etcd_alone_take_it_off_the_control_planes():
    found = spec.groups(["cp1", "etcd1", "etcd2", "etcd3", "w1"])
    assert found == {"control_plane": ("cp1",), "etcd": ("etcd1", "etcd2", "etcd3"), "workers": ("w1",)}


def test_the_first_free_subnet_is_taken():
    assert str(spec.free_ranges([]).subnet) == "198.18.0.0/18"
    assert str(spec.free_ranges(["172.17.0.0/16", "198.18.0.0/18", "198.18.64.0/24"]).subnet) == "198.18.128.0/18"


def test_an_ipv6_network_of_the_engine_takes_no_subnet():
    assert str(spec.free_ranges(["fd00::/64"]).subnet) == "198.18.0.0/18"


def test_a_full_pool_is_said():
    with pytest.raises(Pyk8sError, match="no subnet"):
        spec.free_ranges(["198.18.0.0/15"])


def test_nodes_services_and_pods_share_the_subnet_and_do_not_overlap():
    ranges = spec.free_ranges([])
    assert (str(ranges.services), str(ranges.pods)) == ("198.18.16.0/20", "198.18.32.0/19")
    assert not ranges.services.overlaps(ranges.pods)
    addresses = [ranges.gateway, ranges.registry, *map(ranges.address, spec.LabSpec(workers=30, etcd=9).machine_names)]
    assert len(set(addresses)) == len(addresses)
    assert all(ipaddress.ip_address(each) in ipaddress.ip_network("198.18.0.0/24") for each in addresses)


def test_a_machine_keeps_its_address_whatever_else_comes_and_goes():
    assert [spec.free_ranges([]).address(name) for name in ("cp1", "etcd1", "w2")] == [
        "198.18.0.11",
        "198.18.0.41",
        "198.18.0.62",
    ]


def test_capabilities_are_read_from_the_bounding_set():
    names, complete = host.parse_capabilities("000001fffeffffff", 40)
    assert not complete
    assert set(host.CAPABILITIES) - names == {"SYS_RESOURCE"}


def test_an_ordinary_machine_has_all_capabilities():
    assert host.parse_capabilities("000001ffffffffff", 40)[1]
    assert host.parse_capabilities("0000003fffffffff", 37)[1]


def test_an_old_engine_is_not_asked_for_capabilities_that_it_does_not_know():
    names = frozenset({"SYS_ADMIN", "BPF"})
    assert host.known_to_engine(names, "20.10.24+dfsg1") == {"SYS_ADMIN"}
    assert host.known_to_engine(names, "28.2.2") == names


def test_too_little_room_is_an_error_that_says_how_much_is_needed(tmp_path):
    with pytest.raises(Pyk8sError, match="not enough room") as refused:
        host.check_room(tmp_path / "not" / "there", needed=10**18)
    assert "the lab needs" in refused.value.why


def test_a_system_other_than_linux_is_refused(monkeypatch):
    monkeypatch.setattr(host.platform, "system", lambda: "Darwin")
    with pytest.raises(Pyk8sError, match="needs Linux, this is Darwin"):
        host.examine()
