"""The report as one page that loads nothing: what a person reads, and shows to others."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import jinja2

from pyk8s.verify.html import chart, texts
from pyk8s.verify.html.picture import picture
from pyk8s.verify.model import Measure, Outcome, Report

FOLDER = Path(__file__).parent / "html"
KINDS = ("failed", "left out", "skipped", "passed")
"""How checks end, the worst first."""


def to_text(report: Report) -> str:
    """Return the report as an HTML page with everything in it: style, script and drawings."""
    style, script = (_own(name) for name in ("page.css", "page.js"))
    return _environment().get_template("page.html.j2").render(
        report=report,
        cluster=report.cluster,
        counts={kind: sum(texts.kind(one) == kind for one in report.outcomes) for kind in KINDS},
        open_sections=_open_sections(report),
        components=_components(report),
        picture=picture(report.cluster),
        policy=_policy(style, script),
        style=style,
        script=script,
    )  # fmt: skip


@cache
def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=texts.clean,
    )
    made.filters.update(kind=texts.kind, s=texts.seconds, duration=texts.duration, moment=texts.moment, bar=chart.bar)
    made.filters.update(plural=texts.plural, told=texts.told, chart=chart.Chart, tightest=_tightest)
    return made


def _own(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """Let the browser load nothing, and run nothing but the page's own style and script.

    https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Content-Security-Policy
    """
    allowed = {"default-src": "'none'", "base-uri": "'none'", "form-action": "'none'", "img-src": "data:"}
    allowed |= {"style-src": _hash(style), "script-src": _hash(script)}
    return "; ".join(f"{name} {value}" for name, value in allowed.items())


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _open_sections(report: Report) -> dict[str, list[Outcome]]:
    """What must be seen without a click: the checks that failed, then those that should have run."""
    return {kind: [one for one in report.outcomes if texts.kind(one) == kind] for kind in KINDS[:2]}


def _components(report: Report) -> Mapping[str, list[Outcome]]:
    """All checks by component, in the order in which components first appear."""
    found: dict[str, list[Outcome]] = {}
    for outcome in report.outcomes:
        found.setdefault(outcome.check.component, []).append(outcome)
    return found


def _tightest(outcome: Outcome) -> Measure | None:
    """Return the measure that took most of its bound, else the longest."""

    def _share(measure: Measure) -> tuple[float, float]:
        return (measure.seconds / measure.bound if measure.bound else 0.0, measure.seconds)

    return max(outcome.measures, key=_share, default=None)
