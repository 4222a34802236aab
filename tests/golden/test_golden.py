"""Every component, rendered for every supported version, is what is checked in.

A difference that is wanted is taken over with ``python -m tests.golden.update``; ``git diff`` then shows it for review.
"""

from __future__ import annotations

import difflib

import pytest

from tests.golden.cases import Case, Texts, cases, texts
from tests.golden.update import TREES, read

REGENERATE = "if this is wanted: python -m tests.golden.update, then review git diff tests/golden"


def difference(before: Texts, after: Texts) -> str:
    """Return a unified diff of two trees, empty when they are one."""
    lines: list[str] = []
    for name in sorted({*before, *after}):
        old, new = (tree.get(name, "").splitlines(keepends=True) for tree in (before, after))
        header = f"checked in/{name}", f"rendered/{name}"
        if (name in before) != (name in after):
            lines.append(f"only {'checked in' if name in before else 'rendered'}: {name}\n")
        lines += difflib.unified_diff(old, new, *header)
    return "".join(lines)


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_what_is_rendered_is_what_is_checked_in(case: Case) -> None:
    found = difference(read(case), texts(case))
    assert not found, f"\n{found}\n{REGENERATE}"


def test_every_checked_in_tree_belongs_to_a_case() -> None:
    assert {path.name for path in TREES.iterdir()} == {case.name for case in cases()}, REGENERATE


def test_a_changed_an_added_and_a_missing_file_are_told_apart() -> None:
    before = {"same": "1\n", "changed": "a\nb\n", "gone": ""}
    found = difference(before, {"same": "1\n", "changed": "a\nc\n", "new": "d\n"})
    assert "-b\n+c\n" in found
    assert "only checked in: gone" in found
    assert "only rendered: new" in found
    assert "same" not in found
