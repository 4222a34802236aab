"""Kubernetes objects as plain dicts, over the client's own connection pool and credentials.

The typed client checks what it sends and receives against the newest schema; the verifier must be able to send an
invalid object and to read an old server's, so it speaks JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kubernetes import client
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import MaxRetryError

from pyk8s.errors import Pyk8sError

Manifest = dict[str, Any]
CORE = "ConfigMap Endpoints Event Namespace Node PersistentVolume PersistentVolumeClaim Pod Secret Service"
APPS = "Deployment ReplicaSet StatefulSet DaemonSet"
RBAC = "Role RoleBinding ClusterRole ClusterRoleBinding"
GROUPS: dict[str, str] = {
    **dict.fromkeys(CORE.split(), "v1"),
    "ServiceAccount": "v1",
    **dict.fromkeys(APPS.split(), "apps/v1"),
    **dict.fromkeys(RBAC.split(), "rbac.authorization.k8s.io/v1"),
    "CronJob": "batch/v1",
    "EndpointSlice": "discovery.k8s.io/v1",
    "Job": "batch/v1",
    "Lease": "coordination.k8s.io/v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "PodDisruptionBudget": "policy/v1",
    "PriorityClass": "scheduling.k8s.io/v1",
    "StorageClass": "storage.k8s.io/v1",
}
BETA_BEFORE_1_21 = frozenset({"CronJob", "EndpointSlice", "PodDisruptionBudget"})
PLURALS = {"Endpoints": "endpoints", "NetworkPolicy": "networkpolicies"}
CLUSTER_SCOPED = frozenset(
    {"Namespace", "Node", "PersistentVolume", "ClusterRole", "ClusterRoleBinding", "PriorityClass", "StorageClass"}
)
MERGE = "application/merge-patch+json"


def reason(error: Exception) -> str:
    """Say an error in one line: the API's own message where there is one."""
    if isinstance(error, ApiException):
        try:
            message = json.loads(error.body or "").get("message", "")
        except (ValueError, AttributeError):
            message = str(error.body or "").strip()[:300]
        return f"{error.status} {error.reason or ''}: {message}".strip(": ")
    if isinstance(error, Pyk8sError):
        return " ".join(str(error).split())[:800]
    if isinstance(error, MaxRetryError):
        return f"no answer from the API: {error.reason}"
    return " ".join(f"{type(error).__name__}: {error}".split())[:500]


class Objects:
    """Reads and writes objects. ``minor`` is the server's; kinds are as in a manifest, ``CronJob``."""

    def __init__(self, api: client.ApiClient, minor: int) -> None:
        self.api = api
        self.minor = minor

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        timeout: float = 15,
    ) -> str:
        """Send one request and return the answer's text; raises ApiException from status 400 on."""
        headers = {"Accept": "application/json, */*", "Content-Type": content_type}
        request = self.api.param_serialize(
            method, path, query_params=list((query or {}).items()), header_params=headers, body=body,
            auth_settings=["BearerToken"],
        )  # fmt: skip
        answer = self.api.call_api(*request, _request_timeout=(5, timeout))
        text = bytes(answer.read() or b"").decode("utf-8", "replace")  # type: ignore[no-untyped-call]
        if not 200 <= answer.status <= 299:
            failure = ApiException(status=answer.status, reason=answer.reason)
            failure.body = text
            raise failure
        return text

    def path(self, kind: str, name: str = "", namespace: str | None = None, version: str = "") -> str:
        """Return the URL path of a kind's collection or, with ``name``, of one object; KeyError on an unknown kind."""
        group = version or GROUPS[kind]
        if not version and self.minor < 21 and kind in BETA_BEFORE_1_21:
            group += "beta1"
        base = f"/api/{group}" if "/" not in group else f"/apis/{group}"
        within = f"/namespaces/{namespace}" if namespace and kind not in CLUSTER_SCOPED else ""
        plural = PLURALS.get(kind) or kind.lower() + ("es" if kind.endswith("ss") else "s")
        return f"{base}{within}/{plural}" + (f"/{name}" if name else "")

    def create(self, manifest: Manifest, namespace: str | None = None) -> Manifest:
        """Create what the manifest says and return it as stored."""
        where = namespace or manifest.get("metadata", {}).get("namespace")
        return self._json("POST", self.path(manifest["kind"], "", where, manifest.get("apiVersion", "")), manifest)

    def get(self, kind: str, name: str, namespace: str | None = None) -> Manifest:
        """Return one object."""
        return self._json("GET", self.path(kind, name, namespace))

    def find(self, kind: str, name: str, namespace: str | None = None) -> Manifest | None:
        """Return one object, None when there is none."""
        try:
            return self.get(kind, name, namespace)
        except ApiException as error:
            if error.status == 404:
                return None
            raise

    def list(self, kind: str, namespace: str | None = None, labels: str = "", fields: str = "") -> list[Manifest]:
        """Return the objects of a kind, of all namespaces when none is given, chosen by selectors."""
        query = {key: value for key, value in (("labelSelector", labels), ("fieldSelector", fields)) if value}
        items: list[Manifest] = self._json("GET", self.path(kind, "", namespace), query=query)["items"]
        return items

    def patch(
        self,
        kind: str,
        name: str,
        body: object,
        namespace: str | None = None,
        *,
        sub: str = "",
        content_type: str = MERGE,
    ) -> Manifest:
        """Merge-patch an object (or its subresource, ``sub="status"``) and return it."""
        path = self.path(kind, name, namespace) + (f"/{sub}" if sub else "")
        return self._json("PATCH", path, body, content_type=content_type)

    def delete(self, kind: str, name: str, namespace: str | None = None, grace: int | None = None) -> None:
        """Delete an object, its dependents in the background; no error when it is gone. ``grace`` in seconds."""
        options: Manifest = {"propagationPolicy": "Background"}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        try:
            self.request("DELETE", self.path(kind, name, namespace), options)
        except ApiException as error:
            if error.status != 404:
                raise

    def _json(
        self,
        method: str,
        path: str,
        body: object = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Manifest:
        answer: Manifest = json.loads(self.request(method, path, body, query=query, content_type=content_type))
        return answer
