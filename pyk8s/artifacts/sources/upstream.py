"""The projects' own release servers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pyk8s.artifacts.catalog import Download
from pyk8s.artifacts.download import Web
from pyk8s.artifacts.model import Artifact
from pyk8s.artifacts.pins import parse_sidecar
from pyk8s.artifacts.sources.base import Item, Workshop, obtain
from pyk8s.errors import Pyk8sError


def answers(downloads: Iterable[Download], web: Web) -> bool:
    """Whether the servers of these files answer at all; a refusal (a closed network's proxy) is no answer."""
    urls = {download.url.split("/")[2]: download.url for download in downloads}
    return all(200 <= web.status(url) < 300 or web.status(url) == 404 for url in urls.values())


def provide(downloads: Mapping[str, Download], shop: Workshop) -> dict[str, Artifact]:
    """Have all files from upstream; raises Pyk8sError when one cannot be had, or not be checked."""
    return obtain([Item(one, one.url, _sum(one, shop)) for one in downloads.values()], shop)


def _sum(download: Download, shop: Workshop) -> str:
    known = download.sha256 or shop.pins.get(download.url)
    if known:
        return known
    address = f"{download.url}.sha256"
    text = shop.web.text(address)
    if text is None:
        raise Pyk8sError(
            f"no checksum can be had for {download.component} {download.version}",
            f"the catalog has none, and {address} is not there",
            "is it a release? Nothing is ever used unchecked: choose a version that `pyk8s artifacts list` shows",
        )
    found = parse_sidecar(text, address)
    shop.pins.pin(download.url, found)
    return found
