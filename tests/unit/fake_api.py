"""A small HTTP server that behaves like a Kubernetes API, as far as the verifier's framework needs."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import yaml

STAMP = "2020-01-01T00:00:00Z"


class Handler(BaseHTTPRequestHandler):
    """Stores what is posted by path, lists by collection, deletes at once."""

    protocol_version = "HTTP/1.1"
    store: ClassVar[dict[str, dict[str, Any]]]
    asked: ClassVar[list[str]]
    stuck: ClassVar[set[str]]

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/version":
            return self.answer(200, {"gitVersion": "v1.20.2", "minor": "20+"})
        if url.path in self.store:
            return self.answer(200, self.store[url.path])
        if url.path.rsplit("/", 1)[-1] not in COLLECTIONS:
            return self.refuse(404, f"{url.path} not found")
        wanted = dict(part.partition("=")[::2] for part in parse_qs(url.query).get("labelSelector", []))
        inside = [thing for path, thing in self.store.items() if within(path, url.path)]
        return self.answer(200, {"items": [thing for thing in inside if matches(thing, wanted)]})

    def do_POST(self) -> None:
        body = self.body()
        if body.get("kind") == "Pod" and not body["spec"]["containers"]:
            return self.refuse(422, "spec.containers: Required value")
        path = f"{self.path}/{body['metadata']['name']}"
        if "/namespaces/" in self.path:
            body["metadata"]["namespace"] = self.path.split("/namespaces/")[1].partition("/")[0]
        if path in self.store:
            return self.refuse(409, "already exists")
        body["metadata"].setdefault("creationTimestamp", "2999-01-01T00:00:00Z")
        self.store[path] = body
        return self.answer(201, body)

    def do_DELETE(self) -> None:
        self.body()
        self.asked.append(f"DELETE {self.path}")
        if self.path.endswith("/pods"):
            return self.answer(200, {"items": []})
        if self.path not in self.store:
            return self.refuse(404, "not found")
        if self.path in self.stuck:
            return self.refuse(500, "etcd is gone")
        gone = self.store.pop(self.path)
        for path in [path for path in self.store if path.startswith(self.path + "/")]:
            del self.store[path]
        return self.answer(200, gone)

    def body(self) -> dict[str, Any]:
        length = int(self.headers.get("Content-Length") or 0)
        found: dict[str, Any] = json.loads(self.rfile.read(length) or b"{}")
        return found

    def answer(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, status: int, message: str) -> None:
        self.answer(status, {"kind": "Status", "message": message})

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


COLLECTIONS = {
    *("nodes", "namespaces", "pods", "serviceaccounts", "configmaps", "events", "secrets", "persistentvolumes"),
    *("priorityclasses", "clusterroles", "clusterrolebindings"),
}


def within(path: str, collection: str) -> bool:
    """Whether an object is in a collection; a collection of pods may be that of all namespaces."""
    return path.rpartition("/")[0] == collection or (collection == "/api/v1/pods" and "/pods/" in path)


def matches(thing: dict[str, Any], wanted: dict[str, str]) -> bool:
    labels = thing["metadata"].get("labels") or {}
    return all(key in labels and (not value or labels[key] == value) for key, value in wanted.items())


def node(name: str, *, ready: bool = True, taints: list[dict[str, str]] | None = None) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"node-role.kubernetes.io/worker": ""}},
        "spec": {"taints": taints} if taints else {},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "conditions": [{"type": "Ready", "status": "True" if ready else "False", "message": "kubelet is ill"}],
            "nodeInfo": {"kubeletVersion": "v1.20.2", "containerRuntimeVersion": "containerd://1.6.20"},
        },
    }


class FakeApi:
    """The server's address, what it stores, and which deletions it was asked for."""

    def __init__(self, folder: Path) -> None:
        state = {"store": {}, "asked": [], "stuck": set()}
        self.handler = type("Own", (Handler,), state)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler)
        self.server.daemon_threads = True
        self.store: dict[str, dict[str, Any]] = self.handler.store
        self.kubeconfig = folder / "kubeconfig"
        server = {"server": f"http://127.0.0.1:{self.server.server_address[1]}"}
        text = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "fake", "cluster": server}],
            "contexts": [{"name": "here", "context": {"cluster": "fake", "user": "me"}}],
            "users": [{"name": "me", "user": {"token": "t"}}],
        }
        self.kubeconfig.write_text(yaml.safe_dump(text))

    def add_node(self, name: str, **how: Any) -> None:
        self.store[f"/api/v1/nodes/{name}"] = node(name, **how)

    def namespaces(self) -> list[str]:
        return [
            path.rsplit("/", 1)[-1]
            for path in self.store
            if path.startswith("/api/v1/namespaces/") and path.count("/") == 4
        ]


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[FakeApi]:
    fake = FakeApi(folder)
    thread = threading.Thread(target=fake.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        fake.server.shutdown()
        fake.server.server_close()
