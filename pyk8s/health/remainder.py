"""What stands after ``--`` on fab's command line, as words.

Fabric itself would run that on the hosts of ``--hosts``, and refuses it where there are none; here the tasks `run` and
`kubectl` want it, with hosts from the inventory. ``fab -H host -- command`` loads no fabfile and stays as it was.
"""

from __future__ import annotations

from typing import Protocol


class _Parsed(Protocol):
    remainder: str


class Program(Protocol):
    """The part of ``invoke.Program`` that is used here."""

    argv: list[str]
    core: _Parsed


def take(program: Program) -> list[str]:
    """Return the words after ``--`` and take them away from Fabric; none where it is not fab that runs."""
    core = getattr(program, "core", None)
    if core is None or not core.remainder:
        return []
    core.remainder = ""
    return list(program.argv[program.argv.index("--") + 1 :])
