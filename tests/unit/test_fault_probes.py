"""Probes: what was gone is counted whole, and only what was acknowledged counts as written."""

import json
import socket
import threading
import time

import pytest

from pyk8s.verify.faults import agent
from pyk8s.verify.faults.probes import KEYS_EACH, Probe, Reader, Sample, Writer, track


def samples(*answers):
    """Build samples from (asked, answered, why)."""
    return [Sample(*answer) for answer in answers]


def test_good_answers_at_the_usual_pace_leave_no_gap():
    seen = track("api", [Sample(n / 10, n / 10 + 0.01) for n in range(50)], 0, 5, 0)
    assert (seen.asked, seen.failed, seen.gaps) == (50, 0, ())
    assert seen.longest == 0


def test_a_gap_is_what_lies_between_two_good_answers():
    seen = track("api", samples((0, 0.1), (0.2, 1.2, "timed out"), (1.3, 2.3, "refused"), (2.4, 2.5)), 0, 3, 0)
    assert [(gap.at, gap.until, gap.why) for gap in seen.gaps] == [(0.1, 2.5, "timed out")]
    assert seen.longest == pytest.approx(2.4)


def test_an_answer_that_took_too_long_is_a_gap_though_nothing_failed():
    seen = track("api", samples((0, 0.1), (0.2, 2.2), (2.3, 2.4)), 0, 3, 0)
    assert [(gap.at, gap.until, gap.why) for gap in seen.gaps] == [(0.1, 2.2, "slow")]


def test_what_never_answered_again_is_gone_to_the_end():
    seen = track("api", samples((0, 0.1), (0.2, 1.2, "no route")), 0, 9, 0)
    assert [(gap.at, gap.until, gap.why) for gap in seen.gaps] == [(0.1, 9, "no route")]


def test_a_probe_that_stopped_asking_proves_nothing_by_its_silence():
    assert track("api", samples((0, 0.1)), 0, 9, 0).gaps[0].why == "not asked"


def test_times_of_gaps_count_from_zero_and_samples_before_the_moment_do_not_count():
    seen = track("api", samples((1, 5, "before"), (10, 10.1), (10.2, 13.3)), 10, 14, 8)
    assert [(gap.at, gap.until) for gap in seen.gaps] == [(2.1, 5.3)]
    assert seen.failed == 0


class FakeApi:
    """Answers as told: a status for each request, the last one for ever."""

    def __init__(self, *statuses):
        self.statuses = list(statuses)
        self.asked = []

    def request(self, method, path, body=None, kind=""):
        self.asked.append((method, path, body))
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return status, json.dumps(
            {"message": "etcdserver: no leader"}
        ) if status >= 400 else "" if status else "timed out"


def test_only_acknowledged_writes_are_remembered_and_each_key_is_written_once():
    api = FakeApi(201, 200, 500, 0, 200)
    write = Writer(api, "/api/v1/namespaces/n/configmaps", "w")
    assert [write(), write(), write(), write()] == ["", "500 etcdserver: no leader", "0 timed out", ""]
    assert write.acknowledged == [("w-0", "k0"), ("w-0", "k3")]
    assert [list(body["data"]) for method, _, body in api.asked if method == "PATCH"] == [
        ["k0"],
        ["k1"],
        ["k2"],
        ["k3"],
    ]


def test_a_page_of_writes_is_begun_anew_before_it_grows_large():
    api = FakeApi(201)
    write = Writer(api, "/c", "w")
    for _ in range(KEYS_EACH + 1):
        write()
    assert [body["metadata"]["name"] for method, _, body in api.asked if method == "POST"] == ["w-0", "w-1"]


def test_a_reader_says_what_the_api_said():
    assert Reader(FakeApi(200), "/x")() == ""
    assert Reader(FakeApi(503), "/x")() == "503 etcdserver: no leader"


def test_a_probe_asks_ten_times_a_second_until_it_is_stopped():
    probe = Probe("p", lambda: "")
    probe.start()
    time.sleep(0.55)
    probe.stop()
    count = len(probe.samples)
    assert 3 <= count <= 7
    assert probe.good()
    time.sleep(0.2)
    assert len(probe.samples) == count


@pytest.fixture
def web():
    """A server that says one line to each that comes, as told."""
    listening = socket.create_server(("127.0.0.1", 0))
    said = {"line": b"HTTP/1.0 200 OK\r\n\r\n"}

    def _serve():
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.recv(100)
                connection.sendall(said["line"])

    threading.Thread(target=_serve, daemon=True).start()
    yield listening.getsockname()[1], said
    listening.close()


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\n", ""),
        (b"HTTP/1.0 404 No\r\n\r\n", "b'HTTP/1.0 404 No\\r\\n\\r\\n'"),
        (b"", "no answer"),
    ],
)
def test_a_service_answers_when_it_says_200(web, line, answer):
    port, said = web
    said["line"] = line
    assert agent.ask("127.0.0.1", port) == answer


def test_a_port_where_nobody_listens_is_no_answer():
    assert "refused" in agent.ask("127.0.0.1", 9).lower()
