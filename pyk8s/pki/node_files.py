"""Which files of the PKI stand where on a node, component by component."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import yaml

from pyk8s.cluster.model import Cluster, Node
from pyk8s.errors import Pyk8sError
from pyk8s.pki.authorities import AUTHORITY_FILES
from pyk8s.pki.issue import ensure, pki_directory
from pyk8s.pki.kubeconfigs import kubeconfig, read_issued
from pyk8s.pki.store import Store

PKI = "/etc/kubernetes/pki"
NOT_YET_ISSUED = b"(issued by the run that is not a preview)\n"
"""What stands in a preview for a file that would be issued."""


@dataclasses.dataclass(frozen=True)
class NodeFile:
    """A file on a node. ``mode`` is octal text; ``secret`` content is never shown."""

    content: bytes = dataclasses.field(repr=False)
    mode: str
    owner: str = "root"
    group: str = "root"
    secret: bool = False


Files = dict[str, NodeFile]


@dataclasses.dataclass(frozen=True)
class _Source:
    """Reads the PKI for one node; what is ``due`` to be issued reads as a placeholder."""

    cluster: Cluster
    node: Node
    store: Store
    due: frozenset[str]

    def read(self, name: str) -> bytes:
        """Return a file by its path below the PKI folder."""
        return NOT_YET_ISSUED if name.rpartition(".")[0] in self.due else read_issued(self.store, name)

    def leaf(self, name: str) -> bytes:
        """Return a file of this node's own certificates."""
        return self.read(f"nodes/{self.node.name}/{name}")

    def kubeconfig(self, leaf: str, user: str) -> NodeFile:
        """Return a kubeconfig for a client on this node, which reaches the API through the node's own haproxy."""
        pair = self.leaf(f"{leaf}.crt"), self.leaf(f"{leaf}.key")
        text = kubeconfig(self.read("ca.crt"), *pair, self.cluster.local_api_url, self.cluster.name, user)
        return _secret(text.encode())


def _secret(content: bytes, owner: str = "root") -> NodeFile:
    return NodeFile(content, "0600", owner, owner, secret=True)


def _public(content: bytes) -> NodeFile:
    return NodeFile(content, "0644")


def _file(name: str, content: bytes, owner: str = "root") -> NodeFile:
    return _public(content) if name.endswith((".crt", ".pub")) else _secret(content, owner)


def _authority_files(source: _Source, *names: str) -> Files:
    return {f"{PKI}/{name}": _file(name, source.read(name)) for name in names}


def _pair(source: _Source, leaf: str, stem: str, owner: str = "root") -> Files:
    return {f"{stem}.{end}": _file(f".{end}", source.leaf(f"{leaf}.{end}"), owner) for end in ("crt", "key")}


def _etcd(source: _Source) -> Files:
    folder = "/etc/etcd/pki"
    files = {f"{folder}/ca.crt": _public(source.read("etcd-ca.crt"))}
    for name in ("server", "peer", "health"):
        files |= _pair(source, f"etcd-{name}", f"{folder}/{name}", owner="etcd")
    return files


def _authorities(source: _Source) -> Files:
    return _authority_files(source, *AUTHORITY_FILES)


def _apiserver(source: _Source) -> Files:
    files = _authority_files(source, "ca.crt", "etcd-ca.crt", "front-proxy-ca.crt", "sa.pub", "sa.key")
    for name in ("apiserver", "apiserver-kubelet-client", "apiserver-etcd-client", "front-proxy-client", "health"):
        files |= _pair(source, name, f"{PKI}/{name}")
    if source.cluster.config.secrets_encryption == "secretbox":
        files["/etc/kubernetes/encryption.yaml"] = _secret(_encryption(source.read("encryption.key")))
    return files


def _encryption(key: bytes) -> bytes:
    """New secrets are written with the key; ``identity`` lets those be read that were written before there was one."""
    secretbox = {"secretbox": {"keys": [{"name": "key1", "secret": key.decode().strip()}]}}
    configuration = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [{"resources": ["secrets"], "providers": [secretbox, {"identity": {}}]}],
    }
    return yaml.safe_dump(configuration, sort_keys=False).encode()


