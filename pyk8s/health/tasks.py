"""What the tasks of ``fabfile.py`` do. Each prints, and raises ``invoke.Exit`` where the exit code is not 0."""

from __future__ import annotations

import contextlib
import difflib
import functools
import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from invoke.exceptions import Exit
from rich.text import Text

from pyk8s.cluster import inventory
from pyk8s.cluster.model import Cluster, Node
from pyk8s.errors import Pyk8sError
from pyk8s.health import certs, etcd, facts, nodes, screen
from pyk8s.ssh import Result, Shell

T = TypeVar("T")
RUN_SECONDS = 600
LOG_SECONDS = 30
COLOURS = ("cyan", "magenta", "green", "yellow", "blue")
console = screen.console()


def health(source: str = "") -> None:
    """Show the cluster on one screen; exit code 1 when something is wrong."""
    with _errors():
        found = gather(_cluster(source))
        screen.show(found, console)
        if found.problems:
            raise Exit(code=1)


def gather(cluster: Cluster) -> screen.Health:
    """Ask nodes, API and etcd at once; who does not answer is part of the finding."""
    with ThreadPoolExecutor(max_workers=3) as pool:
        machines = pool.submit(facts.of_nodes, cluster)
        api = pool.submit(_or_reason, functools.partial(facts.of_api, cluster))
        store = pool.submit(_or_reason, functools.partial(etcd.members, cluster))
    (statuses, api_error), (members, etcd_error) = api.result(), store.result()
    certificates = certs.soonest_first(machines.result())
    return screen.Health(cluster, machines.result(), statuses, api_error, members, etcd_error, certificates)


def etcd_status(source: str = "") -> None:
    """Show etcd's members; exit code 1 when one is not well."""
    with _errors():
        found = etcd.members(_cluster(source))
        console.print(screen.members(found))
        if wrong := [f"{member.name}: {member.wrong}" for member in found if member.wrong]:
            raise Exit("\n".join(wrong), code=1)


def certs_expiry(source: str = "") -> None:
    """List every certificate on the nodes, the next to expire first; exit code 1 when one has, or a node is silent."""
    with _errors():
        machines, now = facts.of_nodes(_cluster(source)), datetime.now(UTC)
        found = certs.soonest_first(machines)
        console.print(screen.certificates(found, now))
        silent = [f"{one.node.name} is not reached: {one.unreachable}" for one in machines if one.unreachable]
        expired = [f"{one.node}: {one.path} has expired" for one in found if one.expires <= now]
        if silent or expired:
            raise Exit("\n".join([*silent, *expired]), code=1)


def logs(unit: str, names: str = "", lines: int = 100, source: str = "") -> None:
    """Print the last lines of a unit's journal, of the nodes named (all when none is)."""
    with _errors():
        name = unit if "." in unit else f"{unit}.service"
        command = f"journalctl --no-pager --output=short-iso --lines={int(lines)} --unit={shlex.quote(name)}"
        _everywhere(_chosen(_cluster(source), names), command, LOG_SECONDS)


def run(command: str, names: str = "", source: str = "") -> None:
    """Run a shell command as root on the nodes named (all when none is); exit code 1 when it fails on one."""
    with _errors():
        if not command:
            raise Pyk8sError("there is nothing to run", hint="write it after two dashes: `fab run -- uptime`")
        _everywhere(_chosen(_cluster(source), names), command, RUN_SECONDS)


def declare(name: str, *, dead: bool, source: str = "") -> None:
    """Declare a node dead, or alive again, and print what that did."""
    with _errors():
        cluster = _cluster(source)
        node = _chosen(cluster, name)[0]
        said = nodes.declare_dead(cluster, node) if dead else nodes.declare_alive(cluster, node)
        console.print(said, soft_wrap=True)


def kubectl(arguments: list[str], source: str = "") -> None:
    """Run kubectl as the cluster's administrator; its exit code is ours."""
    with _errors():
        cluster = _cluster(source)
        from pyk8s.verify.model import CheckSkipped
        from pyk8s.verify.session import Session

        path = facts.admin_kubeconfig(cluster)
        session = Session(path, cluster)
        where = [f"--server={session.api.configuration.host}"] if session.warnings else []
        try:
            command = [session.kubectl(), *where, *arguments]
        except CheckSkipped as error:
            raise Pyk8sError(str(error)) from error
        done = subprocess.run(command, check=False, env=os.environ | {"KUBECONFIG": str(path)})
        if done.returncode:
            raise Exit(code=done.returncode)


def _everywhere(nodes: tuple[Node, ...], command: str, seconds: float) -> None:
    def _ask(node: Node) -> Result:
        shell = Shell(node.ssh)
        try:
            return shell.run(command, check=False, timeout=seconds)
        except Pyk8sError as error:
            return Result("", str(error), 255)
        finally:
            shell.close()

    failed = []
    width = max(len(node.name) for node in nodes)
    for number, (node, result) in enumerate(zip(nodes, facts.everywhere(nodes, _ask), strict=True)):
        label = (f"{node.name:{width}} │ ", COLOURS[number % len(COLOURS)])
        for line in result.stdout.splitlines():
            console.print(Text.assemble(label, line), soft_wrap=True)
        for line in result.stderr.splitlines():
            console.print(Text.assemble(label, (line, "red")), soft_wrap=True)
        if not result.ok:
            failed.append(f"{node.name} ({result.code})")
    if failed:
        raise Exit(f"failed on {', '.join(failed)}", code=1)


def _chosen(cluster: Cluster, names: str) -> tuple[Node, ...]:
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    known = {node.name: node for node in cluster.nodes}
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else ""
            raise Pyk8sError(f"there is no node {name}", f"the nodes are {', '.join(known)}", hint)
    return tuple(known[name] for name in wanted) or cluster.nodes


def _cluster(source: str) -> Cluster:
    path = source or os.environ.get("PYK8S_INVENTORY", "")
    return inventory.load(Path(path) if path else None)


def _or_reason(ask: Callable[[], tuple[T, ...]]) -> tuple[tuple[T, ...], str]:
    try:
        return ask(), ""
    except Pyk8sError as error:
        return (), ": ".join(part for part in (error.what, error.why) if part)


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except Pyk8sError as error:
        raise Exit(str(error), code=1) from error
