"""Packages of the distribution, from the mirrors that this machine's own apt is configured with."""

from __future__ import annotations

import dataclasses
import functools
import os
import re
import subprocess
from pathlib import Path

from pyk8s.errors import Pyk8sError

TARGET_FORMAT = "$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)"
ORIGINS = frozenset({"Debian", "Ubuntu"})
TRANSPORT = re.compile(r'^Acquire::(http|https|Check-Valid-Until|Check-Date)\b[^ ]* "[^"]+";$')
NEVER = re.compile(r"^lib(perl|pam|semanage|audit|file-find-rule|.*-perl$)")


@dataclasses.dataclass(frozen=True)
class AptSources:
    """The distribution's suite, its sources as one-line entries, and apt's options for reaching them."""

    suite: str
    lines: tuple[str, ...]
    options: tuple[str, ...]


def parse_targets(text: str, config: str = "") -> AptSources | None:
    """Read the output of ``apt-get indextargets`` and ``apt-config dump``; None where no distribution is listed."""
    components: dict[tuple[str, str], list[str]] = {}
    for line in text.splitlines():
        origin, uri, release, component = line.split("|")
        if origin in ORIGINS:
            known = components.setdefault((uri, release), [])
            if component not in known:
                known.append(component)
    if not components:
        return None
    suite = min((release for _, release in components), key=len)
    lines = tuple(f"deb {uri} {release} {' '.join(names)}" for (uri, release), names in components.items())
    return AptSources(suite, lines, tuple(line for line in config.splitlines() if TRANSPORT.match(line)))


@functools.cache
def sources() -> AptSources:
    """Return this machine's apt sources; raises Pyk8sError where it has none of Debian or Ubuntu."""
    found = parse_targets(_targets(), run(["apt-config", "dump"]))
    if not found and os.geteuid() == 0:
        run(["apt-get", "update", "-q"])
        found = parse_targets(_targets(), run(["apt-config", "dump"]))
    if not found:
        raise Pyk8sError(
            "apt on this machine knows no Debian or Ubuntu mirror",
            "its package lists are absent or of another origin",
            "run apt-get update; the lab's images are made from Debian's packages",
        )
    return found


def _targets() -> str:
    return run(["apt-get", "indextargets", "--format", TARGET_FORMAT, "Created-By: Packages"])


@functools.cache
def architecture() -> str:
    """Return the machine's architecture as Debian and OCI both name it, amd64 or arm64."""
    return run(["dpkg", "--print-architecture"]).strip()


def download(packages: tuple[str, ...], folder: Path) -> dict[str, Path]:
    """Download packages and their dependencies into ``folder``; return the files by package name."""
    (folder / "partial").mkdir(parents=True, exist_ok=True)
    status = folder / "status"
    status.touch()
    settings = {
        "Dir::State::status": status,
        "Dir::Cache::archives": folder,
        "Debug::NoLocking": "1",
        "APT::Sandbox::User": "root",
    }
    options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
    run(["apt-get", "install", "--download-only", "-y", "-q", "--no-install-recommends", *options, *packages])
    return {path.name.split("_")[0]: path for path in sorted(folder.glob("*.deb"))}


def is_content(package: str, wanted: tuple[str, ...]) -> bool:
    """Say whether a package belongs into an image: what was asked for and libraries, not the tools of maintainers."""
    return package in wanted or (package.startswith(("lib", "zlib")) and not NEVER.match(package))


def version(deb: Path) -> str:
    """Return the upstream part of a package's version: 1.22.1 of 1:1.22.1-9+deb12u11."""
    full = run(["dpkg-deb", "--field", str(deb), "Version"]).strip()
    return re.split(r"[-+~]", full.partition(":")[2] or full)[0]


def extract(deb: Path, tree: Path, exclude: tuple[str, ...]) -> None:
    """Unpack a package's files below ``tree``, through symlinks such as ``lib`` to ``usr/lib``."""
    patterns = [f"--exclude=./{pattern}" for pattern in exclude]
    untar = ["tar", "-x", "--keep-directory-symlink", "--no-same-owner", "--wildcards", *patterns, "-C", str(tree)]
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE) as archive:
        done = subprocess.run(untar, stdin=archive.stdout, capture_output=True, text=True)
    if done.returncode or archive.returncode:
        raise Pyk8sError(
            f"could not unpack {deb.name}", done.stderr.strip()[-400:], f"remove {deb.parent} and run again"
        )


def missing_libraries(tree: Path, binary: str) -> list[str]:
    """Return the shared libraries that a program in ``tree`` needs and the tree lacks, as its own loader says."""
    loader = next(iter(sorted(tree.glob("usr/lib64/ld-linux*")) + sorted(tree.glob("usr/lib/ld-linux*"))), None)
    if loader is None:
        return ["ld-linux"]
    folders = ":".join(str(path) for path in [*sorted(tree.glob("usr/lib/*-linux-gnu")), tree / "usr/lib"])
    listed = run([str(loader.resolve()), "--library-path", folders, "--list", str(tree / binary)])
    return [line.split()[0] for line in listed.splitlines() if "not found" in line]


def run(command: list[str]) -> str:
    """Run a command and return its output; raises Pyk8sError with the end of what it complained about."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    except FileNotFoundError:
        raise Pyk8sError(
            f"{command[0]} is not on this machine",
            "the lab's images are made from Debian's packages",
            "run the lab on Debian or Ubuntu",
        ) from None
    if done.returncode:
        raise Pyk8sError(
            f"{' '.join(command[:2])} failed", done.stderr.strip()[-800:], "see whether apt-get update works"
        )
    return done.stdout
