"""Runs on a node (standard library only), sent there as text: asks a Service every 100 ms and says what came.

``python3 -c AGENT HOST PORT``; a line for each question: seconds from the start when it was asked and when it was
answered, and ``ok`` or what went wrong. The same question is asked from the controller by ``ask``.
"""

from __future__ import annotations

import socket
import sys
import time

PERIOD = 0.1
SECONDS = 1.0


def ask(host: str, port: int) -> str:
    """Ask a web server for its first page over a new connection; return "" when it answers 200, else what it said."""
    try:
        with socket.create_connection((host, port), SECONDS) as connection:
            connection.settimeout(SECONDS)
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            first = connection.recv(64)
    except OSError as error:
        return str(error) or type(error).__name__
    return "" if first.split(b" ")[1:2] == [b"200"] else "no answer" if not first else repr(first[:30])


def main() -> None:
    """Ask until nobody listens any more."""
    host, port = sys.argv[1], int(sys.argv[2])
    began = due = time.monotonic()
    while True:
        asked = time.monotonic()
        said = ask(host, port)
        sys.stdout.write(f"{asked - began:.3f} {time.monotonic() - began:.3f} {said or 'ok'}\n")
        sys.stdout.flush()
        due = max(due + PERIOD, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    main()
