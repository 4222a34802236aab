"""The verifier's framework: how checks end, what is left out, and that nothing stays behind."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_api import STAMP, FakeApi, serve
from kubernetes.client.exceptions import ApiException

from pyk8s.cluster.config import ClusterConfig
from pyk8s.cluster.model import Cluster, Node, SshTarget
from pyk8s.errors import Pyk8sError
from pyk8s.verify import registry, runner
from pyk8s.verify.context import Context
from pyk8s.verify.model import Check, CheckFailed, CheckSkipped, Interrupted, Outcome, Report, Status
from pyk8s.verify.needs import Needs
from pyk8s.verify.runner import Runner
from pyk8s.verify.session import LABEL, Session
from pyk8s.verify.wait import Deadline, poll


class Silent:
    """A watcher that only remembers."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def started(self, check: Check) -> None:
        self.seen.append(f"start {check.name}")

    def finished(self, outcome: Outcome) -> None:
        self.seen.append(f"end {outcome.check.name}")


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeApi]:
    with serve(tmp_path) as api:
        yield api


def make(run: Callable[[Context], str], name: str = "one", **more: object) -> Check:
    return Check(name, "etcd", "It works", run, **more)  # type: ignore[arg-type]


def inventory(workers: int) -> Cluster:
    names = ["cp1", *(f"w{number}" for number in range(1, workers + 1))]
    nodes = [
        Node(name, f"127.0.1.{place}", frozenset({"workers"} if place else {"control_plane", "etcd"}), SshTarget(name))
        for place, name in enumerate(names)
    ]
    return Cluster(ClusterConfig(kubernetes_version="1.20.2"), tuple(nodes))


def run(fake: FakeApi, *checks: Check, cluster: Cluster | None = None, named: bool = False) -> Report:
    return Runner(Session(fake.kubeconfig, cluster), Silent(), named=named).run(checks)


def raising(error: BaseException) -> Callable[[Context], str]:
    def body(ctx: Context) -> str:
        raise error

    return body


def test_a_check_that_returns_evidence_passes(fake: FakeApi) -> None:
    report = run(fake, make(lambda ctx: "3 of 3"))
    assert [(one.status, one.detail) for one in report.outcomes] == [(Status.PASSED, "3 of 3")]
    assert report.exit_code == 0


def test_with_an_inventory_the_report_says_which_nodes_are_etcd_members(fake: FakeApi) -> None:
    for name in ("cp1", "w1"):
        fake.add_node(name)
    with_inventory, alone = (run(fake, cluster=cluster).cluster for cluster in (inventory(1), None))
    assert with_inventory["etcd"] == ["cp1"]
    assert {node["name"]: node["etcd"] for node in with_inventory["nodes"]} == {"cp1": True, "w1": False}
    assert "etcd" not in alone
    assert all("etcd" not in node for node in alone["nodes"])


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (CheckFailed("2 of 3"), "2 of 3"),
        (Pyk8sError("w1 is not reached", "no answer"), "w1 is not reached why: no answer"),
        (ApiException(status=500, reason="Internal"), "500 Internal"),
        (ConnectionRefusedError("nobody listens"), "ConnectionRefusedError: nobody listens"),
    ],
)
def test_a_check_that_raises_fails_and_says_what_was_seen(fake: FakeApi, error: Exception, detail: str) -> None:
    report = run(fake, make(raising(error)))
    assert [(one.status, one.detail) for one in report.outcomes] == [(Status.FAILED, detail)]
    assert report.exit_code == 1


def test_a_check_that_is_itself_broken_fails_and_names_the_place(fake: FakeApi) -> None:
    report = run(fake, make(raising(ZeroDivisionError("by zero"))))
    assert report.outcomes[0].status is Status.FAILED
    assert "body:" in report.outcomes[0].detail
    assert "by zero" in report.outcomes[0].detail


