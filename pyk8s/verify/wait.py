"""Waiting for a state by asking, never by sleeping and hoping."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from pyk8s.errors import Pyk8sError
from pyk8s.verify.model import CheckFailed, CommandFailed, Interrupted
from pyk8s.verify.objects import reason

T = TypeVar("T")
INTERVAL = 0.25
PASSING = (ApiException, HTTPError, CommandFailed, Pyk8sError, OSError)
"""What may pass by itself while one waits: an object not there yet, a command that does not work yet."""


@dataclasses.dataclass(frozen=True)
class Deadline:
    """A moment on the monotonic clock after which nothing is waited for, and a flag that ends all waiting."""

    at: float
    stop: threading.Event

    @classmethod
    def after(cls, seconds: float, stop: threading.Event | None = None) -> Deadline:
        """The moment so many seconds from now."""
        return cls(time.monotonic() + seconds, stop or threading.Event())

    @property
    def left(self) -> float:
        """Seconds left, at least 0."""
        return max(0.0, self.at - time.monotonic())


def poll(
    probe: Callable[[], T | None],
    timeout: float,
    what: str,
    deadline: Deadline,
    state: Callable[[], str] | None = None,
    interval: float = INTERVAL,
) -> T:
    """Ask ``probe`` until it returns something truthy, for ``timeout`` seconds or until the deadline; return that.

    Errors that may pass are tried again; CheckFailed ends the waiting at once. Raises CheckFailed with the last state
    seen (``state()`` where given), Interrupted when the run is ended.
    """
    bound = min(timeout, deadline.left)
    end = time.monotonic() + bound
    while True:
        if deadline.stop.is_set():
            raise Interrupted
        try:
            value = probe()
            if value:
                return value
            last = repr(value)
        except PASSING as error:
            last = reason(error)
        if time.monotonic() >= end:
            raise CheckFailed(f"{what}: not within {bound:.0f} s; last state: {_told(state, last)}")
        deadline.stop.wait(min(interval, max(0.0, end - time.monotonic())))


def _told(state: Callable[[], str] | None, last: str) -> str:
    if state is None:
        return last
    try:
        return state()
    except PASSING as error:
        return f"{last} ({reason(error)})"
