"""Three control planes are one: an address that one of them holds, load balancers over all, one leader of each kind."""

import os
import re
from pathlib import Path

import pytest
import testinfra
import yaml

KEYS = "--cacert /etc/kubernetes/pki/ca.crt --cert /etc/kubernetes/pki/health.crt --key /etc/kubernetes/pki/health.key"
NAMES = ("cp1", "cp2", "cp3")


@pytest.fixture
def virtual_ip(host):
    found = re.search(
        r"virtual_ipaddress \{\s+([0-9.]+)/32", host.file("/etc/keepalived/keepalived.conf").content_string
    )
    return found[1]


@pytest.fixture
def everywhere():
    folder = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"]) / "inventory" / "lab-molecule-ha"
    return testinfra.get_hosts(["ansible://control_plane"], ansible_inventory=str(folder))


@pytest.mark.parametrize(
    "unit", ["haproxy", "keepalived", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]
)
def test_every_part_runs_and_is_enabled(host, unit):
    assert host.service(unit).is_running
    assert host.service(unit).is_enabled


def test_the_api_answers_at_the_virtual_ip(host, virtual_ip):
    assert host.check_output(f"curl -sS {KEYS} https://{virtual_ip}:6443/readyz") == "ok"


def test_exactly_one_control_plane_holds_the_virtual_ip(everywhere, virtual_ip):
    shown = [one.check_output("ip -o -4 address show") for one in everywhere]
    assert len(shown) == len(NAMES)
    assert sum(f" {virtual_ip}/32 " in text for text in shown) == 1


@pytest.mark.parametrize("name", NAMES)
def test_the_load_balancer_leads_to_every_apiserver_and_every_member(host, name):
    for backend in ("kube-apiservers", "etcd"):
        code = host.check_output(f"curl -s -o /dev/null -w '%{{http_code}}' http://127.0.0.1:7444/up/{backend}/{name}")
        assert code == "200", backend


def test_the_apiserver_asks_etcd_through_its_own_load_balancer(host):
    assert "--etcd-servers=https://127.0.0.1:2378" in host.check_output("ps -C kube-apiserver -o args=")


def test_the_check_of_the_virtual_ip_is_roots_alone(host):
    check = host.file("/etc/keepalived/apiserver-is-ready")
    assert (check.user, check.mode) == ("root", 0o700)
    assert host.run("/etc/keepalived/apiserver-is-ready").rc == 0


def test_configurations_are_whole(host):
    assert host.run("haproxy -c -f /etc/haproxy/haproxy.cfg").rc == 0
    assert host.run("keepalived --config-test --use-file=/etc/keepalived/keepalived.conf").rc == 0
    assert yaml.safe_load(host.file("/etc/etcd/etcd.yaml").content_string)["initial-cluster"].count("https://") == 3
