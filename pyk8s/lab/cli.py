"""``pyk8s lab``: machines to try it on."""

from __future__ import annotations

from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from pyk8s import paths
from pyk8s.cluster.config import ClusterConfig
from pyk8s.errors import Pyk8sError
from pyk8s.lab import api, remedies
from pyk8s.lab.spec import LabSpec

app = typer.Typer(help="Machines to try it on: containers with systemd and sshd, and a registry.", no_args_is_help=True)
console = Console()

Name = Annotated[str, typer.Option("--name", help="The lab's name; several can stand side by side.")]
Count = Annotated[int | None, typer.Option(min=0, show_default=False)]


def _say(text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


@app.command()
def up(
    name: Name = "lab",
    control_planes: Annotated[int | None, typer.Option(min=1, help="Control planes [1, or what it has].")] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Workers [2, or what it has]; 0 makes control planes workers too.")
    ] = None,
    etcd: Annotated[int | None, typer.Option(min=0, help="Machines for etcd alone [0, or what it has].")] = None,
    kubernetes_version: Annotated[
        str, typer.Option(help="Such as 1.36.2; by default the newest, or 1.20.2 where upstream does not answer.")
    ] = "",
    reset: Annotated[bool, typer.Option("--reset", help="Write group_vars/all.yml anew, edits are lost.")] = False,
) -> None:
    """Bring up a lab, or what is missing of it, and write its inventory."""
    if kubernetes_version:
        _check_version(kubernetes_version)
    has = api.counts(name)
    spec = LabSpec(
        name,
        _choose(control_planes, has.get("cp"), 1),
        _choose(workers, has.get("w"), 2),
        _choose(etcd, has.get("etcd"), 0),
        kubernetes_version,
    )
    lab = api.up(spec, _say, reset)
    if len(lab.nodes) > len(spec.machine_names):
        _say("machines beyond the wanted number stay: up adds, it never removes")
    _show(lab)
    _say(f"inventory: {lab.inventory}")


def _choose(told: int | None, has: int | None, default: int) -> int:
    return told if told is not None else has if has is not None else default


def _check_version(version: str) -> None:
    try:
        ClusterConfig(kubernetes_version=version)
    except ValidationError as error:
        why = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise Pyk8sError(f"kubernetes_version {version} is refused", why, "see pyk8s artifacts list") from error


@app.command()
def down(
    name: Name = "lab",
    images: Annotated[bool, typer.Option("--images", help="Remove the cached images, too.")] = False,
) -> None:
    """Remove a lab: all that up made, and nothing else. The node image stays cached."""
    removed = api.down(name, _say, images)
    _say(f"removed: {', '.join(removed)}" if removed else f"there is no lab {name}, nothing was removed")
    if not images:
        _say("the node image stays cached; --images removes it")


@app.command()
def status(name: Name = "lab") -> None:
    """Show a lab's machines; exit 1 unless all of them run."""
    lab = api.status(name)
    _show(lab)
    if not lab.running:
        raise typer.Exit(1)


@app.command()
def heal(name: Name = "lab") -> None:
    """Undo the faults that a run left behind: dead or frozen machines, cut links, stopped units."""
    ledger = remedies.Ledger(paths.ROOT / "clusters" / name / "faults.json")
    if not ledger.path.parent.is_dir():
        raise Pyk8sError(f"there is no lab {name}", "it has no folder below clusters/", "pyk8s lab status")
    with ledger.own():
        healed = remedies.heal(ledger)
    _say(f"undone: {', '.join(healed)}" if healed else "there was nothing to undo")


@app.command()
def reach(name: Name = "lab") -> None:
    """Say how to reach a lab's cluster and its machines."""
    lab = api.load_lab(name)
    keys = lab.keys
    _say(f"export KUBECONFIG={paths.cluster_dir(name) / 'admin.kubeconfig'}")
    for node in lab.nodes:
        options = f"-i {keys.private_key} -o UserKnownHostsFile={keys.known_hosts}"
        _say(f"{node.name}: ssh {options} root@{node.address}")
    _say(f"images: {lab.ranges.image_mirror} serves {', '.join(lab.repositories) or 'nothing'}")


def _show(lab: api.Lab) -> None:
    table = Table(title=f"lab {lab.name}: nodes {lab.ranges.subnet}")
    for column in ("", "machine", "address", "groups", "container", "state"):
        table.add_column(column)
    for node in lab.nodes:
        tick = "[green]✓[/]" if node.state == "running" else "[red]✗[/]"
        table.add_row(tick, node.name, node.address, " ".join(node.groups), node.container, node.state)
    tick = "[green]✓[/]" if lab.repositories else "[red]✗[/]"
    served = " ".join(lab.repositories) or "does not answer"
    table.add_row(tick, "registry", lab.ranges.registry, "", f"pyk8s-{lab.name}-registry", served)
    console.print(table)
