"""The verifier's reports and command line: shapes that scripts outside rely on."""

from __future__ import annotations

import io
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import typer
from fake_api import serve
from rich.console import Console
from typer.testing import CliRunner

from pyk8s import paths
from pyk8s.cluster import inventory as inventories
from pyk8s.cluster.config import ClusterConfig
from pyk8s.cluster.model import Cluster
from pyk8s.errors import Pyk8sError
from pyk8s.verify import registry, report_json, report_junit, report_terminal
from pyk8s.verify.cli import verify
from pyk8s.verify.model import Check, Outcome, Report, Status
from pyk8s.verify.runner import Runner
from tests.sample_report import fault

CLUSTER = {"name": "lab", "version": "v1.20.2", "started": "2026-01-01T00:00:00+00:00", "seconds": 3.2}
app = typer.Typer()
app.command()(verify)


def outcome(name: str, status: Status, detail: str, *, component: str = "etcd", expected: bool = False) -> Outcome:
    return Outcome(Check(name, component, f"Promise of {name}", lambda ctx: ""), status, 1.25, detail, expected)


@pytest.fixture
def report() -> Report:
    outcomes = (
        outcome("healthy", Status.PASSED, "3 of 3"),
        outcome("agreement", Status.FAILED, "two <leaders> & \x1b[31mno\x00 hash"),
        outcome("dns", Status.SKIPPED, "CoreDNS is absent", component="DNS", expected=True),
        outcome("nodes", Status.SKIPPED, "no kubectl [not] there", component="kubelet"),
    )
    return Report(outcomes, CLUSTER, ("a namespace is still there",))


def test_the_json_report_lists_checks_beside_the_cluster(report: Report) -> None:
    told = json.loads(report_json.to_text(report))
    assert set(told) == {"ok", "cluster", "checks", "warnings"}
    assert told["ok"] is False
    assert told["checks"][0] == {
        "name": "healthy",
        "title": "Promise of healthy",
        "component": "etcd",
        "status": "passed",
        "left_out": False,
        "seconds": 1.25,
        "detail": "3 of 3",
        "measures": [],
        "timeline": None,
    }
    assert [one["status"] for one in told["checks"]] == ["passed", "failed", "skipped", "skipped"]
    assert [one["left_out"] for one in told["checks"]] == [False, False, False, True]


