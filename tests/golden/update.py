"""Write the golden trees anew: ``python -m tests.golden.update``, then read ``git diff tests/golden``."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.golden.cases import Case, Texts, cases, texts

TREES = Path(__file__).parent / "trees"


def read(case: Case) -> Texts:
    """Return the checked-in tree of a case."""
    root = TREES / case.name
    return {p.relative_to(root).as_posix(): p.read_text("utf-8") for p in sorted(root.rglob("*")) if p.is_file()}


def main() -> None:
    """Replace all trees."""
    shutil.rmtree(TREES, ignore_errors=True)
    for case in cases():
        for name, text in texts(case).items():
            path = TREES / case.name / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
