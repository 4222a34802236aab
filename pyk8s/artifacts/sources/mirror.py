"""A mirror of one's own, in the upstream's layout: a web server or a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pyk8s.artifacts.catalog import Download
from pyk8s.artifacts.model import Artifact
from pyk8s.artifacts.pins import parse_sidecar
from pyk8s.artifacts.sources.base import Item, Workshop, obtain
from pyk8s.errors import Pyk8sError


def missing(base: str, downloads: Mapping[str, Download], shop: Workshop) -> dict[str, Download]:
    """Return what the mirror does not have; raises Pyk8sError when there is no such mirror."""
    if not is_web(base):
        if not Path(base).is_dir():
            raise Pyk8sError(f"there is no mirror at {base}", "it is neither an http address nor a folder")
        return {name: one for name, one in downloads.items() if not Path(base, one.mirror_path).is_file()}
    states = {name: shop.web.status(_url(base, one)) for name, one in downloads.items()}
    if set(states.values()) == {0}:
        raise Pyk8sError(f"the mirror {base} does not answer", "", "look whether it runs and can be reached from here")
    return {name: one for name, one in downloads.items() if states[name] in (403, 404, 410)}


def provide(base: str, downloads: Mapping[str, Download], shop: Workshop) -> dict[str, Artifact]:
    """Have files from the mirror. Its own ``.sha256`` files are trusted (and pinned), the catalog's sums else."""
    items = []
    for one in downloads.values():
        location = _url(base, one) if is_web(base) else Path(base, one.mirror_path).resolve()
        items.append(Item(one, location, _sum(one, location, shop)))
    return obtain(items, shop)


def is_web(base: str) -> bool:
    """Whether the mirror is an http address."""
    return base.startswith(("http://", "https://"))


def _url(base: str, download: Download) -> str:
    return f"{base.rstrip('/')}/{download.mirror_path}"


def _sum(download: Download, location: str | Path, shop: Workshop) -> str:
    address = f"{location}.sha256"
    if isinstance(location, str):
        text = shop.web.text(address)
    else:
        text = Path(address).read_text(encoding="utf-8") if Path(address).is_file() else None
    if text is not None:
        found = parse_sidecar(text, address)
        shop.pins.pin(str(location), found, renew=shop.refresh)
        return found
    known = download.sha256 or shop.pins.get(download.url)
    if known:
        return known
    name = Path(download.mirror_path).name
    raise Pyk8sError(
        f"{location} has no checksum",
        f"there is no {name}.sha256 beside it, and the catalog has no sum of {download.component} {download.version}",
        f"in the mirror: sha256sum {name} > {name}.sha256",
    )
