"""What every source works with, and fetching many files at once."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path

from pyk8s.artifacts.catalog import Download
from pyk8s.artifacts.download import ChecksumError, Web
from pyk8s.artifacts.model import Artifact
from pyk8s.artifacts.pins import Pins
from pyk8s.artifacts.progress import Reporter
from pyk8s.artifacts.store import Store, sha256_of
from pyk8s.artifacts.unpack import unpack

PARALLEL = 4
"""Downloads at one time; more only makes each slower."""


@dataclasses.dataclass(frozen=True)
class Workshop:
    """The cache, the pinned sums, the network and the way to speak. ``refresh``: ask again what is already known."""

    store: Store
    pins: Pins
    web: Web
    reporter: Reporter
    refresh: bool = False


@dataclasses.dataclass(frozen=True)
class Item:
    """One file to have: ``location`` is a URL, or a file of a mirror that is a folder."""

    download: Download
    location: str | Path
    sha256: str

    @property
    def origin(self) -> str:
        """What makes it the same artifact again: the same version and sum."""
        return f"{self.download.version} sha256:{self.sha256}"


def obtain(items: Sequence[Item], shop: Workshop) -> dict[str, Artifact]:
    """Have all items in the store, in parallel; the first failure stops the others and is raised."""
    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        tasks = {pool.submit(_obtain, item, shop): item for item in items}
        try:
            for task in concurrent.futures.as_completed(tasks):
                task.result()
        except BaseException:
            shop.web.stop()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return {item.download.component: task.result() for task, item in tasks.items()}


def _obtain(item: Item, shop: Workshop) -> Artifact:
    url = item.location if isinstance(item.location, str) else None
    known = shop.store.find(item.download.component, item.origin)
    artifact = known or _make(item, shop)
    return dataclasses.replace(artifact, url=url, url_sha256=item.sha256, mirror_path=item.download.mirror_path)


def _make(item: Item, shop: Workshop) -> Artifact:
    if isinstance(item.location, Path):
        _check(item.location, item.sha256)
        source, keep = item.location, True
    else:
        name = f"{hashlib.sha256(item.location.encode()).hexdigest()[:8]}-{item.sha256[:8]}-{Path(item.location).name}"
        source, keep = shop.store.root / "downloads" / name, False
        if not source.exists():
            title = f"{item.download.component} {item.download.version}"
            shop.web.fetch(item.location, source, item.sha256, title, shop.reporter)
    try:
        with shop.store.scratch() as folder:
            inner = folder / item.download.component
            inner.mkdir()
            made = dataclasses.replace(
                unpack(item.download, source, inner, keep),
                url=item.download.url,
                url_sha256=item.sha256,
                mirror_path=item.download.mirror_path,
            )
            return shop.store.add(made, item.origin)
    finally:
        if not keep:
            source.unlink(missing_ok=True)


def _check(path: Path, sha256: str) -> None:
    found = sha256_of(path)
    if found != sha256:
        raise ChecksumError(
            f"{path} is not what it should be",
            f"its sha256 is {found}, {sha256} was expected",
            f"for a build of your own put its sum beside it: sha256sum {path.name} > {path.name}.sha256",
        )
