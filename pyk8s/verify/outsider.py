"""Callers of the API other than the run's own: nobody, a ServiceAccount, somebody who speaks no TLS."""

from __future__ import annotations

import json
import socket
import ssl
from urllib.parse import urlsplit

from kubernetes import client
from kubernetes.client.exceptions import ApiException

from pyk8s.verify.context import Context
from pyk8s.verify.model import CheckFailed
from pyk8s.verify.objects import Manifest, Objects, reason

TOKEN_SECONDS = 600
SECONDS = 5


def token(ctx: Context, namespace: str, account: str = "default") -> str:
    """Return a token of a ServiceAccount, valid for 10 minutes, by a TokenRequest."""
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": TOKEN_SECONDS},
    }
    path = ctx.objects.path("ServiceAccount", account, namespace) + "/token"
    return str(json.loads(ctx.objects.request("POST", path, request))["status"]["token"])


def allow_secrets(ctx: Context, namespace: str, account: str = "default") -> None:
    """Let a ServiceAccount get and list the secrets of its namespace."""
    group = "rbac.authorization.k8s.io"
    meta = {"name": "reader"}
    rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}]
    ctx.apply({"apiVersion": f"{group}/v1", "kind": "Role", "metadata": meta, "rules": rules}, namespace)
    binding: Manifest = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": meta,
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    }
    ctx.apply(binding, namespace)


def get(ctx: Context, path: str, bearer: str = "") -> tuple[int, str]:
    """GET a path as nobody, or with a token, over TLS verified as the kubeconfig says; return status and text."""
    ours = ctx.api.configuration
    settings = client.Configuration(host=ours.host)
    for name in ("ssl_ca_cert", "ca_cert_data", "verify_ssl", "tls_server_name", "proxy", "no_proxy"):
        setattr(settings, name, getattr(ours, name))
    settings.retries = 1
    own = client.ApiClient(settings)
    if bearer:
        own.set_default_header("authorization", f"Bearer {bearer}")  # type: ignore[no-untyped-call]
    try:
        return 200, Objects(own, ctx.version).request("GET", path)
    except ApiException as error:
        return int(error.status or 0), reason(error)
    finally:
        own.close()  # type: ignore[no-untyped-call]


def status_of_create(ctx: Context, manifest: Manifest, namespace: str) -> int:
    """Try to create an object, as a dry run, and return the HTTP status: 201 when it would have been accepted."""
    path = ctx.objects.path(manifest["kind"], "", namespace, manifest["apiVersion"])
    try:
        ctx.objects.request("POST", path, manifest, query={"dryRun": "All"})
    except ApiException as error:
        return int(error.status or 0)
    return 201


def handshake(ctx: Context) -> tuple[str, str]:
    """Shake hands with the API; return the protocol and until when its certificate is valid.

    Raises CheckFailed when the certificate does not verify against the kubeconfig's authority.
    """
    ours = ctx.api.configuration
    trust = ssl.create_default_context(cafile=ours.ssl_ca_cert, cadata=ours.ca_cert_data)
    host, port = _server(ctx)
    try:
        with (
            socket.create_connection((host, port), SECONDS) as plain,
            trust.wrap_socket(plain, server_hostname=ours.tls_server_name or host) as secure,
        ):
            certificate = secure.getpeercert() or {}
            return secure.version() or "", str(certificate.get("notAfter", ""))
    except ssl.SSLError as error:
        raise CheckFailed(f"no verified TLS with {host}:{port}: {error}") from error


def plain_http(ctx: Context) -> str:
    """Ask for the version without TLS; return the status line's code and reason, or that nothing was said."""
    host, port = _server(ctx)
    try:
        with socket.create_connection((host, port), SECONDS) as plain:
            plain.settimeout(SECONDS)
            plain.sendall(b"GET /version HTTP/1.0\r\nHost: x\r\n\r\n")
            first = plain.recv(200).decode("latin-1").splitlines()
    except (ConnectionError, TimeoutError):
        first = []
    return first[0].partition(" ")[2] if first else "no answer"


def _server(ctx: Context) -> tuple[str, int]:
    parts = urlsplit(ctx.api.configuration.host)
    if parts.scheme != "https":
        raise CheckFailed(f"the API is reached without TLS: {ctx.api.configuration.host}")
    return str(parts.hostname), parts.port or 443
