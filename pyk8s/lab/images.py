"""The images that the lab's registry serves: pause, busybox, nginx and redis, made from Debian's packages."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pyk8s import paths
from pyk8s.artifacts import load_catalog, pause_binary
from pyk8s.errors import Pyk8sError
from pyk8s.lab import debian, oci

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
FILES = Path(__file__).parent / "files"
EXCLUDE = (
    "usr/share/doc*",
    "usr/share/man*",
    "usr/share/locale*",
    "usr/share/lintian*",
    "usr/share/bug*",
    "usr/lib/*/gconv*",
    "etc/init.d*",
    "etc/cron*",
    "etc/logrotate.d*",
    "etc/ufw*",
    "lib/systemd*",
    "usr/lib/systemd*",
)
SKELETON = ("dev", "etc", "proc", "root", "run", "sys", "tmp", "usr/bin", "usr/lib", "usr/lib64", "usr/sbin", "var")
EXTRA_PAUSE_TAGS = ("3.10", "latest")
"""Beside those that the catalog names."""
COREDNS_VARIABLE = "PYK8S_COREDNS_BINARY"
"""A user of a closed machine names a CoreDNS binary here; it is served under every tag that the catalog names."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """An image of packages: ``main`` gives the version for the tags, ``run`` is OCI's ``config`` object."""

    repository: str
    main: str
    packages: tuple[str, ...]
    run: dict[str, Any]
    extra_tags: tuple[str, ...] = ("latest",)
    open_folders: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()


RECIPES = (
    Recipe("library/busybox", "busybox-static", (), {"Cmd": ["sh"], "Env": [PATH]}),
    Recipe(
        "library/nginx",
        "nginx",
        ("nginx", "nginx-common"),
        {
            "Entrypoint": ["/entrypoint"],
            "Cmd": ["nginx", "-g", "daemon off;"],
            "Env": [PATH],
            "ExposedPorts": {"80/tcp": {}},
            "StopSignal": "SIGQUIT",
        },
        ("latest", "stable"),
        programs=("usr/sbin/nginx",),
    ),
    Recipe(
        "library/redis",
        "redis-server",
        ("redis-server", "redis-tools"),
        {
            "Entrypoint": ["/entrypoint"],
            "Cmd": ["redis-server"],
            "Env": [PATH],
            "ExposedPorts": {"6379/tcp": {}},
            "Volumes": {"/data": {}},
            "WorkingDir": "/data",
        },
        open_folders=("data",),
        programs=("usr/bin/redis-server", "usr/bin/redis-cli"),
    ),
)


@dataclasses.dataclass(frozen=True)
class Built:
    """An image in the cache, ready to be pushed."""

    repository: str
    tags: tuple[str, ...]
    folder: Path


def version_tags(version: str) -> tuple[str, ...]:
    """Return the tags of a version: 1.22.1 and 1.22."""
    return tuple(dict.fromkeys((version, ".".join(version.split(".")[:2]))))


def build_all() -> list[Built]:
    """Return all images, building those that the cache does not hold (about 15 s, once)."""
    architecture = debian.architecture()
    built = [_cached(recipe.repository, _key(recipe, architecture), _maker(recipe)) for recipe in RECIPES]
    built += _pause(architecture)
    if binary := os.environ.get(COREDNS_VARIABLE):
        built += _coredns(Path(binary), architecture)
    return built


def _key(recipe: Recipe, architecture: str) -> str:
    files = [path.read_text() for path in (*sorted((FILES / "base").rglob("*")), *_own_files(recipe)) if path.is_file()]
    code = [Path(module or "").read_text() for module in (debian.__file__, oci.__file__, __file__)]
    parts = [dataclasses.astuple(recipe), architecture, debian.sources().suite, files, code]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def _own_files(recipe: Recipe) -> list[Path]:
    return sorted((FILES / recipe.repository.rpartition("/")[2]).rglob("*"))


def _cached(repository: str, key: str, make: Callable[[Path], tuple[str, ...]]) -> Built:
    store = paths.cache_dir() / "lab-images"
    store.mkdir(exist_ok=True)
    folder = store / f"{repository.replace('/', '-')}-{key}"
    if not (folder / "tags.json").exists():
        with tempfile.TemporaryDirectory(dir=store, prefix=".new-") as fresh:
            tags = make(Path(fresh))
            (Path(fresh) / "tags.json").write_text(json.dumps(tags), encoding="utf-8")
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(fresh, folder)
    return Built(repository, tuple(json.loads((folder / "tags.json").read_text())), folder)


