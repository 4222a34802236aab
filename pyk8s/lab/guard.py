"""A process of its own that waits until the run which makes faults is gone, and undoes what that left behind.

It notices by the end of its standard input, which the run holds open: that ends however the run ends, be it by kill -9.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pyk8s.errors import Pyk8sError
from pyk8s.lab.remedies import Ledger, heal


def start(ledger: Ledger) -> subprocess.Popen[bytes]:
    """Start the guard of a ledger, in a session of its own so that Ctrl-C does not end it."""
    log = ledger.path.with_suffix(".log")
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "pyk8s.lab.guard", str(ledger.path)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def main() -> None:
    """Wait for the end of the run, then undo every fault that is still open."""
    ledger = Ledger(Path(sys.argv[1]))
    sys.stdin.buffer.read()
    try:
        for what in heal(ledger):
            sys.stdout.write(f"the run ended without undoing it, now undone: {what}\n")
    except Pyk8sError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
