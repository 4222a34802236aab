"""The typed model of a cluster: its configuration and its nodes, and what follows from both."""

from __future__ import annotations

import dataclasses
import ipaddress
from pathlib import Path

from pyk8s import paths
from pyk8s.cluster.config import ClusterConfig

LOCAL_API_PORT = 7443
"""Where every node's own haproxy listens, on 127.0.0.1, for the API of all control planes."""
LOCAL_ETCD_PORT = 2378
"""Where a control plane's own haproxy listens, on 127.0.0.1, for etcd's members."""


@dataclasses.dataclass(frozen=True)
class SshTarget:
    """How a node is reached: what Ansible's connection variables say."""

    host: str
    port: int = 22
    user: str = "root"
    key_file: str = ""
    known_hosts: str = ""


@dataclasses.dataclass(frozen=True)
class Taint:
    """What keeps pods that do not tolerate it away from a node."""

    key: str
    effect: str

    @property
    def text(self) -> str:
        """The taint as a kubelet's flag takes it: ``key=value:effect``, with no value."""
        return f"{self.key}=:{self.effect}"


CONTROL_PLANE_LABEL = "node-role.kubernetes.io/control-plane"
"""Label and taint of control planes, see https://kubernetes.io/docs/reference/labels-annotations-taints/"""


@dataclasses.dataclass(frozen=True)
class Node:
    """One machine. ``address`` is its IPv4 address towards the other nodes."""

    name: str
    address: str
    groups: frozenset[str]
    ssh: SshTarget

    @property
    def is_control_plane(self) -> bool:
        """Whether it runs kube-apiserver, kube-controller-manager and kube-scheduler."""
        return "control_plane" in self.groups

    @property
    def is_etcd(self) -> bool:
        """Whether it is an etcd member."""
        return "etcd" in self.groups

    @property
    def is_worker(self) -> bool:
        """Whether ordinary pods are scheduled to it."""
        return "workers" in self.groups

    @property
    def runs_kubelet(self) -> bool:
        """Whether it is a Kubernetes node: workers and control planes are, machines of etcd alone are not."""
        return self.is_control_plane or self.is_worker

    @property
    def taints(self) -> tuple[Taint, ...]:
        """The taints it is registered with: ordinary pods stay away from a control plane that is no worker."""
        return () if self.is_worker else (Taint(CONTROL_PLANE_LABEL, "NoSchedule"),)


@dataclasses.dataclass(frozen=True)
class Cluster:
    """A validated inventory. Nodes stand in the order of the inventory."""

    config: ClusterConfig
    nodes: tuple[Node, ...]

    @property
    def name(self) -> str:
        """The cluster's name."""
        return self.config.cluster_name

    @property
    def minor(self) -> int:
        """The Kubernetes minor, 36 for 1.36.2."""
        return self.config.minor

    @property
    def control_plane(self) -> tuple[Node, ...]:
        """The control planes."""
        return tuple(node for node in self.nodes if node.is_control_plane)

    @property
    def etcd(self) -> tuple[Node, ...]:
        """The etcd members."""
        return tuple(node for node in self.nodes if node.is_etcd)

    @property
    def workers(self) -> tuple[Node, ...]:
        """The workers."""
        return tuple(node for node in self.nodes if node.is_worker)

    @property
    def kubernetes_nodes(self) -> tuple[Node, ...]:
        """All that ``kubectl get nodes`` shall list."""
        return tuple(node for node in self.nodes if node.runs_kubelet)

    @property
    def api_host(self) -> str:
        """The name or address that clients outside use; the first control plane where none is given."""
        return self.config.api_endpoint or self.config.api_virtual_ip or self.control_plane[0].address

    @property
    def api_url(self) -> str:
        """The API as clients outside reach it."""
        return self.api_url_of(self.api_host)

    @property
    def api_urls(self) -> tuple[str, ...]:
        """Every way to the API, the clients' own first: no control plane is special, the first one may be down."""
        hosts = (self.api_host, *(node.address for node in self.control_plane))
        return tuple(dict.fromkeys(self.api_url_of(host) for host in hosts))

    def api_url_of(self, host: str) -> str:
        """The API at one host."""
        return f"https://{host}:{self.config.api_port}"

    @property
    def local_api_url(self) -> str:
        """The API as a node reaches it: its own haproxy."""
        return f"https://127.0.0.1:{LOCAL_API_PORT}"

    @property
    def local_api_port(self) -> int:
        """The port of a node's own haproxy."""
        return LOCAL_API_PORT

    @property
    def local_etcd_port(self) -> int:
        """The port of a control plane's own haproxy before etcd."""
        return LOCAL_ETCD_PORT

    def backends(self, node: Node) -> tuple[str, ...]:
        """What a node's own haproxy leads to: every apiserver and, on a control plane, every etcd member."""
        etcd = self.etcd if node.is_control_plane else ()
        return (*(f"kube-apiservers/{one.name}" for one in self.control_plane), *(f"etcd/{one.name}" for one in etcd))

    @property
    def etcd_endpoints(self) -> tuple[str, ...]:
        """Client URLs of all members."""
        return tuple(f"https://{node.address}:2379" for node in self.etcd)

    @property
    def etcd_quorum(self) -> int:
        """How many members must agree: more than half."""
        return len(self.etcd) // 2 + 1

    @property
    def virtual_router_id(self) -> int:
        """What tells the virtual IP's VRRP packets from those of others on the network: its last octet (1 to 255)."""
        return max(1, ipaddress.IPv4Address(self.config.api_virtual_ip).packed[3])

    @property
    def etcd_initial_cluster(self) -> str:
        """The ``name=peer-URL`` list that every member starts with."""
        return ",".join(f"{node.name}=https://{node.address}:2380" for node in self.etcd)

    @property
    def kubernetes_service_ip(self) -> str:
        """The first address of the service range, that of the Service ``kubernetes``."""
        return str(ipaddress.ip_network(self.config.service_cidr)[1])

    @property
    def dns_service_ip(self) -> str:
        """The tenth address of the service range, that of CoreDNS."""
        return str(ipaddress.ip_network(self.config.service_cidr)[10])

    @property
    def directory(self) -> Path:
        """``clusters/<name>`` on the controller."""
        return paths.cluster_dir(self.name)

    @property
    def tls_cipher_suites(self) -> tuple[str, ...]:
        """The TLS 1.2 suites that servers offer: authenticated encryption and forward secrecy only (CIS 1.2.29)."""
        return tuple(
            f"TLS_ECDHE_{key}_WITH_{cipher}"
            for key in ("ECDSA", "RSA")
            for cipher in ("AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256")
        )

    @staticmethod
    def vxlan_mac(node: Node) -> str:
        """The hardware address of a node's VXLAN interface: locally administered, and known from its IPv4 address."""
        return ":".join(["02", "78", *(f"{octet:02x}" for octet in ipaddress.IPv4Address(node.address).packed)])

    def node(self, name: str) -> Node:
        """Return the node of that name; KeyError when there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)
