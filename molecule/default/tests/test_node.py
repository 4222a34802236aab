"""What an all-in-one node must look like from the inside."""

import json

import pytest

UNITS = {
    "etcd": "http://127.0.0.1:2381/health",
    "kube-apiserver": None,
    "haproxy": "http://127.0.0.1:7444/readyz",
    "kube-controller-manager": "https://127.0.0.1:10257/healthz",
    "kube-scheduler": "https://127.0.0.1:10259/healthz",
    "containerd": None,
    "kubelet": "http://127.0.0.1:10248/healthz",
    "kube-proxy": "http://127.0.0.1:10256/healthz",
}
API = "curl -sS --cacert /etc/kubernetes/pki/ca.crt"
HEALTH = "--cert /etc/kubernetes/pki/health.crt --key /etc/kubernetes/pki/health.key"


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_runs_and_starts_with_the_machine(host, unit):
    service = host.service(unit)
    assert service.is_running
    assert service.is_enabled


@pytest.mark.parametrize(("unit", "url"), [(unit, url) for unit, url in UNITS.items() if url])
def test_a_component_says_that_it_is_healthy(host, unit, url):
    assert host.run(f"curl -fsSk {url}").rc == 0, unit


def test_the_api_is_ready_behind_the_load_balancer_for_who_has_a_certificate(host):
    assert host.check_output(f"{API} {HEALTH} https://127.0.0.1:7443/readyz") == "ok"


def test_the_api_turns_strangers_away(host):
    assert json.loads(host.check_output(f"{API} https://127.0.0.1:7443/api"))["code"] == 401


@pytest.mark.parametrize("port", [2381, 7443, 7444, 10248, 10249, 10256, 10257, 10259])
def test_what_needs_no_certificate_listens_on_this_machine_alone(host, port):
    listening = host.check_output(f"ss -Hltn 'sport = :{port}'").split()
    assert listening[3] == f"127.0.0.1:{port}"


@pytest.mark.parametrize("folder", ["/etc/kubernetes", "/etc/etcd", "/etc/haproxy"])
def test_keys_and_kubeconfigs_are_readable_by_their_owner_alone(host, folder):
    keys = "-name *.key -o -name *.pem -o -name *.kubeconfig -o -name encryption.yaml"
    loose = f"set -f; find {folder} -type f '(' {keys} ')' -perm /077"
    assert host.check_output(loose) == ""


def test_the_data_of_etcd_belongs_to_etcd_alone(host):
    data = host.file("/var/lib/etcd")
    assert (data.user, data.group, data.mode) == ("etcd", "etcd", 0o700)


def test_a_binary_is_a_link_into_a_versioned_folder(host):
    link = host.file("/usr/local/bin/kubelet")
    assert link.is_symlink
    assert link.linked_to.startswith("/opt/pyk8s/kubelet/")


def test_no_unit_has_failed(host):
    assert host.check_output("systemctl list-units --state=failed --no-legend --plain") == ""