def _controller_manager(source: _Source) -> Files:
    files = _authority_files(source, "ca.crt", "ca.key", "sa.key", "front-proxy-ca.crt")
    user = "system:kube-controller-manager"
    files["/etc/kubernetes/controller-manager.kubeconfig"] = source.kubeconfig("controller-manager", user)
    return files


def _scheduler(source: _Source) -> Files:
    return {"/etc/kubernetes/scheduler.kubeconfig": source.kubeconfig("scheduler", "system:kube-scheduler")}


def _kubelet(source: _Source) -> Files:
    user = f"system:node:{source.node.name}"
    return {
        "/etc/kubernetes/kubelet.kubeconfig": source.kubeconfig("kubelet-client", user),
        **_authority_files(source, "ca.crt"),
        **_pair(source, "kubelet-server", f"{PKI}/kubelet"),
    }


def _kube_proxy(source: _Source) -> Files:
    return {"/etc/kubernetes/kube-proxy.kubeconfig": source.kubeconfig("kube-proxy", "system:kube-proxy")}


def _haproxy(source: _Source) -> Files:
    """Return what proves a node's haproxy to the apiservers, and to etcd on a control plane.

    It reads a .pem as root, before it drops its rights.
    """
    pem = {"/etc/haproxy/pki/health.pem": _secret(source.leaf("health.crt") + source.leaf("health.key"))}
    if source.node.is_control_plane:
        pair = source.leaf("etcd-health.crt") + source.leaf("etcd-health.key")
        pem |= {"/etc/haproxy/pki/etcd.pem": _secret(pair), **_authority_files(source, "etcd-ca.crt")}
    return {
        **pem,
        **_authority_files(source, "ca.crt"),
        **_pair(source, "health", f"{PKI}/health"),
    }


_COMPONENTS: dict[str, tuple[Callable[[Node], bool], Callable[[_Source], Files]]] = {
    "etcd": (lambda node: node.is_etcd, _etcd),
    "haproxy": (lambda node: node.runs_kubelet, _haproxy),
    "kube-apiserver": (lambda node: node.is_control_plane, _apiserver),
    "kube-controller-manager": (lambda node: node.is_control_plane, _controller_manager),
    "kube-proxy": (lambda node: node.runs_kubelet, _kube_proxy),
    "kube-scheduler": (lambda node: node.is_control_plane, _scheduler),
    "kubelet": (lambda node: node.runs_kubelet, _kubelet),
    "pki-authorities": (lambda node: node.is_control_plane, _authorities),
}
COMPONENTS = tuple(_COMPONENTS)
"""The components that have files of the PKI."""


def files_for(
    cluster: Cluster, component: str, node: Node, directory: Path | None = None, *, preview: bool = False
) -> dict[str, NodeFile]:
    """Return the files of the PKI that a component needs on a node, by absolute path; none for one without any.

    ``kube_apiserver`` and ``kube-apiserver`` both name the component. With ``preview`` (check mode) what has yet to be
    issued reads as a placeholder. Raises Pyk8sError when a file is missing, or when the component does not run
    on that node (the authorities' keys thus never reach a worker).
    """
    known = _COMPONENTS.get(component.replace("_", "-"))
    if known is None:
        return {}
    runs_on, files = known
    if not runs_on(node):
        raise Pyk8sError(
            f"{node.name} gets no certificates of {component}",
            f"that component does not run there: the node is in {', '.join(sorted(node.groups)) or 'no group'}",
            "correct the play's hosts, or the node's groups in the inventory",
        )
    folder = pki_directory(cluster, directory)
    due = ensure(cluster, folder, dry_run=True).stems if preview else frozenset()
    store = Store(folder)
    with store.lock(shared=True):
        return files(_Source(cluster, node, store, due))