def test_an_expected_skip_costs_no_success_but_is_counted(fake: FakeApi) -> None:
    skipped = make(raising(CheckSkipped("CoreDNS is absent", expected=True)), "dns")
    report = run(fake, make(lambda ctx: "yes"), skipped)
    assert report.count(Status.SKIPPED) == 1
    assert report.exit_code == 0


def test_a_check_that_should_have_run_costs_the_success(fake: FakeApi) -> None:
    report = run(fake, make(lambda ctx: "yes"), make(raising(CheckSkipped("no kubectl")), "two"))
    assert (report.left_out, report.exit_code) == (1, 1)


def test_a_check_asked_for_by_name_may_not_be_skipped(fake: FakeApi) -> None:
    skipped = make(raising(CheckSkipped("by design", expected=True)), "two")
    assert run(fake, make(lambda ctx: "yes"), skipped, named=True).exit_code == 1


def test_a_run_that_proves_nothing_is_no_success(fake: FakeApi) -> None:
    assert run(fake, make(raising(CheckSkipped("by design", expected=True)))).exit_code == 1


def test_namespaces_and_cluster_wide_objects_go_also_when_the_check_fails(fake: FakeApi) -> None:
    undone = []

    def body(ctx: Context) -> str:
        ctx.namespace()
        ctx.apply({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}})
        ctx.defer(lambda: undone.append(1))
        ctx.defer(lambda: undone.append(2))
        raise CheckFailed("no")

    run(fake, make(body))
    assert undone == [2, 1]
    assert fake.namespaces() == []
    assert "/apis/scheduling.k8s.io/v1/priorityclasses/high" not in fake.store


def test_a_cleanup_that_fails_is_a_warning_and_the_rest_is_cleaned_up(
    fake: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "GONE_SECONDS", 0.2)

    def body(ctx: Context) -> str:
        namespace = ctx.namespace()
        fake.handler.stuck.add(f"/api/v1/namespaces/{namespace}")
        ctx.apply(ctx.pod("stubborn", "busybox"), namespace)
        ctx.namespace()
        return "done"

    report = run(fake, make(body))
    assert len(fake.namespaces()) == 1
    assert "500 Internal Server Error: etcd is gone" in report.warnings[0]
    assert report.warnings[1].startswith("still there after")
    assert report.warnings[1].endswith("/stubborn")


def test_a_namespace_is_marked_and_has_its_account_at_once(fake: FakeApi) -> None:
    def body(ctx: Context) -> str:
        name = ctx.namespace()
        labels = fake.store[f"/api/v1/namespaces/{name}"]["metadata"]["labels"]
        assert labels[LABEL] == ctx.session.run_id
        assert f"/api/v1/namespaces/{name}/serviceaccounts/default" in fake.store
        return "marked"

    assert run(fake, make(body)).outcomes[0].detail == "marked"


def test_what_an_earlier_run_left_behind_is_swept(fake: FakeApi) -> None:
    for name, when in (("pyk8s-old", STAMP), ("pyk8s-young", "2999-01-01T00:00:00Z")):
        meta = {"name": name, "labels": {LABEL: "another"}, "creationTimestamp": when}
        fake.store[f"/api/v1/namespaces/{name}"] = {"metadata": meta}
    report = run(fake, make(lambda ctx: "yes"))
    assert fake.namespaces() == ["pyk8s-young"]
    assert "pyk8s-old" in report.warnings[0]


def test_waiting_ends_with_the_answer_once_there_is_one(fake: FakeApi) -> None:
    answers = iter([None, 0, "", "there"])
    report = run(fake, make(lambda ctx: ctx.wait(lambda: next(answers), 5, "it")))
    assert report.outcomes[0].detail == "there"


def test_waiting_in_vain_tells_the_last_state() -> None:
    with pytest.raises(CheckFailed, match="3 pods: not within 0 s; last state: 2 of 3"):
        poll(lambda: None, 0.1, "3 pods", Deadline.after(5), lambda: "2 of 3", interval=0.02)


