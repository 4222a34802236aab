"""The register of all checks, and the choice among them."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterable

from pyk8s.errors import Pyk8sError
from pyk8s.verify import checks as package
from pyk8s.verify.context import Context
from pyk8s.verify.model import NEEDS, SUITES, Check

Function = Callable[[Context], str]
_CHECKS: dict[str, Check] = {}


def check(
    name: str,
    *,
    component: str,
    title: str,
    suites: tuple[str, ...] = ("full",),
    needs: tuple[str, ...] = (),
    exclusive: bool = False,
    timeout: float = 60,
) -> Callable[[Function], Function]:
    """Register a function as a check; it returns one line of evidence or raises CheckFailed or CheckSkipped.

    ``exclusive`` ones run alone, after the others. ``timeout`` is in seconds; checks with a long one start first.
    Raises ValueError on a name twice, an unknown suite or an unknown need.
    """
    if unknown := (set(suites) - set(SUITES)) | (set(needs) - NEEDS):
        raise ValueError(f"check {name}: unknown {', '.join(sorted(unknown))}")

    def _register(function: Function) -> Function:
        known = _CHECKS.get(name)
        if known and (known.run.__module__, known.run.__qualname__) != (function.__module__, function.__qualname__):
            raise ValueError(f"two checks have the name {name}")
        _CHECKS[name] = Check(name, component, title, function, suites, needs, exclusive, timeout)
        return function

    return _register


def fault_check(
    name: str, *, component: str, title: str, timeout: float, needs: tuple[str, ...] = ("nodes",)
) -> Callable[[Function], Function]:
    """Register a check of the suite ``faults``: it needs the machines, and runs alone."""
    return check(
        name, component=component, title=title, suites=("faults",), needs=needs, exclusive=True, timeout=timeout
    )


def load() -> tuple[Check, ...]:
    """Import every module of ``pyk8s.verify.checks`` and return all checks, by component and name."""
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return tuple(sorted(_CHECKS.values(), key=lambda known: (known.component, known.name)))


def select(known: Iterable[Check], suite: str, names: Iterable[str] = ()) -> tuple[Check, ...]:
    """Return the checks of that name, or those of the suite when no name is given.

    Raises Pyk8sError on an unknown suite or name, and when nothing is left to run.
    """
    known, names = tuple(known), tuple(names)
    if names:
        by_name = {one.name: one for one in known}
        if unknown := [name for name in names if name not in by_name]:
            raise Pyk8sError("; ".join(_unknown(name, by_name) for name in unknown), hint="`pyk8s verify --list`")
        return tuple(by_name[name] for name in dict.fromkeys(names))
    if suite not in SUITES:
        raise Pyk8sError(f"there is no suite {suite}", hint=f"suites are {', '.join(SUITES)}")
    chosen = tuple(one for one in known if suite in one.suites)
    if not chosen:
        raise Pyk8sError(f"no checks in suite {suite}", "nothing would be proven", "choose another: --suite full")
    return chosen


def _unknown(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=3)
    return f"there is no check {name}" + (f": did you mean {' or '.join(near)}?" if near else "")
