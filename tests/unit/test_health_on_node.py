"""The script that runs on a node, run here."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pyk8s.health import on_node

SHOW = """Id=kubelet.service
LoadState=loaded
ActiveState=active
SubState=running
NRestarts=0

Id=etcd.service
LoadState=not-found
ActiveState=inactive
SubState=dead
NRestarts=0
"""


class Health(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        fine = self.path == "/healthz"
        self.send_response(200 if fine else 500)
        self.end_headers()
        self.wfile.write(b"ok" if fine else b"[+]ping ok\n[-]etcd failed: reason withheld\nhealthz check failed")

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def server():
    one = ThreadingHTTPServer(("127.0.0.1", 0), Health)
    threading.Thread(target=one.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{one.server_address[1]}"
    one.shutdown()
    one.server_close()


def test_a_good_endpoint_says_nothing(server):
    assert on_node.endpoint(f"{server}/healthz", client=False) == ""


def test_a_bad_endpoint_says_which_of_its_checks_failed(server):
    assert on_node.endpoint(f"{server}/livez", client=False) == (
        "500: [-]etcd failed: reason withheld; healthz check failed"
    )


def test_an_endpoint_where_nothing_listens_is_said():
    assert "refused" in on_node.endpoint("http://127.0.0.1:1/healthz", client=False)


def test_an_endpoint_whose_client_certificate_is_missing_is_said():
    assert "No such file" in on_node.endpoint("https://127.0.0.1:1/readyz", client=True)


def test_units_are_read_from_systemctl(monkeypatch):
    done = subprocess.CompletedProcess([], 0, SHOW, "")
    monkeypatch.setattr(on_node.subprocess, "run", lambda *_, **__: done)
    found = on_node.units(["kubelet", "etcd"])
    assert found["kubelet"]["ActiveState"] == "active"
    assert found["etcd"]["LoadState"] == "not-found"


def test_failed_units_are_listed_by_name(monkeypatch):
    done = subprocess.CompletedProcess([], 0, "cron.service loaded failed failed Regular jobs\n", "")
    monkeypatch.setattr(on_node.subprocess, "run", lambda *_, **__: done)
    assert on_node.failed() == ["cron.service"]


def test_it_runs_as_text_with_one_argument_and_answers_json(server):
    asked = {
        "units": [],
        "endpoints": [{"name": "kubelet", "url": f"{server}/healthz", "client": False}],
        "certificates": [],
    }
    script = Path(on_node.__file__).read_text(encoding="utf-8")
    fake = "import subprocess as s; s.run = lambda *a, **k: s.CompletedProcess([], 0, '', '')\n"
    body = script.replace("from __future__ import annotations\n", f"from __future__ import annotations\n{fake}")
    done = subprocess.run([sys.executable, "-c", body, json.dumps(asked)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"units": {}, "failed": [], "endpoints": {"kubelet": ""}, "certificates": {}}
