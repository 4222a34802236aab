"""Which component runs where, and where it says how it is (docs: "Contracts" of the roles' health endpoints)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from pyk8s.cluster.model import Cluster, Node

CERTIFICATES = ("/etc/kubernetes/pki/*.crt", "/etc/kubernetes/pki/etcd/*.crt", "/etc/etcd/pki/*.crt")
KUBECONFIGS = "/etc/kubernetes/*.kubeconfig"


@dataclasses.dataclass(frozen=True)
class Component:
    """A systemd unit, the nodes it belongs on, and its health endpoint as a node itself reaches it ("" when none).

    ``{address}`` and the ports stand for the node's and the cluster's. ``client``: the endpoint wants the health
    client certificate, and its own is verified.
    """

    unit: str
    short: str
    belongs: Callable[[Node], bool]
    url: str = ""
    client: bool = False

    def endpoint(self, cluster: Cluster, node: Node) -> str:
        """The health endpoint on this node."""
        return self.url.format(address=node.address, api=cluster.config.api_port, local=cluster.local_api_port)


def _member(node: Node) -> bool:
    return node.is_etcd


def _control_plane(node: Node) -> bool:
    return node.is_control_plane


def _kubernetes(node: Node) -> bool:
    return node.runs_kubelet


COMPONENTS = (
    Component("etcd", "etcd", _member, "http://127.0.0.1:2381/health"),
    Component("kube-apiserver", "api", _control_plane, "https://{address}:{api}/readyz", client=True),
    Component("kube-controller-manager", "ctrl", _control_plane, "https://127.0.0.1:10257/healthz"),
    Component("kube-scheduler", "sched", _control_plane, "https://127.0.0.1:10259/healthz"),
    Component("haproxy", "haproxy", _kubernetes, "https://127.0.0.1:{local}/readyz", client=True),
    Component("containerd", "containerd", _kubernetes),
    Component("kubelet", "kubelet", _kubernetes, "http://127.0.0.1:10248/healthz"),
    Component("kube-proxy", "proxy", _kubernetes, "http://127.0.0.1:10256/healthz"),
)


def on(node: Node) -> tuple[Component, ...]:
    """Return the components that belong on the node."""
    return tuple(component for component in COMPONENTS if component.belongs(node))
