"""Probes: each asks one thing every 100 ms in a thread of its own, and remembers when it was answered."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import shlex
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import urlsplit

from pyk8s.errors import Pyk8sError
from pyk8s.ssh import Shell, Stream
from pyk8s.verify.faults import agent
from pyk8s.verify.model import Gap, Track

PERIOD = agent.PERIOD
SECONDS = agent.SECONDS
NOTICED = 1.0
"""Seconds between two good answers from which on it counts as a gap; below, a machine with two cores is just busy."""
KEYS_EACH = 200
"""Writes that go into one ConfigMap before the next is begun, so that objects stay small."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """One question: when it was asked and answered (monotonic seconds), and what went wrong, "" when nothing did."""

    asked: float
    answered: float
    why: str = ""


class Probe:
    """Asks ``question`` every 100 ms until it is stopped; the question returns "", or what went wrong."""

    def __init__(self, name: str, question: Callable[[], str]) -> None:
        self.name = name
        self.samples: list[Sample] = []
        self._question = question
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name=f"probe {name}", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Stop asking, and return when the question under way has ended."""
        self._stop.set()
        self._thread.join(timeout=3 * SECONDS)

    def good(self) -> bool:
        """Whether it was ever answered well."""
        return any(not sample.why for sample in self.samples)

    def _loop(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            asked = time.monotonic()
            why = self._question()
            self.samples.append(Sample(asked, time.monotonic(), why))
            due = max(due + PERIOD, time.monotonic())
            self._stop.wait(max(0.0, due - time.monotonic()))


class NodeProbe(Probe):
    """Asks a Service from a node, by an agent there; what it saw comes over SSH."""

    def __init__(self, name: str, shell: Shell, host: str, port: int) -> None:
        super().__init__(name, lambda: "")
        self._command = shlex.join(["python3", "-c", Path(agent.__file__).read_text("utf-8"), host, str(port)])
        self._shell = shell
        self._stream: Stream | None = None

    def stop(self) -> None:
        """End the agent."""
        self._stop.set()
        if self._stream:
            self._stream.close()
        self._thread.join(timeout=3 * SECONDS)

    def _loop(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(Pyk8sError):
                self._stream = self._shell.follow(self._command)
                self._read(self._stream)
                self._stream.close()
            self._stop.wait(SECONDS)

    def _read(self, stream: Stream) -> None:
        offset: float | None = None
        for line in stream.lines():
            asked, answered, said = line.rstrip("\n").split(" ", 2)
            if offset is None:
                offset = time.monotonic() - float(answered)
            self.samples.append(Sample(offset + float(asked), offset + float(answered), "" if said == "ok" else said))
            if self._stop.is_set():
                return


class Api:
    """The API at one address over a connection that is kept while it works, as the administrator."""

    def __init__(self, url: str, trust: ssl.SSLContext) -> None:
        self._where = urlsplit(url)
        self._trust = trust
        self._connection: http.client.HTTPSConnection | None = None

    def request(self, method: str, path: str, body: object = None, kind: str = "application/json") -> tuple[int, str]:
        """Send one request; return status and text, status 0 when there was no answer within a second."""
        try:
            if self._connection is None:
                host, port = str(self._where.hostname), self._where.port or 443
                self._connection = http.client.HTTPSConnection(host, port, timeout=SECONDS, context=self._trust)
            content = None if body is None else json.dumps(body)
            self._connection.request(method, path, content, {"Content-Type": kind})
            answer = self._connection.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            if self._connection:
                self._connection.close()
            self._connection = None
            return 0, str(error) or type(error).__name__

    def names(self) -> frozenset[str]:
        """Return the names and addresses in the certificate of whom this is connected to; none when it is not."""
        connection = self._connection
        socket = connection.sock if connection else None
        certificate = socket.getpeercert() if isinstance(socket, ssl.SSLSocket) else None
        return frozenset(str(name[1]) for name in (certificate or {}).get("subjectAltName", ()))


class Reader:
    """Reads one object from etcd through an apiserver (a read that may not come from a cache)."""

    def __init__(self, api: Api, path: str) -> None:
        self._api = api
        self._path = path

    def __call__(self) -> str:
        """Ask once."""
        return _wrong(*self._api.request("GET", self._path))


class Writer:
    """Writes key after key into ConfigMaps, and remembers which were acknowledged."""

    def __init__(self, api: Api, collection: str, name: str) -> None:
        self._api = api
        self._collection = collection
        self._name = name
        self._number = 0
        self._made: set[int] = set()
        self.acknowledged: list[tuple[str, str]] = []

    def __call__(self) -> str:
        """Write the next key, each once only."""
        page, key = self._number // KEYS_EACH, f"k{self._number}"
        if why := self._page(page):
            return why
        body = {"data": {key: ""}}
        path = f"{self._collection}/{self._name}-{page}"
        self._number += 1
        if why := _wrong(*self._api.request("PATCH", path, body, "application/merge-patch+json")):
            return why
        self.acknowledged.append((f"{self._name}-{page}", key))
        return ""

    def _page(self, page: int) -> str:
        if page in self._made:
            return ""
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{self._name}-{page}"}}
        status, text = self._api.request("POST", self._collection, body)
        if status in {201, 409}:
            self._made.add(page)
            return ""
        return _wrong(status, text)


def track(name: str, samples: Iterable[Sample], since: float, until: float, zero: float) -> Track:
    """Sum up what a probe saw between two moments; times of gaps count from ``zero``.

    A gap is what lies between two good answers where that is longer than NOTICED, whether questions failed meanwhile or
    only took so long; it is counted whole, so that what is reported is never shorter than what was.
    """
    within = [one for one in samples if since <= one.asked <= until]
    gaps: list[Gap] = []
    last, why = since, ""
    for one in within:
        if one.why:
            why = why or one.why
            continue
        if one.answered - last > NOTICED:
            gaps.append(Gap(round(last - zero, 3), round(one.answered - zero, 3), why or "slow"))
        last, why = one.answered, ""
    if until - last > NOTICED:
        gaps.append(Gap(round(last - zero, 3), round(until - zero, 3), why or "not asked"))
    return Track(name, len(within), sum(bool(one.why) for one in within), tuple(gaps))


def _wrong(status: int, text: str) -> str:
    if 200 <= status <= 299:
        return ""
    try:
        said = str(json.loads(text).get("message", text)) if status else text
    except (ValueError, AttributeError):
        said = text
    return f"{status} {said}".strip()[:200]
