"""Which certificates a cluster has: one table, from which everything else follows.

Subjects and authorities are those of "PKI certificates and requirements" in the Kubernetes documentation. Every
machine gets keys of its own: where several machines play one part (kube-scheduler, say) each has its certificate.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from enum import Enum

from pyk8s.cluster.model import Cluster, Node
from pyk8s.errors import Pyk8sError

CLUSTER_ADMINS = "pyk8s:cluster-admins"
"""Group of ``admin``; an RBAC binding to ``cluster-admin`` gives it its rights, so they can be taken away again."""
KUBELET_API = "pyk8s:kubelet-api"
"""Group of the apiserver as a client of kubelets, to be bound to ``system:kubelet-api-admin``."""
HEALTH_USER = "pyk8s:health"
"""User that may read ``/readyz`` and no more: ``system:public-info-viewer`` lets all who are authenticated do so."""
MAX_COMMON_NAME = 64
"""Characters in a common name (RFC 5280, ub-common-name)."""


class Signer(Enum):
    """A certificate authority; the value is the stem of its files."""

    KUBERNETES = "ca"
    ETCD = "etcd-ca"
    FRONT_PROXY = "front-proxy-ca"


class Usage(Enum):
    """What a leaf may be used for (extendedKeyUsage)."""

    CLIENT = "client"
    SERVER = "server"


@dataclasses.dataclass(frozen=True)
class Leaf:
    """A certificate that is wanted. ``node`` is the machine that holds its key, None for the controller."""

    name: str
    common_name: str
    authority: Signer
    usages: frozenset[Usage]
    organization: str = ""
    sans: tuple[str, ...] = ()
    node: str | None = None

    @property
    def stem(self) -> str:
        """Path of its files below the PKI folder, without ``.crt`` or ``.key``."""
        return f"nodes/{self.node}/{self.name}" if self.node else self.name


@dataclasses.dataclass(frozen=True)
class _Kind:
    """A row of the table: one leaf for every node that ``where`` accepts."""

    name: str
    where: Callable[[Node], bool]
    authority: Signer
    usages: frozenset[Usage]
    common_name: str
    organization: str = ""
    sans: Callable[[Cluster, Node], tuple[str, ...]] = lambda _cluster, _node: ()


def _api_names(cluster: Cluster, node: Node) -> tuple[str, ...]:
    service = ("kubernetes", "kubernetes.default", "kubernetes.default.svc")
    inside = f"kubernetes.default.svc.{cluster.config.cluster_domain}"
    own = (node.name, "localhost", node.address, "127.0.0.1")
    shared = (cluster.api_host, *filter(None, [cluster.config.api_virtual_ip]))
    return (*own, *shared, *service, inside, cluster.kubernetes_service_ip)


def _node_names(_cluster: Cluster, node: Node) -> tuple[str, ...]:
    return (node.name, node.address)


def _local_names(_cluster: Cluster, node: Node) -> tuple[str, ...]:
    return (node.name, "localhost", node.address, "127.0.0.1")


def _control_plane(node: Node) -> bool:
    return node.is_control_plane


def _etcd(node: Node) -> bool:
    return node.is_etcd


def _etcd_or_front(node: Node) -> bool:
    return node.is_etcd or node.is_control_plane


def _kubernetes(node: Node) -> bool:
    return node.runs_kubelet


_CLIENT = frozenset({Usage.CLIENT})
_SERVER = frozenset({Usage.SERVER})
_BOTH = _CLIENT | _SERVER
_K8S, _ETCD, _FRONT = Signer.KUBERNETES, Signer.ETCD, Signer.FRONT_PROXY

# etcd's server certificate is a client's too: its own JSON gateway dials the server with it.
_PER_NODE = (
    _Kind("etcd-server", _etcd, _ETCD, _BOTH, "{node}", sans=_local_names),
    _Kind("etcd-peer", _etcd, _ETCD, _BOTH, "{node}", sans=_local_names),
    _Kind("etcd-health", _etcd_or_front, _ETCD, _CLIENT, "pyk8s:etcd-health"),
    _Kind("apiserver", _control_plane, _K8S, _SERVER, "kube-apiserver", sans=_api_names),
    _Kind("apiserver-kubelet-client", _control_plane, _K8S, _CLIENT, "kube-apiserver-kubelet-client", KUBELET_API),
    _Kind("apiserver-etcd-client", _control_plane, _ETCD, _CLIENT, "kube-apiserver-etcd-client"),
    _Kind("front-proxy-client", _control_plane, _FRONT, _CLIENT, "front-proxy-client"),
    _Kind("controller-manager", _control_plane, _K8S, _CLIENT, "system:kube-controller-manager"),
    _Kind("scheduler", _control_plane, _K8S, _CLIENT, "system:kube-scheduler"),
    _Kind("kubelet-client", _kubernetes, _K8S, _CLIENT, "system:node:{node}", "system:nodes"),
    _Kind("kubelet-server", _kubernetes, _K8S, _SERVER, "{node}", sans=_node_names),
    _Kind("kube-proxy", _kubernetes, _K8S, _CLIENT, "system:kube-proxy"),
    _Kind("health", _kubernetes, _K8S, _CLIENT, HEALTH_USER),
)

_ON_CONTROLLER = (
    Leaf("admin", "kubernetes-admin", _K8S, _CLIENT, CLUSTER_ADMINS),
    Leaf("super-admin", "kubernetes-super-admin", _K8S, _CLIENT, "system:masters"),
)


def leaves(cluster: Cluster) -> tuple[Leaf, ...]:
    """Return every leaf certificate of the cluster: the controller's, then node by node.

    Raises Pyk8sError when a node's name is too long for a certificate's subject.
    """
    return (*_ON_CONTROLLER, *(leaf for node in cluster.nodes for leaf in _leaves_of(cluster, node)))


def _leaves_of(cluster: Cluster, node: Node) -> tuple[Leaf, ...]:
    return tuple(
        Leaf(
            name=kind.name,
            common_name=_common_name(kind, node),
            authority=kind.authority,
            usages=kind.usages,
            organization=kind.organization,
            sans=tuple(dict.fromkeys(kind.sans(cluster, node))),
            node=node.name,
        )
        for kind in _PER_NODE
        if kind.where(node)
    )


def _common_name(kind: _Kind, node: Node) -> str:
    name = kind.common_name.format(node=node.name)
    if len(name) > MAX_COMMON_NAME:
        room = MAX_COMMON_NAME - len(kind.common_name.format(node=""))
        raise Pyk8sError(
            f"{node.name}: no certificate {kind.name} can be issued to this node",
            f"its common name {name} has {len(name)} characters, {MAX_COMMON_NAME} are allowed",
            f"give the node a name of at most {room} characters",
        )
    return name
