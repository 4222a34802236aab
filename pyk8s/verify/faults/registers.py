"""Clients that read and write registers at every etcd member, and the history of what they saw."""

from __future__ import annotations

import json
import random
import shlex
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from pyk8s.cluster.model import Node
from pyk8s.errors import Pyk8sError
from pyk8s.ssh import Shell, Stream
from pyk8s.verify import probe
from pyk8s.verify.faults import register_client
from pyk8s.verify.faults.histories import NEVER, Operation

CLIENTS_EACH = 2
REGISTERS = 2
PAUSE = 0.03


class Registers:
    """Two clients at every member, for as long as the block lasts; ``history`` holds what they did and saw.

    Calls and returns are stamped here, outside of the machines: the intervals are on one clock, and a little longer
    than they were, so that no violation is found where there is none.
    """

    def __init__(self, members: dict[Node, Shell], prefix: str) -> None:
        self.history: list[Operation] = []
        self.unknown = 0
        self._prefix = prefix
        self._stop = threading.Event()
        self._zero = time.monotonic()
        who = probe.ETCD_HEALTH
        script = Path(register_client.__file__).read_text(encoding="utf-8")
        self._command = shlex.join(["python3", "-c", script, who.ca, who.cert, who.key])
        self._streams: list[Stream] = []
        self._threads = [
            threading.Thread(target=self._client, args=(shell, f"{node.name}-{number}"), daemon=True)
            for node, shell in members.items()
            for number in range(CLIENTS_EACH)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=3 * register_client.SECONDS)
        for stream in self._streams:
            stream.close()

    def done_by(self, member: str, since: float = 0.0) -> int:
        """How many operations the clients of a member have seen done since a moment of ``now``."""
        mine = [one for one in self.history if one.client.startswith(f"{member}-") and one.ended != NEVER]
        return sum(one.began >= since for one in mine)

    @property
    def now(self) -> float:
        """Seconds on the clock of the history."""
        return time.monotonic() - self._zero

    def _client(self, shell: Shell, name: str) -> None:
        chance = random.Random(name)  # noqa: S311 - no secret
        number = 0
        while not self._stop.is_set():
            try:
                stream = shell.follow(self._command)
            except Pyk8sError:
                self._stop.wait(1)
                continue
            self._streams.append(stream)
            answers = stream.lines()
            while not self._stop.wait(PAUSE):
                number += 1
                key = f"{self._prefix}{chance.randrange(REGISTERS)}"
                value = f"{name}.{number}" if chance.random() < 0.5 else None
                began = self.now
                try:
                    stream.write(json.dumps({"key": key, "value": value}))
                    said = json.loads(next(answers))
                except (OSError, StopIteration, ValueError):
                    said = {"error": "the connection to the machine broke"}
                self._keep(name, key, value, began, said)
                if said.get("error", "").startswith("the connection"):
                    break

    def _keep(self, name: str, key: str, value: str | None, began: float, said: dict[str, str]) -> None:
        if "error" in said:
            self.unknown += 1
            if value is not None:
                self.history.append(Operation(name, key, True, value, began, NEVER))
        else:
            self.history.append(Operation(name, key, value is not None, said["value"], began, self.now))
