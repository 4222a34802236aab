"""How far it is: bars on a terminal, a plain line now and then anywhere else."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

PLAIN_SECONDS = 15.0
"""A plain line per step at most this often."""

Advance = Callable[[float], None]
"""Tells a step that this much more is done."""


class Reporter(Protocol):
    """What long work is told to speak through."""

    def say(self, text: str) -> None:
        """Tell one thing, on a line of its own."""

    def step(self, title: str, total: float | None, unit: str) -> contextlib.AbstractContextManager[Advance]:
        """Follow a piece of work of ``total`` units ("MB" counts bytes); None where the total is not known."""


def amount(done: float, total: float | None, unit: str) -> str:
    """Word how far a step is: ``12.5/110.3 MB``, ``812/2400 packages``."""
    scale, form = (1e6, ".1f") if unit == "MB" else (1.0, ".0f")
    whole = f"/{total / scale:{form}}" if total else ""
    return f"{done / scale:{form}}{whole} {unit}"


class PlainReporter:
    """Lines on a stream that is no terminal: a log, a CI job."""

    def __init__(self, write: Callable[[str], None] | None = None, seconds: float = PLAIN_SECONDS) -> None:
        self._write = write or (lambda text: print(text, file=sys.stderr, flush=True))
        self._seconds = seconds

    def say(self, text: str) -> None:
        """Write the line."""
        self._write(text)

    @contextlib.contextmanager
    def step(self, title: str, total: float | None, unit: str) -> Iterator[Advance]:
        """Write a line when enough time has gone by since the last one, and a last one for long steps."""
        done, begun = 0.0, time.monotonic()
        last = begun

        def _advance(more: float) -> None:
            nonlocal done, last
            done += more
            if time.monotonic() - last >= self._seconds:
                last = time.monotonic()
                share = f"{min(99, 100 * done / total):.0f} %, " if total else ""
                self._write(f"{title}: {share}{amount(done, total, unit)}, {last - begun:.0f} s")

        yield _advance
        if last != begun:
            self._write(f"{title}: done in {time.monotonic() - begun:.0f} s")


class RichReporter:
    """Bars on a terminal, shown while at least one step is open."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._open = 0
        self._bars = self._new()

    def _new(self) -> Progress:
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[amount]}"))
        return Progress(*columns, TimeElapsedColumn(), console=self._console, transient=True)

    def say(self, text: str) -> None:
        """Print the line above the bars."""
        self._console.print(text, highlight=False)

    @contextlib.contextmanager
    def step(self, title: str, total: float | None, unit: str) -> Iterator[Advance]:
        """Show a bar until the step ends."""
        with self._lock:
            if self._open == 0:
                self._bars = self._new()
                self._bars.start()
            self._open += 1
            bars = self._bars
        done = 0.0
        task = bars.add_task(title, total=total, amount="")

        def _advance(more: float) -> None:
            nonlocal done
            done += more
            bars.update(task, completed=done, amount=amount(done, total, unit))

        try:
            yield _advance
        finally:
            bars.remove_task(task)
            with self._lock:
                self._open -= 1
                if self._open == 0:
                    bars.stop()


def reporter_of(progress: Reporter | Callable[[str], None] | None) -> Reporter:
    """Return a reporter: the given one, plain lines to a function that takes one, else what suits standard error."""
    if isinstance(progress, PlainReporter | RichReporter):
        return progress
    if callable(progress):
        return PlainReporter(progress)
    return progress or default_reporter()


def default_reporter() -> Reporter:
    """Return bars where standard error is a terminal, plain lines elsewhere."""
    console = Console(stderr=True)
    return RichReporter(console) if console.is_terminal else PlainReporter()
