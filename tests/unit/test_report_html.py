"""The HTML report: one page that is whole, safe to open, and says what must be said without a click."""

from __future__ import annotations

import base64
import hashlib
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

from pyk8s.verify import report_html
from pyk8s.verify.html import texts
from pyk8s.verify.html.chart import Chart, bar, ticks
from pyk8s.verify.html.picture import picture
from pyk8s.verify.model import Gap, Mark, Measure, Outcome, Report, Status, Timeline, Track
from tests.sample_report import CLUSTER, NODES, fault, node, outcome, sample

VOID = {"meta", "link", "input", "br"}


class Page(HTMLParser):
    """Reads a page, and keeps its elements and what stands outside every <details>."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.unfolded = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "details" not in self.open and "script" not in self.open:
            self.unfolded += data


def page(*outcomes: Outcome, **cluster: object) -> str:
    return report_html.to_text(Report(outcomes, CLUSTER | cluster))


def test_the_page_is_well_formed_and_says_its_language() -> None:
    text = report_html.to_text(sample())
    read = Page(text)
    assert text.startswith("<!doctype html>\n")
    assert read.open == []
    assert ("html", {"lang": "en"}) in read.tags
    ids = [about["id"] for _tag, about in read.tags if "id" in about]
    assert len(ids) == len(set(ids))


def test_the_page_loads_nothing_and_holds_no_address_of_others() -> None:
    text = report_html.to_text(sample())
    attributes = [pair for _tag, about in Page(text).tags for pair in about.items()]
    assert not [name for name, _value in attributes if name in {"src", "srcset", "action", "style"}]
    assert not [name for name, _value in attributes if name.startswith("on")]
    links = {value for name, value in attributes if name == "href"}
    assert all(value == "data:," or str(value).startswith("#") for value in links)
    assert "url(" not in text
    assert "@import" not in text
    assert set(re.findall(r"\w+://[\w.]+", text)) == {"https://api.example.com"}


def test_the_policy_allows_the_pages_own_style_and_script_and_no_other() -> None:
    text = report_html.to_text(sample())
    policy = next(about["content"] for tag, about in Page(text).tags if tag == "meta" and "http-equiv" in about)
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    for tag in ("style", "script"):
        own = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert len(own) == 1
        assert base64.b64encode(hashlib.sha256(own[0].encode()).digest()).decode() in policy


def test_whatever_was_said_is_text_and_never_markup() -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&"
    line = Timeline(1, (Mark(evil, 0, 1),), (Track(evil, 1, 1, (Gap(0, 1, evil),)),))
    one = outcome("evil", Status.FAILED, evil, component=evil, measures=(Measure(evil, 1, 2),), timeline=line)
    nodes = [node(evil, evil)]
    text = report_html.to_text(Report((one,), CLUSTER | {"name": evil, "server": evil, "nodes": nodes}, (evil,)))
    read = Page(text)
    assert [tag for tag, _about in read.tags].count("script") == 1
    assert "img" not in [tag for tag, _about in read.tags]
    assert read.unfolded.count(evil) >= 5


def test_characters_that_no_page_may_hold_are_replaced_and_colours_dropped() -> None:
    text = page(outcome("odd", Status.FAILED, "\x1b[31mred\x1b[0m \x00\x08 \ud800 ü ✓"))
    assert "red \ufffd\ufffd \ufffd ü ✓" in text
    assert text.encode()


def test_failed_and_left_out_checks_come_first_and_need_no_click() -> None:
    read = Page(report_html.to_text(sample()))
    for said in ("wget: timed out", "writes stood still for 12.4 s", "CoreDNS is absent", "longest gap 26.3 s"):
        assert read.unfolded.index(said) < read.unfolded.index("All checks")
    headings = ("Failed: 2 checks", "Left out: 1 check", "The cluster", "All checks")
    assert [read.unfolded.index(said) for said in headings] == sorted(read.unfolded.index(said) for said in headings)


def test_every_check_has_its_row_with_status_title_name_and_seconds() -> None:
    report = sample()
    text = report_html.to_text(report)
    rows = re.findall(r'<div class="check" data-status="([a-z ]+)" data-component="([^"]+)">(.*?)</div>\n', text, re.S)
    assert len(rows) == len(report.outcomes)
    for one in report.outcomes:
        found = [row for row in rows if f"<code>{one.check.name}</code>" in row[2]]
        assert [(row[0], row[1]) for row in found] == [(texts.kind(one), one.check.component)]
        assert one.check.title in found[0][2]
        assert "1.25 s" in found[0][2]


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (Report((outcome("one"),), CLUSTER), "Proven"),
        (Report((outcome("one", Status.FAILED),), CLUSTER), "Not proven"),
        (Report((outcome("one", Status.SKIPPED),), CLUSTER), "Not proven"),
        (Report((), CLUSTER), "Not proven"),
        (Report((outcome("one"),), CLUSTER, interrupted=True), "Interrupted"),
    ],
)
def test_the_verdict_stands_on_top_with_cluster_version_time_and_duration(report: Report, said: str) -> None:
    top = " ".join(Page(report_html.to_text(report)).unfolded.split())
    assert f"{said} production v1.36.2" in top
    assert "2026-01-01 21:14:05 UTC, took 6 min 52 s." in top
    assert ("that had not ended by then" in top) is report.interrupted


def test_warnings_are_said_on_top() -> None:
    read = Page(report_html.to_text(sample()))
    assert read.unfolded.index("still there after 30 s") < read.unfolded.index("Failed: 2 checks")


def test_a_report_without_nodes_or_checks_is_still_a_page() -> None:
    few = {key: CLUSTER[key] for key in ("name", "version", "started", "seconds")}
    for cluster in (few | {"nodes": []}, few):
        text = report_html.to_text(Report((), cluster))
        assert Page(text).open == []
        assert "Its nodes could not be listed." in text
        assert "No check ran." in text


def test_many_checks_and_long_texts_are_all_there() -> None:
    many = [outcome(f"check-{number}", detail="long " * 4000) for number in range(500)]
    text = page(*many)
    assert text.count('<div class="check"') == 500
    assert "long " * 4000 in text


def test_control_planes_stand_above_workers_and_an_unready_node_says_so() -> None:
    root = ET.fromstring(picture(CLUSTER).__html__())
    height = {shape.text: float(shape.get("y", "0")) for shape in root.iter("text")}
    assert height["https://api.example.com:6443"] < height["cp1"] == height["cp3"] < height["w1"] == height["w2"]
    words = [shape.text for shape in root.iter("text")]
    assert (words.count("Ready"), words.count("✗ NOT READY"), words.count("etcd member")) == (4, 1, 3)
    assert "w1 ready, w2 not ready" in root.get("aria-label", "")


def test_etcd_members_that_are_no_nodes_are_in_the_picture() -> None:
    words = picture({"nodes": NODES, "etcd": ["cp1", "e1", "e2"]}).__html__()
    assert "etcd alone (2)" in words
    assert words.count(">e1<") == 2


def test_a_large_cluster_grows_downwards_and_long_names_are_cut_with_the_whole_name_as_hint() -> None:
    name = "worker-with-a-very-long-name.example.com"
    drawn = picture({"nodes": [node(f"{name}-{number}", "worker") for number in range(50)]})
    root = ET.fromstring(drawn.__html__())
    assert float(root.get("width", "")) < 1110
    assert f"{name}-49" in [shape.text for shape in root.iter("title")]


def test_the_chart_has_a_lane_for_every_mark_and_probe_with_its_longest_gap() -> None:
    one = fault(0).timeline
    assert one is not None
    lanes = Chart(one).lanes()
    assert [(lane.kind, lane.label, lane.note) for lane in lanes] == [
        ("mark", "kube-apiserver on cp1 stopped", "25.0 s"),
        ("track", "write through api_endpoint", "longest gap 3.40 s"),
        ("track", "read from cp1", "longest gap 26.3 s"),
        ("track", "read from cp2", "no gap"),
        ("track", "Service by ClusterIP from w1", "no gap"),
    ]
    gaps = [shape for shape in ET.fromstring(lanes[1].drawing.__html__()) if shape.get("class") == "gap"]
    assert [(gap.get("x"), gap.get("width")) for gap in gaps] == [("11.818%", "7.727%"), ("67.955%", "0.273%")]
    assert "HTTP 503: etcdserver: request timed out" in gaps[0].findtext("title", "")


def test_a_timeline_stays_within_its_chart_even_if_a_gap_ends_late_or_nothing_took_time() -> None:
    late = Chart(Timeline(10, (), (Track("probe", 1, 1, (Gap(5, 20, ""),)),)))
    assert late.end == 20
    assert "75.000%" in late.lanes()[0].drawing.__html__()
    assert Chart(Timeline(0)).axis().__html__()


@pytest.mark.parametrize("end", [0.001, 0.3, 1, 6, 44, 61, 131, 3600, 90000])
def test_a_scale_has_a_few_round_numbers(end: float) -> None:
    found = ticks(end)
    assert 3 <= len(found) <= 7
    assert found[0] == 0
    assert found[-1] <= end


def test_a_measure_over_its_bound_is_marked_by_a_word() -> None:
    text = page(
        outcome("slow", measures=(Measure("until ready", 12, 10), Measure("until gone", 1), Measure("ok", 5, 10)))
    )
    assert text.count("<strong>over</strong>") == 1
    assert "120 % of the bound" in text
    assert "<td>none</td>" in text
    assert 'class="bound"' not in bar(Measure("ok", 5, 10)).__html__()
    assert 'class="bound"' in bar(Measure("slow", 12, 10)).__html__()


def test_a_row_shows_the_measure_that_came_closest_to_its_bound() -> None:
    text = page(outcome("one", measures=(Measure("a", 30, 60), Measure("b", 9, 10), Measure("c", 99))))
    assert '<span class="measured">9.00 s of 10.0 s</span>' in text
