"""Checks can fail: one thing at a time is broken on purpose, and exactly the right checks see it."""

import pytest

from tests import tools
from tests.e2e.conftest import LAB
from tests.sabotage import Sabotage, edit, notices

BYSTANDERS = ("apiserver-answers", "apiserver-refuses-anonymous", "apiserver-tls", "etcd-health", "etcd-objects")
"""What goes on whatever happens below, unless a case says otherwise."""

NO_CLIENT_CERTIFICATE = "/^client-transport/,/client-cert-auth/{/trusted-ca-file/d;s/auth: true/auth: false/}"
PLAIN_FIRST = r"s/- secretbox:/- identity: {}\n  - secretbox:/"

CASES = [
    Sabotage(
        "a stopped scheduler",
        "cp1",
        "systemctl stop kube-scheduler",
        "systemctl start kube-scheduler",
        ("scheduler-leader", "scheduler-resources"),
        ("controller-leader", "controller-namespace-defaults", "nodes-ready"),
    ),
    Sabotage(
        "a stopped controller manager",
        "cp1",
        "systemctl stop kube-controller-manager",
        "systemctl start kube-controller-manager",
        ("controller-leader", "controller-namespace-defaults"),
        ("scheduler-leader", "nodes-ready"),
    ),
    Sabotage(
        "a stopped load balancer on one node",
        "w2",
        "systemctl stop haproxy",
        "systemctl start haproxy",
        ("apiserver-load-balancer",),
        ("apiserver-ready", "nodes-version"),
    ),
    Sabotage(
        "secrets written in the clear",
        "cp1",
        *edit("/etc/kubernetes/encryption.yaml", PLAIN_FIRST, "kube-apiserver"),
        ("etcd-secrets-encrypted",),
        ("apiserver-same-data", "apiserver-audit"),
    ),
    Sabotage(
        "an etcd that asks for no certificate",
        "cp1",
        *edit("/etc/etcd/etcd.yaml", NO_CLIENT_CERTIFICATE, "etcd"),
        ("etcd-refuses-strangers",),
        ("etcd-data-dir", "etcd-agreement"),
    ),
    Sabotage(
        "a kubelet open to anyone",
        "w1",
        *edit(
            "/etc/kubernetes/kubelet.yaml",
            "/anonymous:/,/enabled/s/false/true/; s/mode: Webhook/mode: AlwaysAllow/",
            "kubelet",
        ),
        ("kubelet-refuses-anonymous",),
        ("nodes-version",),
    ),
    Sabotage(
        "etcd data that anyone may read",
        "cp1",
        "chmod 755 /var/lib/etcd",
        "chmod 700 /var/lib/etcd",
        ("etcd-data-dir",),
        ("etcd-agreement",),
    ),
    Sabotage(
        "service rules gone, and nobody to bring them back",
        "w1",
        "systemctl stop kube-proxy && iptables --table nat --flush KUBE-SERVICES",
        "systemctl start kube-proxy",
        ("kube-proxy-cluster-ip", "kube-proxy-node-port"),
        ("network-pod-to-pod", "kubelet-exec", "nodes-ready"),
    ),
    Sabotage(
        "a lost route to another node's pods",
        "w1",
        "systemctl stop pod-network-refresh.timer && ip route flush proto 96",
        "systemctl restart pod-network",
        ("network-pod-to-pod",),
        ("kubelet-exec", "nodes-ready", "network-addresses"),
    ),
    Sabotage(
        "masquerading gone, and nobody to put it back",
        "w1",
        "systemctl stop pod-network-refresh.timer && nft delete table ip pod_network",
        "systemctl restart pod-network",
        ("network-masquerade",),
        ("network-pod-to-pod", "kube-proxy-cluster-ip"),
    ),
    Sabotage(
        "a dead kubelet",
        "w1",
        "systemctl stop kubelet",
        "systemctl start kubelet",
        ("nodes-ready", "kubelet-refuses-anonymous"),
        ("scheduler-resources", "controller-leader"),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title.replace(" ", "-"))
def test_exactly_the_right_checks_notice(case, cluster, shells):
    settled = wait_until_not_ready if case.title == "a dead kubelet" else None
    notices(LAB, shells, case, BYSTANDERS, settled)


def wait_until_not_ready(shells):
    """Wait until the node controller has noticed, which takes its grace period."""
    api = "curl -fsS --cacert /etc/kubernetes/pki/ca.crt --cert {0}.crt --key {0}.key https://127.0.0.1:6443/api/v1/nodes/w1"
    client = api.format("/etc/kubernetes/pki/apiserver-kubelet-client")
    poll = f"for i in $(seq 120); do {client} | grep -q NodeStatusUnknown && exit 0; sleep 1; done; exit 1"
    shells["cp1"].run(poll, timeout=150)


def test_the_cluster_is_whole_again(cluster):
    ended = tools.playbook(LAB)
    assert ended.code == 0, ended.output[-4000:]
    proven, checks = tools.verify(LAB, "--suite", "smoke")
    assert tools.names(checks, "failed") == set(), proven.output
