"""The unit module: what runs something older is restarted, once; what is not ready says why."""

import http.server
import threading
import types

import pytest
from ansible_collections.pyk8s.node.plugins.module_utils import records
from ansible_collections.pyk8s.node.plugins.modules import unit

BOOT = "11111111-2222-3333-4444-555555555555"


@pytest.fixture(autouse=True)
def _node(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "DIRECTORY", str(tmp_path / "records"))
    monkeypatch.setattr(records, "boot", lambda: BOOT)
    monkeypatch.setattr(records.os, "fchown", lambda handle, uid, gid: None)


@pytest.fixture
def changed_at(monkeypatch):
    """Write a record as if its files had changed at a moment of this boot, in seconds."""

    def changed_at(seconds, component="kubelet", kind="place"):
        monkeypatch.setattr(records.time, "clock_gettime", lambda clock: seconds)
        records.write(component, kind, {"paths": []})

    return changed_at


def status(state="active", started=100.0, **more):
    return {"ActiveState": state, "ExecMainStartTimestampMonotonic": str(int(started * 1e6)), **more}


@pytest.mark.parametrize("kind", ["place", "install"])
def test_a_unit_that_started_before_its_files_changed_is_stale(changed_at, kind):
    changed_at(150.0, kind=kind)
    assert unit.is_stale(status(started=100.0), ["kubelet"])
    assert not unit.is_stale(status(started=200.0), ["kubelet"])


def test_a_unit_without_records_is_not_stale():
    assert not unit.is_stale(status(), ["kubelet"])


def test_files_of_another_component_make_it_stale_only_where_it_uses_them(changed_at):
    changed_at(150.0, component="cni")
    assert not unit.is_stale(status(started=100.0), ["containerd"])
    assert unit.is_stale(status(started=100.0), ["containerd", "cni"])


def test_a_change_before_the_machine_was_started_again_makes_nothing_stale(changed_at, monkeypatch):
    changed_at(150.0)
    monkeypatch.setattr(records, "boot", lambda: "another boot")
    assert not unit.is_stale(status(started=10.0), ["kubelet"])


@pytest.mark.parametrize("state", ["inactive", "failed", "deactivating"])
def test_a_unit_that_does_not_run_is_not_stale(changed_at, state):
    changed_at(150.0)
    assert not unit.is_stale(status(state), ["kubelet"])


def test_a_oneshot_unit_is_judged_by_when_it_ran(changed_at):
    changed_at(150.0)
    oneshot = {
        "ActiveState": "active",
        "ExecMainStartTimestampMonotonic": "",
        "InactiveExitTimestampMonotonic": "1000000",
    }
    assert unit.is_stale(oneshot, ["kubelet"])


@pytest.mark.parametrize(
    ("active", "state", "stale", "action"),
    [
        ("active", "started", False, ""),
        ("active", "started", True, ""),  # reported as changed: a handler restarts it
        ("active", "restarted", False, ""),
        ("active", "restarted", True, "restart"),
        ("reloading", "started", False, ""),
        ("reloading", "restarted", True, "restart"),
        ("activating", "started", False, "start"),
        ("activating", "started", True, "restart"),  # a crash loop with what was replaced is left at once
        ("activating", "restarted", True, "restart"),
        ("inactive", "started", False, "start"),
        ("inactive", "restarted", False, "start"),
        ("failed", "started", False, "start"),
        ("failed", "restarted", False, "start"),
    ],
)
def test_what_systemctl_has_to_do(active, state, stale, action):
    assert unit.next_action(status(active), state, stale) == action


class ModuleFailedError(Exception):
    """What fail_json becomes in a test."""


class FakeModule:
    """As much of AnsibleModule as the functions use."""

    def __init__(self, **params):
        defaults = {"ready_url": None, "ready_ca": None, "ready_cert": None, "ready_key": None}
        self.params = {"name": "kubelet", **defaults, "ready_command": [], "timeout": 1, **params}

    def fail_json(self, msg):
        raise ModuleFailedError(msg)


class Systemctl:
    """Answers for systemctl and journalctl, and remembers what was asked."""

    def __init__(self, properties):
        self.properties = properties
        self.calls = []
        self.fails = set()

    def __call__(self, command, **options):
        self.calls.append(" ".join(command))
        if command[0] == "journalctl":
            return types.SimpleNamespace(returncode=0, stdout="E1 cannot open\nE2 giving up\n", stderr="")
        if command[1] == "show":
            lines = "\n".join(f"{key}={value}" for key, value in self.properties.items())
            return types.SimpleNamespace(returncode=0, stdout=lines, stderr="")
        if command[1] == "daemon-reload":
            self.properties |= {"NeedDaemonReload": "no", "LoadState": "loaded"}
        code = 1 if command[1] in self.fails else 0
        return types.SimpleNamespace(returncode=code, stdout="", stderr="Job failed.")

    @property
    def changes(self):
        return [call for call in self.calls if not call.startswith(("systemctl show", "journalctl"))]


