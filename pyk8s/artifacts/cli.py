"""``pyk8s artifacts``: what goes with which Kubernetes, and having it in the cache."""

from __future__ import annotations

import enum
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from pyk8s import paths
from pyk8s.artifacts.model import ArtifactSet
from pyk8s.artifacts.resolver import Resolver
from pyk8s.cluster.config import ClusterConfig
from pyk8s.errors import Pyk8sError

app = typer.Typer(help="Pinned binaries: list what goes together, fetch it into the cache.", no_args_is_help=True)


class Source(enum.StrEnum):
    """Where binaries come from."""

    AUTO = "auto"
    UPSTREAM = "upstream"
    MIRROR = "mirror"
    DEBIAN = "debian"


SourceOption = Annotated[Source | None, typer.Option("--source", help="Where binaries come from.")]
MirrorOption = Annotated[str, typer.Option("--mirror", help="An http address or a folder in the upstream's layout.")]
VersionOption = Annotated[str, typer.Option("--kubernetes-version", help="Such as 1.36.2; the newest by default.")]
RefreshOption = Annotated[
    bool, typer.Option("--refresh", help="Ask the source again: newer Debian packages, a mirror that was built anew.")
]


@app.command()
def fetch(
    source: SourceOption = None,
    mirror: MirrorOption = "",
    kubernetes_version: VersionOption = "",
    refresh: RefreshOption = False,
) -> None:
    """Have all binaries of one Kubernetes in the cache; as inventory/lab says when no option is given."""
    found = Resolver().resolve(_config(source, mirror, kubernetes_version), refresh=refresh)
    _print_set(found)


@app.command("list")
def list_(source: SourceOption = None, mirror: MirrorOption = "", kubernetes_version: VersionOption = "") -> None:
    """Show the catalog's rows and what the cache has; with any option, one set file by file."""
    resolver = Resolver()
    if not (source or mirror or kubernetes_version):
        _print_catalog(resolver)
        return
    config = _config(source, mirror, kubernetes_version)
    found = resolver.lookup(config)
    if found:
        _print_set(found)
    else:
        _print_wanted(resolver, config)


def _config(source: Source | None, mirror: str, version: str) -> ClusterConfig:
    if not (source or mirror or version) and paths.DEFAULT_INVENTORY.exists():
        from pyk8s.cluster import inventory

        return inventory.load().config
    resolver = Resolver()
    chosen = source or (Source.MIRROR if mirror else Source.AUTO)
    values: dict[str, Any] = {
        "artifact_source": chosen.value,
        "artifact_mirror": mirror,
        "kubernetes_version": version.removeprefix("v") or resolver.catalog.newest,
    }
    try:
        return ClusterConfig(**values)
    except ValidationError as error:
        why = "; ".join(detail["msg"].removeprefix("Value error, ") for detail in error.errors())
        raise Pyk8sError("these options do not fit together", why) from error


def _print_catalog(resolver: Resolver) -> None:
    names = ("etcd", "containerd", "runc", "cni", "crictl")
    table = Table(*(Column(name, no_wrap=True) for name in ("Kubernetes", *names, "CoreDNS", "pause")), box=SIMPLE_HEAD)
    for row in resolver.catalog.releases.values():
        images = (image.rpartition(":")[2] for image in (row.coredns_image, row.pause_image))
        table.add_row(row.newest, *(str(getattr(row, name)) for name in names), *images)
    console = Console()
    console.print(table)
    cached = [f"{one['kubernetes_version']} from {one['source']} {one['mirror']}".strip() for one in resolver.sets()]
    console.print("in the cache: " + (", ".join(cached) or "nothing yet"), highlight=False)


def _print_wanted(resolver: Resolver, config: ClusterConfig) -> None:
    table = Table(
        "component",
        "version",
        Column("upstream", overflow="fold"),
        "sha256",
        title=f"Kubernetes {config.kubernetes_version}, not cached",
    )
    for one in resolver.catalog.downloads(config.kubernetes_version, resolver.arch).values():
        known = one.sha256 or resolver.pins.get(one.url)
        table.add_row(one.component, one.version, one.url, f"{known[:12]}..." if known else "pinned on first use")
    Console().print(table)


def _print_set(found: ArtifactSet) -> None:
    title = f"Kubernetes {found.kubernetes_version} for {found.arch}, from {found.source}"
    table = Table("component", "version", "MB", Column("folder", overflow="fold"), title=title)
    for name in sorted(found.files):
        one = found.files[name]
        table.add_row(name, one.version, f"{one.size / 1e6:.1f}", str(one.directory))
    console = Console()
    console.print(table)
    if "crictl" not in found.files:
        console.print("no crictl: this source has none")