def test_an_object_that_is_not_there_yet_is_waited_for() -> None:
    with pytest.raises(CheckFailed, match="last state: 404 Not Found"):
        poll(lambda: raising(ApiException(404, "Not Found"))(None), 0.1, "it", Deadline.after(5), interval=0.02)  # type: ignore[arg-type]


def test_a_promise_seen_broken_ends_the_waiting_at_once() -> None:
    began = time.monotonic()
    with pytest.raises(CheckFailed, match="wrong node"):
        poll(lambda: raising(CheckFailed("wrong node"))(None), 10, "it", Deadline.after(10))  # type: ignore[arg-type]
    assert time.monotonic() - began < 1


def test_a_check_waits_no_longer_than_its_own_timeout(fake: FakeApi) -> None:
    began = time.monotonic()
    report = run(fake, make(lambda ctx: ctx.wait(lambda: None, 60, "it") or "", timeout=0.3))
    assert report.outcomes[0].status is Status.FAILED
    assert time.monotonic() - began < 5


def test_a_run_that_is_ended_stops_all_waiting() -> None:
    deadline = Deadline.after(60)
    deadline.stop.set()
    with pytest.raises(Interrupted):
        poll(lambda: None, 60, "it", deadline)


def test_ctrl_c_cleans_up_and_exits_130(fake: FakeApi) -> None:
    def body(ctx: Context) -> str:
        ctx.namespace()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        return ctx.wait(lambda: "", 30, "for ever")

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background is started to ignore it
    try:
        report = run(fake, make(body))
    finally:
        signal.signal(signal.SIGINT, before)
    assert report.exit_code == 130
    assert fake.namespaces() == []


def test_checks_run_side_by_side_and_exclusive_ones_alone_afterwards(fake: FakeApi) -> None:
    meeting, under_way, alone = threading.Barrier(2, timeout=5), threading.Semaphore(0), []

    def together(ctx: Context) -> str:
        meeting.wait()
        under_way.release()
        return "met"

    def by_itself(ctx: Context) -> str:
        alone.append(under_way.acquire(timeout=0) and under_way.acquire(timeout=0))
        return "alone"

    checks = [make(by_itself, "x", exclusive=True), make(together, "a"), make(together, "b")]
    assert run(fake, *checks).exit_code == 0
    assert alone == [True]


def test_the_checks_that_may_take_longest_start_first() -> None:
    checks = [make(lambda ctx: "", name, timeout=seconds) for name, seconds in (("a", 60), ("b", 100), ("c", 90))]
    assert [one.name for one in runner.in_order(checks)] == ["b", "c", "a"]


def test_the_report_keeps_the_order_of_the_checks(fake: FakeApi) -> None:
    checks = [make(lambda ctx: "yes", name, timeout=seconds) for name, seconds in (("a", 1), ("b", 9), ("c", 5))]
    assert [one.check.name for one in run(fake, *checks).outcomes] == ["a", "b", "c"]


def test_with_only_a_kubeconfig_what_needs_the_nodes_is_left_out_as_expected(fake: FakeApi) -> None:
    report = run(fake, make(lambda ctx: "yes"), make(lambda ctx: "no", "two", needs=("nodes",)))
    assert report.outcomes[1].status is Status.SKIPPED
    assert "only a kubeconfig was given" in report.outcomes[1].detail
    assert report.exit_code == 0


@pytest.mark.parametrize(("workers", "expected"), [(1, True), (2, False)])
def test_a_missing_second_worker_counts_only_where_there_should_be_one(
    fake: FakeApi, workers: int, expected: bool
) -> None:
    fake.add_node("w1")
    fake.add_node("w2", ready=False)
    unmet = Needs(Session(fake.kubeconfig, inventory(workers))).unmet(make(lambda ctx: "", needs=("two-workers",)))
    assert unmet is not None
    assert unmet.expected is expected


