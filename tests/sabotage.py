"""Something is broken on a node on purpose: what is done, how it is undone, and which checks must see it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

from pyk8s.ssh import Shell
from tests import tools


@dataclasses.dataclass(frozen=True)
class Sabotage:
    """What is done on a node, how it is undone, and what must be noticed."""

    title: str
    node: str
    harm: str
    undo: str
    noticed: tuple[str, ...]
    unaffected: tuple[str, ...] = ()


API_READY = (
    "for i in $(seq 120); do curl -fsS -o /dev/null --cacert /etc/kubernetes/pki/ca.crt "
    "--cert /etc/kubernetes/pki/health.crt --key /etc/kubernetes/pki/health.key "
    "https://127.0.0.1:6443/readyz 2>/dev/null && exit 0; sleep 0.5; done; exit 1"
)
"""systemd calls an apiserver started before it is ready; what is asked meanwhile says nothing about the harm."""


def edit(path: str, pattern: str, unit: str, *, reload: bool = False) -> tuple[str, str]:
    """Return the commands that change a file and restart its unit, and that put both back."""
    restart = f"systemctl daemon-reload && systemctl restart {unit}" if reload else f"systemctl restart {unit}"
    settled = f"({API_READY})" if unit in {"etcd", "kube-apiserver"} else "true"
    harm = f"cp -p {path} /run/kept && sed -i '{pattern}' {path} && ! cmp -s /run/kept {path} && {restart} && {settled}"
    return harm, f"cp -p /run/kept {path} && systemctl daemon-reload && systemctl restart {unit}"


def notices(
    lab: str,
    shells: dict[str, Shell],
    case: Sabotage,
    bystanders: tuple[str, ...],
    settled: Callable[[dict[str, Shell]], None] | None = None,
) -> None:
    """Break it, see that exactly the right checks fail, undo it, and see them pass again."""
    wanted = {*bystanders, *case.noticed, *case.unaffected}
    shells[case.node].run(case.harm, timeout=120)
    try:
        if settled:
            settled(shells)
        ended, checks = tools.verify(lab, *(word for name in sorted(wanted) for word in ("--check", name)))
    finally:
        shells[case.node].run(case.undo, timeout=120)
    assert set(checks) == wanted, ended.output
    assert tools.names(checks, "failed") == set(case.noticed), ended.output
    assert ended.code == 1
    assert proven_again(lab, case.noticed), f"{case.noticed} did not pass again after: {case.undo}"


def proven_again(lab: str, checks: tuple[str, ...]) -> bool:
    """Say whether it is all proven again within a minute: a new leader, for one, waits for the old one's lease."""
    arguments = [word for name in checks for word in ("--check", name)]
    deadline = time.monotonic() + 60
    while tools.verify(lab, *arguments)[0].code != 0:
        if time.monotonic() > deadline:
            return False
    return True
