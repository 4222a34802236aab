"""The report as JSON: what scripts read."""

from __future__ import annotations

import json
from typing import Any

from pyk8s.verify.model import Outcome, Report


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
        "seconds": outcome.seconds,
        "detail": outcome.detail,
    }
