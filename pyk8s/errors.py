"""The one base exception: an error says what, where, why and what to do next."""

from __future__ import annotations


class Pyk8sError(Exception):
    """A failure that a person can act on.

    ``what`` names what did not work (and where), ``why`` the cause, ``hint`` the next step.
    """

    def __init__(self, what: str, why: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.hint = hint

    def __str__(self) -> str:
        parts = [self.what]
        if self.why:
            parts.append(f"why: {self.why}")
        if self.hint:
            parts.append(f"next: {self.hint}")
        return "\n  ".join(parts)
