"""The few calls to the Kubernetes API that an installation needs, over mutual TLS."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from pyk8s.cluster.model import Cluster
from pyk8s.errors import Pyk8sError

FIELD_MANAGER = "pyk8s"
CONNECT_SECONDS = 3
RETRY_SECONDS = 10


class KubeApi:
    """A client with the break-glass certificate, which works before any RBAC object exists."""

    def __init__(self, cluster: Cluster, directory: Path | None = None) -> None:
        pki = directory or cluster.directory / "pki"
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "super-admin.crt", pki / "super-admin.key")
        self._bases = list(cluster.api_urls)
        self._http = httpx.Client(verify=context, timeout=httpx.Timeout(30, connect=CONNECT_SECONDS))
        self._resources: dict[str, dict[str, tuple[str, bool]]] = {}

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Make one call; where one way to the API does not answer the others are tried, for ten seconds.

        Raises Pyk8sError when it stays unreachable.
        """
        deadline = time.monotonic() + RETRY_SECONDS
        while True:
            try:
                return self._http.request(method, self._bases[0] + path, **options)
            except httpx.TransportError as error:
                if time.monotonic() > deadline:
                    where = f"the API at {', '.join(sorted(self._bases))} does not answer"
                    raise Pyk8sError(where, str(error), "fab health says which part is down") from error
                self._bases.append(self._bases.pop(0))
                time.sleep(0.5 / len(self._bases))

    def get(self, path: str) -> dict[str, Any] | None:
        """Return an object, None when it does not exist."""
        answer = self.request("GET", path)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        return self._checked(answer, path)

    def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object in a collection; raises Pyk8sError when the server refuses it."""
        return self._checked(self.request("POST", path, json=body), path)

    def apply(self, manifest: Mapping[str, Any], *, dry_run: bool = False) -> bool:
        """Apply a manifest on the server's side; return whether the server says that it changed.

        See https://kubernetes.io/docs/reference/using-api/server-side-apply/ - the answer is the object as the server
        has it now. Its resourceVersion says too little: a Node's changes with every status that its kubelet sends.
        """
        path = self.path_of(manifest)
        before = self.get(path)
        options = {"fieldManager": FIELD_MANAGER, "force": "true", **({"dryRun": "All"} if dry_run else {})}
        headers = {"Content-Type": "application/apply-patch+yaml"}
        after = self._checked(self.request("PATCH", path, params=options, json=manifest, headers=headers), path)
        if before is None:
            return True
        return _essence(before) != _essence(after)

    def path_of(self, manifest: Mapping[str, Any]) -> str:
        """Return the path of a manifest's object; raises Pyk8sError for a kind that the server does not know."""
        version, kind = manifest["apiVersion"], manifest["kind"]
        base = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if base not in self._resources:
            listed = self._checked(self.request("GET", base), base)["resources"]
            self._resources[base] = {r["kind"]: (r["name"], r["namespaced"]) for r in listed if "/" not in r["name"]}
        if kind not in self._resources[base]:
            raise Pyk8sError(f"the server knows no {kind} in {version}", "its version may lack it")
        plural, namespaced = self._resources[base][kind]
        metadata = manifest["metadata"]
        scope = f"/namespaces/{metadata.get('namespace', 'default')}" if namespaced else ""
        return f"{base}{scope}/{plural}/{metadata['name']}"

    @staticmethod
    def _checked(answer: httpx.Response, path: str) -> dict[str, Any]:
        if answer.is_success:
            found: dict[str, Any] = answer.json()
            return found
        try:
            message = answer.json()["message"]
        except (ValueError, KeyError):
            message = answer.text[:400]
        raise Pyk8sError(f"the API refused {answer.request.method} {path}", f"{answer.status_code}: {message}")


def _essence(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object without its status, which others write all the time, and the server's bookkeeping."""
    kept = {key: value for key, value in found.items() if key not in {"metadata", "status"}}
    ours = {k: v for k, v in found["metadata"].items() if k not in {"generation", "managedFields", "resourceVersion"}}
    return {**kept, "metadata": ours}
