"""A release server for the tests of pyk8s.artifacts: the upstream's layout on 127.0.0.1, and ways to misbehave."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import random
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pyk8s.artifacts.catalog import Catalog, Download, load_catalog
from pyk8s.artifacts.model import KUBERNETES
from pyk8s.artifacts.progress import PlainReporter
from pyk8s.artifacts.resolver import Resolver
from pyk8s.cluster.config import ClusterConfig

VERSION = "1.36.2"
ARCHIVED = {
    "etcd": ("etcd", "etcdctl", "etcdutl"),
    "containerd": ("containerd", "containerd-shim-runc-v2", "ctr"),
    "cni": ("bridge", "host-local", "loopback", "portmap"),
    "crictl": ("crictl",),
}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class ReleaseServer(http.server.ThreadingHTTPServer):
    """Serves ``files`` by path. ``break_after``: path -> (bytes to send, times to do so) before it behaves."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.break_after: dict[str, tuple[int, int]] = {}
        self.requests: Counter[str] = Counter()
        self.ranges: list[tuple[str, str]] = []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no news."""


class Handler(http.server.BaseHTTPRequestHandler):
    server: ReleaseServer
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:  # the name that http.server asks for
        self.answer(body=False)

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.requests[self.path] += 1
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        time.sleep(0.02)
        try:
            self.answer(body=True)
        finally:
            with self.server.lock:
                self.server.at_once -= 1

    def answer(self, body: bool) -> None:
        content = self.server.files.get(self.path)
        if content is None:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        begin = self.start_of_range()
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        if body:
            self.send(content[begin:])

    def start_of_range(self) -> int:
        wanted = self.headers.get("Range", "")
        if not wanted:
            return 0
        self.server.ranges.append((self.path, wanted))
        return int(wanted.removeprefix("bytes=").rstrip("-"))

    def send(self, content: bytes) -> None:
        size, times = self.server.break_after.get(self.path, (0, 0))
        if times:
            self.server.break_after[self.path] = (size, times - 1)
            self.wfile.write(content[:size])
            self.close_connection = True
            return
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def content_of(download: Download) -> bytes:
    noise = random.Random(download.mirror_path)
    if not download.is_archive:
        return noise.randbytes(300_000)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ARCHIVED[download.component]:
            data = noise.randbytes(100_000)
            member = tarfile.TarInfo(download.members.get(name, f"./{name}"))
            member.size, member.mode = len(data), 0o755
            archive.addfile(member, io.BytesIO(data))
        readme = tarfile.TarInfo("./README.md")
        archive.addfile(readme, io.BytesIO())
    return gzip.compress(buffer.getvalue(), mtime=0)


def path_of(catalog: Catalog, component: str) -> str:
    return "/" + catalog.downloads(VERSION, "amd64")[component].mirror_path


def local_catalog(base: str) -> Catalog:
    """The real catalog with its release servers replaced, and the sums of what the local one serves."""
    values = load_catalog().model_dump()
    for upstream in values["components"].values():
        upstream["url"] = base + urlsplit(upstream["url"]).path
    catalog = Catalog.model_validate(values)
    for name, one in catalog.downloads(VERSION, "amd64").items():
        known = {"amd64": sha256(content_of(one)), "arm64": "0" * 64}
        values["checksums"][name] = {} if name in KUBERNETES[:3] else {one.version: known}
    return Catalog.model_validate(values)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseServer]:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    with ReleaseServer() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        for one in local_catalog(made.base).downloads(VERSION, "amd64").values():
            content = content_of(one)
            made.files[f"/{one.mirror_path}"] = content
            if one.component in KUBERNETES:
                made.files[f"/{one.mirror_path}.sha256"] = sha256(content).encode()
        yield made
        made.shutdown()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def resolver(server: ReleaseServer, tmp_path: Path, said: list[str]) -> Resolver:
    root = tmp_path / "cache"
    root.mkdir()
    return Resolver(local_catalog(server.base), root, PlainReporter(said.append), retry_seconds=0.01)


def config(source: str = "upstream", mirror: str = "", version: str = VERSION) -> ClusterConfig:
    return ClusterConfig.model_validate(
        {"kubernetes_version": version, "artifact_source": source, "artifact_mirror": mirror}
    )


def leftovers(root: Path) -> list[str]:
    """What lies about in the cache that nobody could use."""
    return [str(path) for path in root.rglob("*") if path.name.startswith(".") or path.suffix == ".part"]
