"""The report as JSON: what scripts read."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from pyk8s.verify.model import Outcome, Report, Timeline, Track


def to_dict(report: Report) -> dict[str, Any]:
    """Return ``cluster``, ``checks`` and ``warnings`` as plain values; ``ok`` goes with exit code 0."""
    return {
        "ok": report.exit_code == 0,
        "cluster": report.cluster,
        "checks": [_outcome(outcome) for outcome in report.outcomes],
        "warnings": list(report.warnings),
    }


def to_text(report: Report) -> str:
    """Return the report as indented JSON, ending with a newline."""
    return json.dumps(to_dict(report), indent=2, ensure_ascii=False) + "\n"


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "name": outcome.check.name,
        "title": outcome.check.title,
        "component": outcome.check.component,
        "status": outcome.status.value,
        "left_out": outcome.left_out,
        "seconds": outcome.seconds,
        "detail": outcome.detail,
        "measures": [dataclasses.asdict(measure) for measure in outcome.measures],
        "timeline": _timeline(outcome.timeline) if outcome.timeline else None,
    }


def _timeline(timeline: Timeline) -> dict[str, Any]:
    return {
        "seconds": timeline.seconds,
        "marks": [dataclasses.asdict(mark) for mark in timeline.marks],
        "tracks": [_track(track) for track in timeline.tracks],
    }


def _track(track: Track) -> dict[str, Any]:
    return {
        "name": track.name,
        "asked": track.asked,
        "failed": track.failed,
        "longest": round(track.longest, 3),
        "gaps": [dataclasses.asdict(gap) for gap in track.gaps],
    }
