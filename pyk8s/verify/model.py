"""What a check is, how it ends, and what a whole run says."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyk8s.verify.context import Context

SUITES = ("smoke", "full", "faults", "slo")
NEEDS = frozenset({"nodes", "etcd", "two-workers", "outside", "spare-control-planes", "spare-members"})


class CheckFailed(Exception):  # noqa: N818 - it states an outcome, not an error of the program
    """The promise does not hold; the message says what was seen instead."""


class CommandFailed(CheckFailed):
    """A command inside a container ended with another code than 0. ``Context.wait`` tries again on it."""


class CheckSkipped(Exception):  # noqa: N818 - as above
    """The check could not run. ``expected`` when that was asked for or is by design: then it costs no success."""

    def __init__(self, reason: str, *, expected: bool = False) -> None:
        super().__init__(reason)
        self.expected = expected


class Interrupted(Exception):  # noqa: N818 - as above
    """The run was ended from outside (Ctrl-C); raised in the checks under way so that they clean up."""


class Status(enum.StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclasses.dataclass(frozen=True)
class Check:
    """One promise. ``timeout`` bounds its waiting, in seconds; ``needs`` is a subset of ``NEEDS``."""

    name: str
    component: str
    title: str
    run: Callable[[Context], str]
    suites: tuple[str, ...] = ("full",)
    needs: tuple[str, ...] = ()
    exclusive: bool = False
    timeout: float = 60


@dataclasses.dataclass(frozen=True)
class Measure:
    """How long something took, and how long it may take; both in seconds, ``bound`` 0 where there is none."""

    what: str
    seconds: float
    bound: float = 0


@dataclasses.dataclass(frozen=True)
class Mark:
    """Something that was done to the cluster: from when until when, in seconds since the check began."""

    what: str
    at: float
    until: float


@dataclasses.dataclass(frozen=True)
class Gap:
    """Between two good answers of a probe: from when until when (seconds since the check began), and what was said."""

    at: float
    until: float
    why: str = ""

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.until - self.at


@dataclasses.dataclass(frozen=True)
class Track:
    """What one probe saw: how often it asked, how often in vain, and the gaps in which it got no good answer."""

    name: str
    asked: int
    failed: int
    gaps: tuple[Gap, ...] = ()

    @property
    def longest(self) -> float:
        """The longest gap in seconds, 0 without any."""
        return max((gap.seconds for gap in self.gaps), default=0.0)


@dataclasses.dataclass(frozen=True)
class Timeline:
    """What happened during a check of ``seconds``: what was done, and what the probes saw of it."""

    seconds: float
    marks: tuple[Mark, ...] = ()
    tracks: tuple[Track, ...] = ()


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How one check ended: evidence, what was seen instead, or why it did not run."""

    check: Check
    status: Status
    seconds: float
    detail: str
    expected: bool = False
    measures: tuple[Measure, ...] = ()
    timeline: Timeline | None = None

    @property
    def left_out(self) -> bool:
        """Whether it was skipped though it should have run."""
        return self.status is Status.SKIPPED and not self.expected


@dataclasses.dataclass(frozen=True)
class Report:
    """A whole run. ``cluster`` says which cluster it was; ``warnings`` what could not be cleaned up."""

    outcomes: tuple[Outcome, ...]
    cluster: dict[str, Any]
    warnings: tuple[str, ...] = ()
    interrupted: bool = False

    def count(self, status: Status) -> int:
        """How many checks ended so."""
        return sum(outcome.status is status for outcome in self.outcomes)

    @property
    def left_out(self) -> int:
        """How many checks should have run and did not."""
        return sum(outcome.left_out for outcome in self.outcomes)

    @property
    def verdict(self) -> str:
        """``proven``, ``not proven`` or ``interrupted``."""
        if self.interrupted:
            return "interrupted"
        return "proven" if self.exit_code == 0 else "not proven"

    @property
    def exit_code(self) -> int:
        """0 when something was proven, nothing failed and nothing that should run was left out; 130 after Ctrl-C."""
        if self.interrupted:
            return 130
        proven = self.count(Status.PASSED) > 0 and self.count(Status.FAILED) == 0 and self.left_out == 0
        return 0 if proven else 1
