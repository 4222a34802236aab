"""``pyk8s verify``: prove a cluster, ours or anybody's."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from pyk8s.cluster import inventory as inventories
from pyk8s.cluster.model import Cluster
from pyk8s.errors import Pyk8sError
from pyk8s.verify import registry, report_html, report_json, report_junit, report_terminal
from pyk8s.verify.model import Check, Report
from pyk8s.verify.runner import Runner
from pyk8s.verify.session import Session

FORMS = {"json": report_json.to_text, "junit": report_junit.to_text, "html": report_html.to_text}


def verify(
    suite: Annotated[str, typer.Option(help="smoke, full, faults or slo")] = "full",
    check: Annotated[list[str] | None, typer.Option(help="Only the check of this name; may be repeated")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report there as JSON")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write the report there as JUnit XML")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the report there as a page for people")] = None,
    kubeconfig: Annotated[
        Path | None, typer.Option(help="Prove the cluster behind this file; alone, leaves out what needs the nodes")
    ] = None,
    inventory: Annotated[Path | None, typer.Option(help="The Ansible inventory; inventory/lab when absent")] = None,
    list_checks: Annotated[bool, typer.Option("--list", help="List the checks and run none")] = False,
) -> None:
    """Prove, on the running cluster, every promise that the architecture makes."""
    checks = registry.select(registry.load(), suite, check or ())
    console = Console()
    if list_checks:
        _list(console, checks)
        return
    cluster = None if kubeconfig and not inventory else inventories.load(inventory)
    targets = _targets({"json": json_file, "junit": junit, "html": html}, cluster)
    session = Session(_kubeconfig(kubeconfig, cluster), cluster)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with report_terminal.Live(console, len(checks)) as live:
            report = Runner(session, live, named=bool(check)).run(checks)
    finally:
        signal.signal(signal.SIGTERM, before)
        session.close()
    report_terminal.summary(console, report)
    _write(targets, report)
    _point(console, targets)
    raise typer.Exit(report.exit_code)


def _kubeconfig(given: Path | None, cluster: Cluster | None) -> Path:
    if given:
        return given
    if cluster is None:
        raise Pyk8sError("there is neither an inventory nor a kubeconfig")
    return cluster.directory / "admin.kubeconfig"


def _targets(asked: Mapping[str, Path | None], cluster: Cluster | None) -> list[tuple[Path, str]]:
    targets = [(path, form) for form, path in asked.items() if path]
    if cluster:
        targets += [(cluster.directory / "reports" / f"verify.{form}", form) for form in ("json", "html")]
    for path, _form in targets:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Pyk8sError(f"the report cannot be written to {path}", str(error)) from error
    return targets


def _write(targets: list[tuple[Path, str]], report: Report) -> None:
    for path, form in targets:
        try:
            path.write_text(FORMS[form](report), encoding="utf-8")
        except OSError as error:
            raise Pyk8sError(f"the report cannot be written to {path}", str(error)) from error


def _point(console: Console, targets: list[tuple[Path, str]]) -> None:
    """Say where the page is: the one that was asked for, else the cluster's own."""
    pages = [path for path, form in targets if form == "html"]
    if pages:
        console.print(f"report: {escape(str(pages[0]))}", soft_wrap=True, highlight=False)


def _list(console: Console, checks: tuple[Check, ...]) -> None:
    width = max(len(one.name) for one in checks)
    for one in checks:
        needs = f" [dim](needs {', '.join(one.needs)})[/]" if one.needs else ""
        text = f"{one.name:{width}}  {one.component}: {escape(one.title)}{needs}"
        console.print(text, soft_wrap=True, highlight=False)