def test_the_junit_report_is_whole_xml_and_its_sums_are_right(report: Report) -> None:
    root = ET.fromstring(report_junit.to_text(report))
    assert root.tag == "testsuites"
    assert (root.get("tests"), root.get("failures"), root.get("errors"), root.get("skipped")) == ("4", "1", "1", "1")
    assert [one.text for one in root.iter("system-err")] == ["a namespace is still there"]
    for suite in root:
        assert suite.tag == "testsuite"
        assert {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"} == set(suite.attrib)
        cases = suite.findall("testcase")
        assert int(suite.get("tests", "")) == len(cases)
        assert {"name": "cluster: version", "value": "v1.20.2"} in [one.attrib for one in suite.iter("property")]
        for case in cases:
            assert (case.tag, set(case.attrib)) == ("testcase", {"classname", "name", "time"})
            assert next(child.tag for child in case) in {"error", "failure", "skipped", "system-out"}
    assert root.find(".//testcase[@name='agreement']/failure").text == "two <leaders> & ?[31mno? hash"  # type: ignore[union-attr]


def test_the_terminal_says_aloud_what_failed_and_what_was_left_out(report: Report) -> None:
    out = io.StringIO()
    report_terminal.summary(Console(file=out, width=200), report)
    text = out.getvalue()
    assert "✗ agreement: Promise of agreement" in text
    assert "nodes was left out: no kubectl [not] there" in text
    assert "dns" not in text
    assert "warning: a namespace is still there" in text
    assert "not proven lab v1.20.2: 1 passed, 1 failed, 2 skipped (1 of them should have run) in 3.2 s" in text


def test_the_json_report_holds_measures_and_timelines() -> None:
    told = json.loads(report_json.to_text(Report((fault(0),), CLUSTER)))["checks"][0]
    assert told["measures"][:2] == [
        {"what": "longest time without a write", "seconds": 3.4, "bound": 10},
        {"what": "until all was well again", "seconds": 18.31, "bound": 60},
    ]
    assert told["timeline"]["seconds"] == 44.0
    assert told["timeline"]["marks"] == [{"what": "kube-apiserver on cp1 stopped", "at": 5.0, "until": 30.0}]
    assert told["timeline"]["tracks"][1] == {
        "name": "read from cp1",
        "asked": 440,
        "failed": 249,
        "longest": 26.3,
        "gaps": [{"at": 5.1, "until": 31.4, "why": "connect: connection refused"}],
    }


@pytest.mark.parametrize("longest", [3.4, 12.4])
def test_the_junit_report_holds_measures_as_properties_and_timelines_as_lines(longest: float) -> None:
    case = ET.fromstring(report_junit.to_text(Report((fault(0, longest=longest),), CLUSTER))).find(".//testcase")
    assert case is not None
    properties = {one.get("name"): one.get("value") for one in case.iter("property")}
    assert properties["measured: until all was well again"] == "18.310"
    assert properties["promised: until all was well again"] == "60.000"
    assert properties["measured: longest time without a write"] == f"{longest:.3f}"
    lines = case.findtext("system-out", "").splitlines()
    assert "5.00 s to 30.00 s: kube-apiserver on cp1 stopped" in lines
    assert "read from cp1: asked 440 times, 249 in vain, longest gap 26.30 s" in lines
    assert "  no good answer from 5.10 s to 31.40 s: connect: connection refused" in lines
    assert (case.find("failure") is None) is (longest < 10)


def test_the_terminal_prints_what_was_measured_and_what_was_over_its_bound(report: Report) -> None:
    out = io.StringIO()
    report_terminal.summary(Console(file=out, width=120), Report((fault(1, longest=12.4),), CLUSTER))
    lines = [" ".join(line.split()) for line in out.getvalue().splitlines()]
    assert "check what measured bound" in lines
    assert "fault-1 longest time without a write over 12.40 s 10.00 s" in lines
    assert "fault-1 until the unit ran again 3.20 s" in lines
    out = io.StringIO()
    report_terminal.summary(Console(file=out, width=120), report)
    assert "measured" not in out.getvalue()


def test_on_a_terminal_the_table_has_a_row_for_every_check(report: Report) -> None:
    out = io.StringIO()
    report_terminal.summary(Console(file=out, width=100, force_terminal=True, color_system=None), report)
    for one in report.outcomes:
        assert one.check.title in out.getvalue()


def test_without_a_terminal_a_line_is_printed_as_each_check_ends() -> None:
    out = io.StringIO()
    with report_terminal.Live(Console(file=out, width=200), 1) as live:
        one = outcome("healthy", Status.PASSED, "3 of 3 [all]")
        live.started(one.check)
        live.finished(one)
    assert out.getvalue() == "✓ healthy 1.2 s 3 of 3 [all]\n"


def test_the_command_refuses_an_unknown_check() -> None:
    result = CliRunner().invoke(app, ["--check", "nodes-raedy"])
    assert isinstance(result.exception, Pyk8sError)
    assert "did you mean nodes-ready" in str(result.exception)


def test_the_command_refuses_a_suite_without_checks() -> None:
    result = CliRunner().invoke(app, ["--suite", "slo"])
    assert isinstance(result.exception, Pyk8sError)
    assert "no checks in suite slo" in str(result.exception)


def test_the_command_lists_checks_without_a_cluster() -> None:
    result = CliRunner().invoke(app, ["--list", "--suite", "smoke"])
    assert result.exit_code == 0
    assert "nodes-ready" in result.output


@pytest.mark.parametrize(("ready", "code"), [(True, 0), (False, 1)])
def test_the_command_proves_a_cluster_by_its_kubeconfig_alone(tmp_path: Path, ready: bool, code: int) -> None:
    with serve(tmp_path) as fake:
        fake.add_node("w1", ready=ready)
        files = {form: tmp_path / "out" / f"verify.{form}" for form in ("json", "junit", "html")}
        words = ["--kubeconfig", str(fake.kubeconfig), "--check", "nodes-ready"]
        words += ["--json", str(files["json"]), "--junit", str(files["junit"]), "--html", str(files["html"])]
        result = CliRunner().invoke(app, words)
    assert result.exit_code == code, result.output
    told = json.loads(files["json"].read_text())
    assert told["ok"] is (code == 0)
    cluster = told["cluster"]
    assert (cluster["name"], cluster["version"]) == ("fake", "v1.20.2")
    assert cluster["counts"] == {"passed": 1 - code, "failed": code, "skipped": 0, "left_out": 0}
    assert cluster["nodes"] == [
        {
            "name": "w1",
            "roles": ["worker"],
            "version": "v1.20.2",
            "runtime": "containerd://1.6.20",
            "ready": ready,
        }
    ]
    assert ("Not proven" in files["html"].read_text()) is (code == 1)
    assert f"report: {files['html']}" in result.output.splitlines()
    assert ET.parse(files["junit"]).getroot().get("tests") == "1"


@pytest.mark.parametrize("interrupted", [False, True])
def test_with_an_inventory_the_cluster_keeps_its_report_also_after_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interrupted: bool
) -> None:
    monkeypatch.setattr(paths, "cluster_dir", lambda name: tmp_path / name)
    cluster = Cluster(ClusterConfig(kubernetes_version="1.20.2", cluster_name="mine"), ())
    monkeypatch.setattr(inventories, "load", lambda path: cluster)
    monkeypatch.setattr("pyk8s.verify.session.answering", lambda cluster, wanted: wanted)
    monkeypatch.setattr(Runner, "run", lambda self, checks: Report((fault(0),), CLUSTER, interrupted=interrupted))
    with serve(tmp_path) as fake:
        words = ["--kubeconfig", str(fake.kubeconfig), "--inventory", str(tmp_path)]
        result = CliRunner().invoke(app, words)
    assert result.exit_code == (130 if interrupted else 0), result.output
    reports = tmp_path / "mine" / "reports"
    assert json.loads((reports / "verify.json").read_text())["ok"] is not interrupted
    assert ("Interrupted" in (reports / "verify.html").read_text()) is interrupted
    assert result.output.splitlines()[-1] == f"report: {reports / 'verify.html'}"


def test_names_of_checks_say_their_component() -> None:
    prefixes = {
        "kube-apiserver": "apiserver-",
        "kube-scheduler": "scheduler-",
        "kube-controller-manager": "controller-",
    }
    for one in registry.load():
        prefix = "fault-" if one.suites == ("faults",) else prefixes.get(one.component, "")
        assert one.name.startswith(prefix), one.name
