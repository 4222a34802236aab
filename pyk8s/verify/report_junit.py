"""The report as JUnit XML, one ``testsuite`` a component: what CI systems show.

A check that should have run and did not is an error, as it is for the exit code; one skipped by design is skipped.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from pyk8s.verify.model import Outcome, Report, Status, Timeline

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
        _properties(suite, report.cluster)
        for outcome in together:
            _case(suite, outcome)
    if report.warnings and len(root):
        ET.SubElement(root[0], "system-err").text = _text("\n".join(report.warnings))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _sums(outcomes: Sequence[Outcome]) -> dict[str, str]:
    left_out = sum(outcome.left_out for outcome in outcomes)
    counts = {status: sum(outcome.status is status for outcome in outcomes) for status in Status}
    return {
        "tests": str(len(outcomes)),
        "failures": str(counts[Status.FAILED]),
        "errors": str(left_out),
        "skipped": str(counts[Status.SKIPPED] - left_out),
        "time": f"{sum(outcome.seconds for outcome in outcomes):.3f}",
    }


def _case(suite: ET.Element, outcome: Outcome) -> None:
    check, detail = outcome.check, _text(outcome.detail)
    case = ET.SubElement(suite, "testcase", classname=check.component, name=check.name, time=f"{outcome.seconds:.3f}")
    if outcome.measures:
        properties = ET.SubElement(case, "properties")
        for measure in outcome.measures:
            value = f"{measure.seconds:.3f}"
            ET.SubElement(properties, "property", name=f"measured: {_text(measure.what)}", value=value)
            if measure.bound:
                promised = f"{measure.bound:.3f}"
                ET.SubElement(properties, "property", name=f"promised: {_text(measure.what)}", value=promised)
    said = [detail] if outcome.status is Status.PASSED else []
    if outcome.left_out:
        ET.SubElement(case, "error", message="it should have run and did not").text = detail
    elif outcome.status is Status.SKIPPED:
        ET.SubElement(case, "skipped", message=detail)
    elif outcome.status is Status.FAILED:
        ET.SubElement(case, "failure", message=check.title).text = detail
    if outcome.timeline:
        said += [_text(line) for line in _lines(outcome.timeline)]
    if said:
        ET.SubElement(case, "system-out").text = "\n".join(said)


def _properties(suite: ET.Element, cluster: Mapping[str, object]) -> None:
    """Say which cluster it was, in what can be said in a line."""
    properties = ET.SubElement(suite, "properties")
    for key, value in cluster.items():
        if isinstance(value, str | int | float):
            ET.SubElement(properties, "property", name=f"cluster: {key}", value=_text(str(value)))


def _lines(timeline: Timeline) -> Iterator[str]:
    """A timeline as lines of text."""
    for mark in timeline.marks:
        yield f"{mark.at:.2f} s to {mark.until:.2f} s: {mark.what}"
    for track in timeline.tracks:
        yield f"{track.name}: asked {track.asked} times, {track.failed} in vain, longest gap {track.longest:.2f} s"
        for gap in track.gaps:
            yield f"  no good answer from {gap.at:.2f} s to {gap.until:.2f} s: {gap.why or 'nothing was said'}"


def _text(said: str) -> str:
    return NOT_IN_XML.sub("?", said)