@pytest.mark.parametrize(
    ("control_planes", "members", "unmet"),
    [
        (1, 1, ("control-planes", "members")),
        (1, 3, ("control-planes",)),
        (2, 1, ("control-planes", "members")),
        (2, 3, ()),
    ],
)
def test_what_may_die_by_design_decides_which_faults_are_left_out(
    fake: FakeApi, control_planes: int, members: int, unmet: tuple[str, ...]
) -> None:
    groups = ["control_plane"] * control_planes + ["etcd"] * members
    nodes = [Node(f"n{n}", f"127.0.1.{n}", frozenset({group}), SshTarget(f"n{n}")) for n, group in enumerate(groups)]
    needs = Needs(Session(fake.kubeconfig, Cluster(ClusterConfig(), tuple(nodes))))
    answers = {one: needs.unmet(make(lambda ctx: "", needs=(f"spare-{one}",))) for one in ("control-planes", "members")}
    assert tuple(one for one, answer in answers.items() if answer) == unmet
    assert all(answer.expected for answer in answers.values() if answer)


def test_schedulable_are_ready_nodes_without_taint(fake: FakeApi) -> None:
    fake.add_node("cp1", taints=[{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}])
    fake.add_node("w2")
    fake.add_node("w1", taints=[{"key": "soft", "effect": "PreferNoSchedule"}])
    fake.add_node("w3", ready=False)
    assert run(fake, make(lambda ctx: " ".join(ctx.schedulable()))).outcomes[0].detail == "w1 w2"


def test_an_unreachable_api_is_one_clear_error(tmp_path: Path) -> None:
    with serve(tmp_path) as api:
        kubeconfig = api.kubeconfig
    with pytest.raises(Pyk8sError, match="does not answer"):
        Session(kubeconfig)


def test_a_missing_kubeconfig_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(Pyk8sError, match="there is no kubeconfig"):
        Session(tmp_path / "absent")


def test_kubectl_runs_with_the_runs_own_kubeconfig(
    fake: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "kubectl"
    tool.write_text("#!/bin/sh\necho $@; cat\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PYK8S_KUBECTL", str(tool))
    report = run(fake, make(lambda ctx: ctx.kubectl("apply", "-f", "-", stdin="pod")))
    assert report.outcomes[0].detail == f"--kubeconfig {fake.kubeconfig} apply -f -\npod"


def test_without_kubectl_a_check_is_skipped(fake: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYK8S_KUBECTL", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    report = run(fake, make(lambda ctx: ctx.kubectl("version")))
    assert report.outcomes[0].status is Status.SKIPPED


def test_two_checks_may_not_share_a_name() -> None:
    known = registry.load()[0]
    with pytest.raises(ValueError, match="two checks have the name"):
        registry.check(known.name, component="etcd", title="Another")(lambda ctx: "")


def test_a_misspelt_suite_or_need_is_refused_when_a_check_is_written() -> None:
    with pytest.raises(ValueError, match="unknown nodse, smok"):
        registry.check("new", component="etcd", title="New", suites=("smok",), needs=("nodse",))


def test_every_check_states_a_promise_and_belongs_to_the_full_suite_or_disturbs_alone() -> None:
    for one in registry.load():
        assert one.title[0].isupper() or one.title[0] == "`" or one.title.startswith("etcd"), one.name
        assert not one.title.endswith("."), one.name
        assert "full" in one.suites or (one.suites == ("faults",) and one.exclusive), one.name


def test_an_unknown_check_is_refused_with_close_matches() -> None:
    with pytest.raises(Pyk8sError, match="there is no check node-ready: did you mean nodes-ready"):
        registry.select(registry.load(), "full", ["node-ready"])


@pytest.mark.parametrize("suite", ["faults", "slo"])
def test_a_suite_without_checks_is_an_error_and_never_a_pass(suite: str) -> None:
    known = [make(lambda ctx: "yes")]
    with pytest.raises(Pyk8sError, match=f"no checks in suite {suite}"):
        registry.select(known, suite)


def test_an_unknown_suite_is_refused() -> None:
    with pytest.raises(Pyk8sError, match="there is no suite quick"):
        registry.select(registry.load(), "quick")
