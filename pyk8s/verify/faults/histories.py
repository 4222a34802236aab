"""Histories of reads and writes on registers, and whether they are linearizable.

Every write has a value of its own, so that each read names the write that it saw. Then a history can be explained by
one order of all operations, each at some moment between its call and its return, exactly when the zones of the values
do not conflict: Gibbons and Korach, "Testing Shared Memories", SIAM Journal on Computing 26 (1997), section 4.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import defaultdict
from collections.abc import Iterable

NEVER = math.inf
INITIAL = ""
"""What a register holds before the first write."""


@dataclasses.dataclass(frozen=True)
class Operation:
    """A read or a write of ``value``, from call to return in seconds of one clock.

    ``ended`` is NEVER for a write whose outcome nobody knows: it may have happened at any moment since, or never. Reads
    without an answer say nothing, and are left out.
    """

    client: str
    key: str
    writes: bool
    value: str
    began: float
    ended: float

    def __str__(self) -> str:
        verb, until = ("write" if self.writes else "read"), "no answer" if self.ended == NEVER else f"{self.ended:.3f}"
        return f"{self.client} {verb} {self.key}={self.value or 'nothing'} [{self.began:.3f}, {until}]"


@dataclasses.dataclass(frozen=True)
class Zone:
    """Between the first return and the last call of all operations on one value, the value must have been there.

    A forward zone: the register held the value all the time from ``low`` to ``high``. A backward one: the operations
    overlap, and the register held the value at some moment in it.
    """

    value: str
    low: float
    high: float
    forward: bool


def violations(history: Iterable[Operation]) -> list[str]:
    """Return one sentence for each conflict; none when the history is linearizable, register by register.

    A history over several registers is linearizable when that of each register is (Herlihy and Wing, 1990).
    """
    by_key: dict[str, list[Operation]] = defaultdict(list)
    for operation in history:
        by_key[operation.key].append(operation)
    return [said for key in sorted(by_key) for said in _of_register(key, by_key[key])]


def _of_register(key: str, operations: list[Operation]) -> list[str]:
    writes = {one.value: one for one in operations if one.writes}
    writes[INITIAL] = Operation("nobody", key, True, INITIAL, -math.inf, -math.inf)
    reads: dict[str, list[Operation]] = defaultdict(list)
    found = []
    for one in operations:
        if one.writes:
            continue
        if one.value not in writes:
            found.append(f"{one}: nobody ever wrote that")
        elif one.ended < writes[one.value].began:
            found.append(f"{one}: it was written only later, {writes[one.value]}")
        else:
            reads[one.value].append(one)
    unseen = {value for value, write in writes.items() if write.ended == NEVER and not reads[value]}
    zones = [_zone([write, *reads[value]]) for value, write in writes.items() if value not in unseen]
    return found + _conflicts(key, zones)


def _zone(operations: list[Operation]) -> Zone:
    first, last = min(one.ended for one in operations), max(one.began for one in operations)
    return Zone(operations[0].value, min(first, last), max(first, last), first < last)


def _conflicts(key: str, zones: list[Zone]) -> list[str]:
    forward = sorted((zone for zone in zones if zone.forward), key=lambda zone: zone.low)
    found = []
    for one, other in itertools.combinations(forward, 2):
        if other.low < one.high:
            found.append(f"{key} held {_said(one)} and {_said(other)} at one time")
    for inner in (zone for zone in zones if not zone.forward):
        for outer in forward:
            if outer.low < inner.low and inner.high < outer.high:
                found.append(f"{key} held {_said(inner)} while it held {_said(outer)}")
    return found


def _said(zone: Zone) -> str:
    return f"{zone.value or 'nothing'} from {zone.low:.3f} to {zone.high:.3f}"
