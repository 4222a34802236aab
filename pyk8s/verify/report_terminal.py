"""The run as a person sees it: live ticks and a table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from pyk8s.verify.model import Check, Outcome, Report, Status

MARKS = {Status.PASSED: ("✓", "green"), Status.FAILED: ("✗", "red"), Status.SKIPPED: ("-", "yellow")}
COLOURS = {"proven": "green", "not proven": "red", "interrupted": "yellow"}


class Live:
    """Shows each check as it ends and, on a terminal, which are under way. Use it as a context manager."""

    def __init__(self, console: Console, total: int) -> None:
        self.console = console
        self._running: dict[str, None] = {}
        self._lock = threading.Lock()
        columns = (SpinnerColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._progress.add_task("", total=total)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def started(self, check: Check) -> None:
        """Show a check as under way."""
        with self._lock:
            self._running[check.name] = None
        self._show()

    def finished(self, outcome: Outcome) -> None:
        """Print one line for a check that ended."""
        with self._lock:
            self._running.pop(outcome.check.name, None)
        self._progress.console.print(line(outcome), soft_wrap=True, highlight=False)
        self._progress.advance(self._task)
        self._show()

    def _show(self) -> None:
        with self._lock:
            names = ", ".join(self._running)
        self._progress.update(self._task, description=escape(names if len(names) < 90 else names[:89] + "…"))


def line(outcome: Outcome) -> str:
    """One line of markup: mark, name, seconds, evidence or what was seen instead."""
    mark, colour = MARKS[outcome.status]
    said = escape(outcome.detail)
    return f"[{colour}]{mark}[/] {outcome.check.name} [dim]{outcome.seconds:.1f} s[/] {said}"


def summary(console: Console, report: Report) -> None:
    """Print the table (on a terminal), then what failed, what was left out, what was measured, and the counts."""
    if console.is_terminal:
        console.print(_table(report))
    for outcome in report.outcomes:
        if outcome.status is Status.FAILED:
            told = f"{escape(outcome.check.title)}\n    {escape(outcome.detail)}"
            console.print(f"[red]✗ {outcome.check.name}[/]: {told}", soft_wrap=True, highlight=False)
        elif outcome.left_out:
            console.print(f"[yellow]- {outcome.check.name} was left out[/]: {escape(outcome.detail)}", soft_wrap=True)
    if any(outcome.measures for outcome in report.outcomes):
        console.print(_measures(report))
    for warning in report.warnings:
        console.print(f"[yellow]warning[/]: {escape(warning)}", soft_wrap=True, highlight=False)
    console.print(_verdict(report), soft_wrap=True, highlight=False)


def _table(report: Report) -> Table:
    table = Table("", "component", "promise", box=None, pad_edge=False)
    table.add_column("seconds", justify="right")
    before = ""
    for outcome in sorted(report.outcomes, key=lambda one: one.check.component):
        mark, colour = MARKS[outcome.status]
        component = outcome.check.component
        shown = "" if component == before else component
        table.add_row(f"[{colour}]{mark}[/]", shown, escape(outcome.check.title), f"{outcome.seconds:.1f}")
        before = component
    return table


def _measures(report: Report) -> Table:
    table = Table("check", "what", box=None, pad_edge=False)
    table.add_column("measured", justify="right", no_wrap=True)
    table.add_column("bound", justify="right", no_wrap=True)
    for outcome in report.outcomes:
        for measure in outcome.measures:
            over = 0 < measure.bound < measure.seconds
            took = f"[red]over {measure.seconds:.2f} s[/]" if over else f"{measure.seconds:.2f} s"
            bound = f"{measure.bound:.2f} s" if measure.bound else ""
            table.add_row(outcome.check.name, escape(measure.what), took, bound)
    return table


def _verdict(report: Report) -> str:
    passed, failed, skipped = (report.count(status) for status in (Status.PASSED, Status.FAILED, Status.SKIPPED))
    counts = f"{passed} passed, {failed} failed, {skipped} skipped"
    if report.left_out:
        counts += f" ({report.left_out} of them should have run)"
    where = f"{report.cluster['name']} {report.cluster['version']}"
    text = f"{where}: {counts} in {report.cluster['seconds']:.1f} s"
    return f"[{COLOURS[report.verdict]}]{report.verdict}[/] {text}"