def _maker(recipe: Recipe) -> Callable[[Path], tuple[str, ...]]:
    def _into(folder: Path) -> tuple[str, ...]:
        with tempfile.TemporaryDirectory(prefix="pyk8s-image-") as work:
            return _make(recipe, folder, Path(work))

    return _into


def _make(recipe: Recipe, folder: Path, work: Path) -> tuple[str, ...]:
    debs = debian.download(("busybox-static", *recipe.packages), paths.cache_dir() / "lab-debs" / recipe.main)
    base, own = _skeleton(work / "base"), _skeleton(work / "own")
    _busybox(debs["busybox-static"], base)
    layers = [oci.write_layer(base, folder)]
    if recipe.packages:
        _fill(own, recipe, debs)
        layers.append(oci.write_layer(own, folder))
    oci.write_image(folder, layers, debian.architecture(), recipe.run)
    return (*version_tags(debian.version(debs[recipe.main])), *recipe.extra_tags)


def _fill(tree: Path, recipe: Recipe, debs: dict[str, Path]) -> None:
    """Unpack a recipe's packages, lay our own files over them, and see that its programs find their libraries."""
    for name, deb in debs.items():
        if name != "busybox-static" and debian.is_content(name, recipe.packages):
            debian.extract(deb, tree, EXCLUDE)
    for source in _own_files(recipe):
        target = tree / source.relative_to(FILES / recipe.repository.rpartition("/")[2])
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    for name in recipe.open_folders:
        (tree / name).mkdir()
        (tree / name).chmod(0o777)
    for program in recipe.programs:
        if missing := debian.missing_libraries(tree, program):
            raise Pyk8sError(
                f"the image {recipe.repository} would lack {', '.join(missing)}",
                f"{program} needs them, and no package that was unpacked holds them",
                "add their package to the image's recipe in pyk8s/lab/images.py",
            )


def _skeleton(tree: Path) -> Path:
    for name in SKELETON:
        (tree / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (tree / name).symlink_to(f"usr/{name}")
    (tree / "var/run").symlink_to("../run")
    (tree / "tmp").chmod(0o1777)
    return tree


def _busybox(deb: Path, tree: Path) -> None:
    debian.extract(deb, tree, (*EXCLUDE, "usr/share/*"))
    shutil.copytree(FILES / "base", tree, dirs_exist_ok=True)
    listed = subprocess.run([tree / "usr/bin/busybox", "--list"], capture_output=True, text=True, check=True)
    for applet in listed.stdout.split():
        if applet != "busybox":
            (tree / "usr/bin" / applet).symlink_to("busybox")


def by_repository(references: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the tags by repository: {"pause": ("3.9",)} for "registry.k8s.io/pause:3.9"."""
    found: dict[str, tuple[str, ...]] = {}
    for reference in references:
        repository, _, tag = reference.partition("/")[2].partition(":")
        found[repository] = tuple(dict.fromkeys((*found.get(repository, ()), tag)))
    return found


def _pause(architecture: str) -> list[Built]:
    run = {"Entrypoint": ["/pause"], "User": "65535:65535"}
    wanted = by_repository(row.pause_image for row in load_catalog().releases.values())
    return [
        _single(name, pause_binary(), architecture, run, (*tags, *EXTRA_PAUSE_TAGS)) for name, tags in wanted.items()
    ]


def _coredns(binary: Path, architecture: str) -> list[Built]:
    if not binary.is_file():
        raise Pyk8sError(f"there is no CoreDNS at {binary}", f"${COREDNS_VARIABLE} says so", "unset it or correct it")
    run = {"Entrypoint": ["/coredns"], "ExposedPorts": {"53/tcp": {}, "53/udp": {}}}
    wanted = by_repository(row.coredns_image for row in load_catalog().releases.values())
    return [_single(name, binary, architecture, run, tags) for name, tags in wanted.items()]


def _single(repository: str, binary: Path, architecture: str, run: dict[str, Any], tags: tuple[str, ...]) -> Built:
    """An image of one static binary, at the root of its tree."""

    def _into(folder: Path) -> tuple[str, ...]:
        with tempfile.TemporaryDirectory(prefix="pyk8s-image-") as work:
            name = run["Entrypoint"][0].lstrip("/")
            shutil.copy(binary, Path(work) / name)
            (Path(work) / name).chmod(0o755)
            oci.write_image(folder, [oci.write_layer(Path(work), folder)], architecture, run)
        return tags

    key = hashlib.sha256(binary.read_bytes() + repr((architecture, run, tags)).encode()).hexdigest()[:12]
    return _cached(repository, key, _into)