@pytest.fixture
def systemctl(monkeypatch):
    known = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled", "NeedDaemonReload": "no"}
    made = Systemctl(known)
    monkeypatch.setattr(unit.subprocess, "run", made)
    return made


def test_a_unit_that_runs_and_is_enabled_is_left_alone(systemctl):
    unit.run(FakeModule(), dict(systemctl.properties), "")
    assert systemctl.changes == []


def test_a_new_unit_is_loaded_enabled_and_started(systemctl):
    systemctl.properties |= {"LoadState": "not-found", "UnitFileState": "", "ActiveState": "inactive"}
    unit.run(FakeModule(), dict(systemctl.properties), "start")
    assert systemctl.changes == [
        "systemctl daemon-reload",
        "systemctl enable --quiet kubelet",
        "systemctl reset-failed kubelet",
        "systemctl start kubelet",
    ]


def test_a_unit_that_systemd_cannot_load_is_an_error(systemctl):
    systemctl.properties |= {"LoadState": "bad-setting"}
    with pytest.raises(ModuleFailedError, match="systemd cannot load kubelet: it is bad-setting"):
        unit.run(FakeModule(), dict(systemctl.properties), "start")


def test_a_unit_that_does_not_start_says_so_with_its_log(systemctl):
    systemctl.fails.add("start")
    with pytest.raises(ModuleFailedError, match=r"kubelet did not start: Job failed.(\n|.)*E2 giving up"):
        unit.run(FakeModule(), dict(systemctl.properties), "start")


def test_a_component_that_never_becomes_ready_says_why_with_its_log(systemctl, monkeypatch):
    monkeypatch.setattr(unit, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(unit, "ask", lambda url, params: "status 500: etcd is away")
    module = FakeModule(ready_url="https://127.0.0.1:1/readyz", timeout=0.05)
    with pytest.raises(ModuleFailedError, match=r"not ready after 0.05 s: .*etcd is away(\n|.)*E2 giving up"):
        unit.wait(module, unit.time.monotonic())


def test_a_unit_that_has_failed_is_not_ready(systemctl):
    systemctl.properties["ActiveState"] = "failed"
    assert unit.not_ready(FakeModule().params) == "its unit has failed"


def test_a_unit_with_nothing_to_ask_is_ready_when_it_runs(systemctl):
    assert unit.not_ready(FakeModule().params) == ""


@pytest.fixture
def server():
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            code = int(self.path.strip("/"))
            self.send_response(code)
            self.end_headers()
            self.wfile.write(b"[-]etcd failed\n")

        def log_message(self, *_):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.mark.parametrize(
    ("code", "answer"), [(200, ""), (500, "status 500: [-]etcd failed"), (403, "status 403: [-]etcd failed")]
)
def test_readiness_is_asked_of_the_component_itself(server, code, answer):
    assert unit.ask(f"{server}/{code}", FakeModule().params) == answer


def test_a_port_where_nobody_listens_is_not_ready():
    assert "refused" in unit.ask("http://127.0.0.1:9/healthz", FakeModule().params).lower()


@pytest.mark.parametrize(("peers", "needed"), [((), 0), ((200,), 1), ((200, 200), 2), ((200, 500), 1)])
def test_a_restart_goes_on_where_enough_of_the_others_are_ready(server, peers, needed):
    urls = [f"{server}{'/' * number}{code}" for number, code in enumerate(peers, 1)]
    assert unit.missed(FakeModule(peers=urls, peers_needed=needed).params) == ""


def test_a_restart_that_would_take_the_majority_away_is_left_undone_and_says_who_is_missing(server, monkeypatch):
    monkeypatch.setattr(unit, "PEERS_SECONDS", 0.05)
    params = FakeModule(peers=[f"{server}/200", f"{server}/503"], peers_needed=2).params
    said = unit.missed(params)
    assert "2 of the others must be ready" in said
    assert f"{server}/503 says status 503" in said
    assert "Run this again" in said


def test_an_authority_that_is_not_there_is_not_ready_rather_than_a_crash(tmp_path, systemctl):
    params = FakeModule(ready_url="https://127.0.0.1:9/readyz", ready_ca=str(tmp_path / "absent.crt")).params
    assert unit.not_ready(params)


@pytest.mark.parametrize(
    ("state", "enabled", "changes"),
    [("active", "enabled", True), ("inactive", "enabled", True), ("inactive", "disabled", False)],
)
def test_a_unit_that_is_not_wanted_is_stopped_and_disabled_once(systemctl, state, enabled, changes):
    class Ended(FakeModule):
        check_mode = False

        def exit_json(self, **answer):
            self.answer = answer

    module = Ended(optional=True)
    unit.leave(module, systemctl.properties | {"ActiveState": state, "UnitFileState": enabled})
    assert module.answer["changed"] is changes
    assert systemctl.changes == (["systemctl disable --now --quiet kubelet"] if changes else [])
