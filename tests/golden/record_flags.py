"""Record the flags that real binaries know: ``python -m tests.golden.record_flags 36 FOLDER-OF-BINARIES``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.golden.facts import EVERY, FLAGS, flags_in_help


def flags_of_binary(binary: Path) -> dict[str, bool]:
    """Ask a binary for its flags, and whether each is deprecated; it changes nothing."""
    done = subprocess.run([str(binary), "--help"], capture_output=True, text=True, check=False, timeout=30)
    return flags_in_help(done.stdout + done.stderr)


def lines(folder: Path) -> Iterator[str]:
    """Yield a line for each flag of each binary."""
    for name in EVERY:
        for flag, deprecated in sorted(flags_of_binary(folder / name).items()):
            yield f"{name} {flag} deprecated" if deprecated else f"{name} {flag}"


def main(minor: str, folder: str) -> None:
    """Write the record of a minor."""
    FLAGS.mkdir(exist_ok=True)
    (FLAGS / f"{minor}.txt").write_text("\n".join(lines(Path(folder))) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
