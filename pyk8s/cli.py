"""Kubernetes on bare Linux machines, and proof that it works: a lab to try it on, binaries, certificates, checks."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

import pyk8s.artifacts.cli
import pyk8s.lab.cli
import pyk8s.pki.cli
import pyk8s.verify.cli
from pyk8s.cluster import inventory
from pyk8s.errors import Pyk8sError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(pyk8s.lab.cli.app, name="lab")
app.add_typer(pyk8s.artifacts.cli.app, name="artifacts")
app.add_typer(pyk8s.pki.cli.app, name="pki")
app.command("verify")(pyk8s.verify.cli.verify)


@app.command()
def plan(
    inventory_path: Annotated[
        Path | None, typer.Option("--inventory", help="The inventory; inventory/lab if not given")
    ] = None,
) -> None:
    """Validate an inventory, and show which machine will run what, without touching any."""
    cluster = inventory.load(inventory_path)
    title = f"{cluster.name}: Kubernetes {cluster.config.kubernetes_version}, API at {cluster.api_url}"
    table = Table("node", "address", "runs", title=title)
    for node in cluster.nodes:
        parts = [
            *(["etcd"] if node.is_etcd else []),
            *(["kube-apiserver", "kube-controller-manager", "kube-scheduler"] if node.is_control_plane else []),
            *(["keepalived"] if node.is_control_plane and cluster.config.api_virtual_ip else []),
            *(["haproxy", cluster.config.container_runtime, "kubelet", "kube-proxy"] if node.runs_kubelet else []),
        ]
        table.add_row(node.name, node.address, ", ".join(parts))
    Console().print(table)


def main() -> None:
    """Run the command line; an error is printed for people, and exits with 1."""
    try:
        app()
    except Pyk8sError as error:
        Console(stderr=True, highlight=False).print(str(error), style="red", markup=False, soft_wrap=True)
        sys.exit(1)
