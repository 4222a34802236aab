"""Words and numbers as the HTML report writes them."""

from __future__ import annotations

import datetime
import re

from markupsafe import Markup

from pyk8s.verify.model import Measure, Outcome

COLOURS = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
"""What terminals take for colours and movements (ECMA-48, section 5.4)."""
NOT_IN_HTML = re.compile("[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufdcf\ufdf0-\ufffd\U00010000-\U0010fffd]")
"""Control characters, halves of surrogate pairs and what is no character; a page with them is not valid."""


def clean(value: object) -> object:
    """Return what a template prints; text that is not markup loses colours, and characters that no page may hold."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return NOT_IN_HTML.sub("\ufffd", COLOURS.sub("", value))


def kind(outcome: Outcome) -> str:
    """How a check ended, in one of four words: ``passed``, ``failed``, ``left out`` or ``skipped`` (by design)."""
    return "left out" if outcome.left_out else outcome.status.value


def seconds(value: float) -> str:
    """Return a time in seconds with as many decimals as one can use."""
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def told(measure: Measure) -> str:
    """Return what was measured, and of how much."""
    return f"{seconds(measure.seconds)} of {seconds(measure.bound)}" if measure.bound else seconds(measure.seconds)


def duration(value: float) -> str:
    """Return how long a run took, in minutes when it took any."""
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes else f"{value:.1f} s"


def moment(value: str) -> str:
    """Return an ISO 8601 time as people write it, in UTC."""
    when = datetime.datetime.fromisoformat(value).astimezone(datetime.UTC)
    return f"{when:%Y-%m-%d %H:%M:%S} UTC"


def plural(count: int, thing: str) -> str:
    """Return a number with its noun: ``1 worker``, ``2 workers``."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def short(text: str, characters: int) -> str:
    """Return a text that is at most so long, its end left out."""
    return text if len(text) <= characters else text[: characters - 1] + "…"
