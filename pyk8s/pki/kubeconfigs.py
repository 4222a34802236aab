"""Kubeconfigs with everything in them: one file is all that a client needs."""

from __future__ import annotations

import base64
from pathlib import Path

import yaml

from pyk8s.cluster.model import Cluster
from pyk8s.errors import Pyk8sError
from pyk8s.pki.issue import pki_directory
from pyk8s.pki.store import Store, write_atomically


def kubeconfig(ca_pem: bytes, cert_pem: bytes, key_pem: bytes, server: str, cluster_name: str, user: str) -> str:
    """Return a kubeconfig as YAML, certificates and key embedded; ``server`` is the API's URL."""
    context = f"{user}@{cluster_name}"
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": cluster_name, "cluster": {"certificate-authority-data": _base64(ca_pem), "server": server}}
            ],
            "users": [
                {
                    "name": user,
                    "user": {"client-certificate-data": _base64(cert_pem), "client-key-data": _base64(key_pem)},
                }
            ],
            "contexts": [{"name": context, "context": {"cluster": cluster_name, "user": user}}],
            "current-context": context,
        },
        sort_keys=False,
        width=10**6,
    )


def write_admin_kubeconfig(cluster: Cluster, directory: Path | None = None) -> tuple[Path, ...]:
    """Write ``admin.kubeconfig`` and ``super-admin.kubeconfig`` beside the PKI folder, 0600; return those that changed.

    The administrator's rights come from an RBAC binding that the installation applies; until then, and when RBAC is
    broken, the break-glass super-admin has them. Raises Pyk8sError when the certificates have not been issued.
    """
    folder = pki_directory(cluster, directory)
    store = Store(folder)
    changed = []
    with store.lock(shared=True):
        authority = read_issued(store, "ca.crt")
        for name in ("admin", "super-admin"):
            pair = read_issued(store, f"{name}.crt"), read_issued(store, f"{name}.key")
            text = kubeconfig(authority, *pair, cluster.api_url, cluster.name, f"kubernetes-{name}").encode()
            path = folder.parent / f"{name}.kubeconfig"
            if not path.is_file() or path.read_bytes() != text or path.stat().st_mode & 0o777 != 0o600:
                write_atomically(path, text, 0o600)
                changed.append(path)
    return tuple(changed)


def read_issued(store: Store, name: str) -> bytes:
    """Return a file of the PKI; raises Pyk8sError when it has not been issued."""
    content = store.read(name)
    if content is None:
        raise Pyk8sError(
            f"{name} is missing in {store.directory}",
            "it was not issued yet, or it was removed",
            "run `ansible-playbook site.yml`, which issues what is missing",
        )
    return content


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
