"""A check's timeline, drawn lane by lane, and the bar of a measure.

Places are per cent of a lane's width, so that a lane is as wide as the screen allows and its text stays readable.
"""

from __future__ import annotations

import dataclasses

from pyk8s.verify.html.svg import Drawing
from pyk8s.verify.html.texts import seconds
from pyk8s.verify.model import Gap, Mark, Measure, Timeline, Track

HEIGHT, BAR = 22, 14
TICKS = 6


@dataclasses.dataclass(frozen=True)
class Lane:
    """One row: ``kind`` is ``mark`` or ``track``; ``note`` stands at its end, ``bad`` when it tells of a gap."""

    kind: str
    label: str
    note: str
    drawing: Drawing
    bad: bool = False


class Chart:
    """A timeline's lanes on one scale, from 0 to its end."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        ends = [mark.until for mark in timeline.marks]
        ends += [gap.until for track in timeline.tracks for gap in track.gaps]
        self.end = max([timeline.seconds, 0.001, *ends])

    def lanes(self) -> list[Lane]:
        """Return what was done, then what each probe saw."""
        return [self._mark(mark) for mark in self.timeline.marks] + [self._track(one) for one in self.timeline.tracks]

    def axis(self) -> Drawing:
        """Draw the scale, in seconds."""
        root = Drawing("100%", 20, f"0 to {seconds(self.end)}", class_="axis")
        for tick in ticks(self.end):
            place = 100 * tick / self.end
            anchor = "start" if place < 3 else "end" if place > 97 else "middle"
            root.add("line", class_="grid", x1=f"{place:.3f}%", x2=f"{place:.3f}%", y1=0, y2=4)
            root.add("text", f"{tick:g} s", x=f"{place:.3f}%", y=16, text_anchor=anchor)
        return root

    def gaps(self) -> list[tuple[Track, Gap]]:
        """Return the gaps of all probes in the order of time."""
        found = [(track, gap) for track in self.timeline.tracks for gap in track.gaps]
        return sorted(found, key=lambda pair: pair[1].at)

    def _mark(self, mark: Mark) -> Lane:
        text = f"{mark.what}: from {seconds(mark.at)} to {seconds(mark.until)}"
        root = self._lane(text)
        self._bar(root, "mark", mark.at, mark.until, hint=text)
        return Lane("mark", mark.what, seconds(mark.until - mark.at), root)

    def _track(self, track: Track) -> Lane:
        note = f"longest gap {seconds(track.longest)}" if track.gaps else "no gap"
        root = self._lane(f"{track.name}: {note}")
        for mark in self.timeline.marks:
            self._bar(root, "band", mark.at, mark.until, HEIGHT)
        root.add("line", class_="good", x1="0", x2="100%", y1=HEIGHT / 2, y2=HEIGHT / 2)
        for gap in track.gaps:
            text = f"no good answer from {seconds(gap.at)} to {seconds(gap.until)}, for {seconds(gap.seconds)}"
            self._bar(root, "gap", gap.at, gap.until, hint=f"{text}: {gap.why}" if gap.why else text)
        return Lane("track", track.name, note, root, bool(track.gaps))

    def _lane(self, label: str) -> Drawing:
        root = Drawing("100%", HEIGHT, label, class_="lane")
        for tick in ticks(self.end):
            place = f"{100 * tick / self.end:.3f}%"
            root.add("line", class_="grid", x1=place, x2=place, y1=0, y2=HEIGHT)
        return root

    def _bar(self, root: Drawing, name: str, at: float, until: float, high: float = BAR, hint: str = "") -> None:
        left = max(0.0, at)
        place = {"x": f"{100 * left / self.end:.3f}%", "width": f"{100 * max(0.0, until - left) / self.end:.3f}%"}
        root.add("rect", hint=hint, class_=name, y=(HEIGHT - high) / 2, height=high, **place)


def ticks(end: float) -> list[float]:
    """Return round numbers from 0 up to ``end``: at most seven, in steps of 1, 2 or 5 times a power of ten."""
    step = next(
        step
        for power in range(-4, 9)
        for step in (10.0**power, 2 * 10.0**power, 5 * 10.0**power)
        if end / step <= TICKS
    )
    return [round(number * step, 4) for number in range(int(end / step + 1e-9) + 1)]


def bar(measure: Measure) -> Drawing:
    """Draw a measure's share of its bound; where it is over, the bound is a line within the bar."""
    over = measure.seconds > measure.bound
    said = f"{100 * measure.seconds / measure.bound:.0f} % of the bound"
    root = Drawing("100%", 12, said, class_="share")
    root.add("rect", class_="all", x=0, y=1, width="100%", height=10, rx=2)
    share = min(100.0, 100 * max(0.0, measure.seconds) / measure.bound)
    name = "over" if over else "part"
    root.add("rect", hint=said, class_=name, x=0, y=1, width=f"{share:.2f}%", height=10, rx=2)
    if over:
        place = f"{100 * measure.bound / measure.seconds:.2f}%"
        root.add("line", class_="bound", x1=place, x2=place, y1=0, y2=12)
    return root
