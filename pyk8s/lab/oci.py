"""Container images without an engine: layers from folders, and the registry's HTTP API to push them."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import httpx

from pyk8s.errors import Pyk8sError

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
EPOCH = "1970-01-01T00:00:00Z"


@dataclasses.dataclass(frozen=True)
class Layer:
    """A compressed layer; ``diff_id`` is the digest of what it unpacks to, ``size`` in bytes."""

    digest: str
    diff_id: str
    size: int

    def descriptor(self) -> dict[str, Any]:
        """The layer as a manifest names it."""
        return {"mediaType": LAYER_TYPE, "digest": self.digest, "size": self.size}


def digest(data: bytes) -> str:
    """Return ``sha256:...`` of some bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def blob_path(folder: Path, name: str) -> Path:
    """Return where a folder keeps the blob of that digest."""
    return folder / name.replace(":", "-")


def write_layer(tree: Path, folder: Path) -> Layer:
    """Pack a folder as a layer into ``folder``. Owner root, readable by all, no times: whatever our
    umask, the same tree gives the same digest."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(tree.rglob("*")):
            entry = archive.gettarinfo(path, str(path.relative_to(tree)))
            entry.uid = entry.gid = entry.mtime = 0
            entry.uname = entry.gname = ""
            entry.mode |= 0o555 if entry.isdir() or entry.mode & 0o100 else 0o444
            if entry.isreg():
                with path.open("rb") as content:
                    archive.addfile(entry, content)
            else:
                archive.addfile(entry)
    packed = gzip.compress(plain.getvalue(), compresslevel=5, mtime=0)
    layer = Layer(digest(packed), digest(plain.getvalue()), len(packed))
    blob_path(folder, layer.digest).write_bytes(packed)
    return layer


def write_image(folder: Path, layers: list[Layer], architecture: str, run: dict[str, Any]) -> None:
    """Write ``manifest.json`` and the config for layers in ``folder``; ``run`` is OCI's ``config`` object."""
    config = {
        "architecture": architecture,
        "os": "linux",
        "created": EPOCH,
        "config": run,
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{"created": EPOCH, "created_by": "pyk8s lab"} for _ in layers],
    }
    encoded = json.dumps(config, sort_keys=True).encode()
    blob_path(folder, digest(encoded)).write_bytes(encoded)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIG_TYPE, "digest": digest(encoded), "size": len(encoded)},
        "layers": [layer.descriptor() for layer in layers],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, sort_keys=True), encoding="utf-8")


def push(folder: Path, registry: str, repository: str, tags: list[str], client: httpx.Client) -> bool:
    """Push the image in ``folder`` to ``http://...`` under all tags; return whether anything was missing there."""
    manifest = (folder / "manifest.json").read_bytes()
    base = f"{registry}/v2/{repository}"
    missing = [tag for tag in tags if not _has(client, f"{base}/manifests/{tag}", digest(manifest))]
    if not missing:
        return False
    content = json.loads(manifest)
    for blob in (content["config"], *content["layers"]):
        _push_blob(client, base, blob["digest"], blob_path(folder, blob["digest"]))
    for tag in missing:
        url = f"{base}/manifests/{tag}"
        _must(client.put(url, content=manifest, headers={"Content-Type": MANIFEST_TYPE}), url)
    return True


def _has(client: httpx.Client, url: str, wanted: str) -> bool:
    answer = client.head(url, headers={"Accept": MANIFEST_TYPE})
    return answer.status_code == 200 and answer.headers.get("Docker-Content-Digest") == wanted


def _push_blob(client: httpx.Client, base: str, name: str, path: Path) -> None:
    if client.head(f"{base}/blobs/{name}").status_code == 200:
        return
    start = _must(client.post(f"{base}/blobs/uploads/"), base)
    url = httpx.URL(base).join(start.headers["Location"]).copy_merge_params({"digest": name})
    _must(client.put(url, content=path.read_bytes(), headers={"Content-Type": "application/octet-stream"}), str(url))


def _must(answer: httpx.Response, url: str) -> httpx.Response:
    if answer.is_success:
        return answer
    raise Pyk8sError(
        f"the lab's registry refused {url}",
        f"status {answer.status_code}: {answer.text[:300]}",
        "see docker logs of the lab's registry",
    )
