"""``pyk8s pki``: list certificates with their expiry, renew them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from pyk8s import paths
from pyk8s.cluster.model import Cluster
from pyk8s.errors import Pyk8sError
from pyk8s.pki.certificates import RENEWAL_WINDOW
from pyk8s.pki.issue import pki_directory
from pyk8s.pki.issue import renew as renew_leaves
from pyk8s.pki.kubeconfigs import write_admin_kubeconfig
from pyk8s.pki.status import CertificateStatus, expiry

app = typer.Typer(help="Certificates: when they expire, and renewing them.", no_args_is_help=True)
console = Console()

Inventory = Annotated[Path, typer.Option("--inventory", "-i", help="The cluster's inventory.")]
Name = Annotated[str | None, typer.Option("--name", help="The cluster's name.")]


@app.command("list")
def list_certificates(
    name: Name = None,
    inventory: Inventory = paths.DEFAULT_INVENTORY,
    all_clusters: Annotated[bool, typer.Option("--all", help="Every cluster of this controller.")] = False,
) -> None:
    """List the certificates that the controller has issued, those that expire first in front."""
    for cluster, directory in _folders(name, inventory, all_clusters=all_clusters).items():
        console.print(_table(cluster, expiry(directory)))


@app.command()
def renew(
    name: Name = None,
    inventory: Inventory = paths.DEFAULT_INVENTORY,
    everything: Annotated[bool, typer.Option("--all", help="Every certificate.")] = False,
    leaf: Annotated[str | None, typer.Option("--leaf", help="Only those called so, such as apiserver.")] = None,
    node: Annotated[str | None, typer.Option("--node", help="Only those of this node.")] = None,
) -> None:
    """Issue certificates anew, with fresh keys, on the controller; the playbook then brings them to the nodes."""
    if everything == bool(leaf or node):
        raise Pyk8sError(
            "it is not clear what to renew",
            "--all and a choice exclude each other, and one of them is needed",
            "say --all, or --leaf NAME, --node NODE or both",
        )
    cluster = _cluster(inventory, name)
    changes = renew_leaves(cluster, leaf=leaf, node=node)
    for change in changes.issued:
        console.print(str(change), markup=False, highlight=False)
    for path in write_admin_kubeconfig(cluster):
        console.print(f"written: {path}", markup=False, highlight=False)
    console.print(f"[green]{len(changes.issued)} issued.[/] Now run `ansible-playbook site.yml` to roll them out.")


def _cluster(inventory: Path, name: str | None) -> Cluster:
    from pyk8s.cluster.inventory import load

    cluster = load(inventory)
    if name not in (None, cluster.name):
        raise Pyk8sError(
            f"the inventory {inventory} is not that of cluster {name}",
            f"it describes {cluster.name}",
            "name the right one with --inventory",
        )
    return cluster


def _folders(name: str | None, inventory: Path, *, all_clusters: bool) -> dict[str, Path]:
    clusters = paths.ROOT / "clusters"
    if all_clusters:
        found = {folder.parent.name: folder for folder in sorted(clusters.glob("*/pki"))}
        if not found:
            raise Pyk8sError(f"there is no cluster in {clusters}", "none was installed from here")
        return found
    if name:
        return {name: clusters / name / "pki"}
    cluster = _cluster(inventory, None)
    return {cluster.name: pki_directory(cluster)}


def _table(cluster: str, certificates: list[CertificateStatus]) -> Table:
    table = Table(title=f"Certificates of {cluster}", title_justify="left")
    for column in ("node", "certificate", "subject", "authority", "expires"):
        table.add_column(column, overflow="fold")
    table.add_column("days left", justify="right")
    for one in certificates:
        soon = one.days_left < RENEWAL_WINDOW.days
        row = (one.node or "-", one.name, one.subject, one.authority, f"{one.not_after:%Y-%m-%d}", str(one.days_left))
        table.add_row(*row, style="red" if soon else None)
    return table
