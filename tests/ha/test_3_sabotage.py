"""What makes a cluster highly available is missing on purpose, and exactly the right checks see it."""

import pytest

from tests.ha.conftest import LAB
from tests.sabotage import Sabotage, edit, notices

BYSTANDERS = ("apiserver-answers", "apiserver-load-balancer", "etcd-objects", "nodes-ready")
ANOTHER_AUTHORITY = (
    "mkdir -p /run/kept && cp -p /etc/etcd/pki/peer.* /run/kept/ && "
    "cp /etc/kubernetes/pki/apiserver.crt /etc/etcd/pki/peer.crt && "
    "cp /etc/kubernetes/pki/apiserver.key /etc/etcd/pki/peer.key && "
    "chown etcd:etcd /etc/etcd/pki/peer.* && (systemctl restart --no-block etcd; sleep 8)"
)
ITS_OWN = "cp -p /run/kept/peer.* /etc/etcd/pki/ && systemctl reset-failed etcd; systemctl restart etcd"

CASES = [
    Sabotage(
        "a load balancer with one backend",
        "w1",
        *edit("/etc/haproxy/haproxy.cfg", "/server cp[23] .*:6443/d; /kube-apiservers.cp[23]/d", "haproxy"),
        ("apiserver-backends",),
        ("apiserver-ready", "controller-one-leader"),
    ),
    Sabotage(
        "a controller manager without leader election",
        "cp2",
        *edit(
            "/etc/systemd/system/kube-controller-manager.service",
            "s/--leader-elect=true/--leader-elect=false/",
            "kube-controller-manager",
            reload=True,
        ),
        ("controller-one-leader",),
        ("controller-leader", "scheduler-one-leader", "apiserver-backends"),
    ),
    Sabotage(
        "an etcd member with a peer certificate of another authority",
        "cp3",
        ANOTHER_AUTHORITY,
        ITS_OWN,
        ("etcd-health", "etcd-agreement"),
        ("controller-one-leader",),
    ),
    Sabotage(
        "a runtime that takes its containers with it",
        "w2",
        *edit(
            "/etc/systemd/system/containerd.service",
            "s/KillMode=process/KillMode=control-group/",
            "containerd",
            reload=True,
        ),
        ("fault-runtime-restarts",),
        ("fault-kubelet-restarts",),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title.replace(" ", "-"))
def test_exactly_the_right_checks_notice(case, cluster, shells):
    notices(LAB, shells, case, BYSTANDERS)
