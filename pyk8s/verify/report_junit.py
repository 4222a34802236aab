"""The report as JUnit XML, one ``testsuite`` a component: what CI systems show."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from itertools import groupby

from pyk8s.verify.model import Outcome, Report, Status

NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot carry (section 2.2), control characters of terminals among them."""


def to_text(report: Report) -> str:
    """Return the report as an XML document."""
    root = ET.Element("testsuites", {"name": "pyk8s verify", **_sums(report.outcomes)})

    def _component(outcome: Outcome) -> str:
        return outcome.check.component

    began = str(report.cluster["started"])
    for name, outcomes in groupby(sorted(report.outcomes, key=_component), key=_component):
        together = tuple(outcomes)
        suite = ET.SubElement(root, "testsuite", {"name": name, "timestamp": began, **_sums(together)})
        for outcome in together:
            _case(suite, outcome)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _sums(outcomes: Sequence[Outcome]) -> dict[str, str]:
    counts = {status: sum(outcome.status is status for outcome in outcomes) for status in Status}
    return {
        "tests": str(len(outcomes)),
        "failures": str(counts[Status.FAILED]),
        "errors": "0",
        "skipped": str(counts[Status.SKIPPED]),
        "time": f"{sum(outcome.seconds for outcome in outcomes):.3f}",
    }


def _case(suite: ET.Element, outcome: Outcome) -> None:
    check, detail = outcome.check, NOT_IN_XML.sub("?", outcome.detail)
    case = ET.SubElement(suite, "testcase", classname=check.component, name=check.name, time=f"{outcome.seconds:.3f}")
    if outcome.status is Status.PASSED:
        ET.SubElement(case, "system-out").text = detail
    elif outcome.status is Status.SKIPPED:
        ET.SubElement(case, "skipped", message=detail)
    else:
        ET.SubElement(case, "failure", message=check.title).text = detail
