"""Kubernetes built from Debian's source package, and pause with it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from pyk8s.artifacts.model import KUBERNETES, Artifact
from pyk8s.artifacts.progress import Reporter
from pyk8s.artifacts.sources import apt, corrections
from pyk8s.artifacts.sources.base import Workshop
from pyk8s.artifacts.store import gather, room
from pyk8s.errors import Pyk8sError

GO = Path("/usr/lib/go-1.19")
BUILD_PACKAGES = ("dpkg-dev", "gcc", "golang-1.19-go", "libc6-dev", "make", "rsync")
PAUSE_PACKAGES = ("dpkg-dev", "gcc", "libc6-dev")
GO_PACKAGES = 2400
"""About how many packages a build of 1.20.2 compiles, generators included (measured): only for the progress bar."""
DISK_BYTES = 5_000_000_000
"""What a build takes for a while (3.5 GB measured), and something to spare."""
PACKAGE_LINE = re.compile(r"[a-z][\w.-]*(/[\w.@~-]+)*")
"""What ``go install -v`` prints for each package that it compiles: its path, alone on a line."""
PAUSE_SOURCE = "build/pause/linux/pause.c"


def kubernetes(package_apt: apt.Apt, shop: Workshop, names: Sequence[str] = KUBERNETES) -> dict[str, Artifact]:
    """Have the named components of Debian's Kubernetes in the store, built where they are not there yet.

    Takes 8 to 10 minutes on 2 cores (measured). A build that broke off goes on where it stopped.
    """
    version = package_apt.source_version("kubernetes")
    found = {name: shop.store.find(name, _origin(version)) for name in names}
    whole = {name: artifact for name, artifact in found.items() if artifact}
    if len(whole) == len(names):
        return whole
    apt.install_missing(BUILD_PACKAGES, "building Kubernetes from Debian's source package", shop.reporter.say)
    builds = shop.store.root / "debian"
    work = builds / re.sub(r"[^\w.+-]", "_", f"{version}-{corrections.identity()}")
    with room(shop.store.root):
        for other in builds.glob("*"):
            if other != work:  # broken off, of another version or before a correction: nobody will go on with it
                shutil.rmtree(other)
        _enough_room(shop.store.root)
        tree = _source_tree(package_apt, work, shop.reporter)
        _make(tree, work, apt.upstream_version(version), names, shop.reporter)
        made = store_binaries(tree / "_output/bin", version, names, shop)
        compile_pause(tree / PAUSE_SOURCE, version, shop)
    shutil.rmtree(work, ignore_errors=True)
    return made


def store_binaries(folder: Path, debian_version: str, names: Sequence[str], shop: Workshop) -> dict[str, Artifact]:
    """Take built binaries into the store as those of a version of Debian's source package."""
    made = {}
    for name in names:
        with shop.store.scratch() as scratch:
            inner = scratch / name
            inner.mkdir()
            shutil.copyfile(folder / name, inner / name)
            artifact = Artifact(name, apt.upstream_version(debian_version), gather(inner))
            made[name] = shop.store.add(artifact, _origin(debian_version))
    return made


def compile_pause(source: Path, debian_version: str, shop: Workshop) -> Path:
    """Compile pause.c into a static binary of the store."""
    version = apt.upstream_version(debian_version)
    with shop.store.scratch() as scratch:
        inner = scratch / "pause"
        inner.mkdir()
        flags = ["-Os", "-Wall", "-static", "-s", f"-DVERSION=v{version}"]
        apt.run(["gcc", *flags, "-o", str(inner / "pause"), str(source)], scratch, "compiling pause")
        made = shop.store.add(Artifact("pause", version, gather(inner)), _origin(debian_version))
    return made.files["pause"].path


def pause(package_apt: apt.Apt, shop: Workshop) -> Path:
    """Have the pause binary alone: the source package is downloaded (35 MB), nothing of Kubernetes is built."""
    apt.install_missing(PAUSE_PACKAGES, "compiling pause", shop.reporter.say)
    version = package_apt.source_version("kubernetes")
    with shop.store.scratch() as scratch:
        shop.reporter.say("fetching Debian's source package of Kubernetes for pause.c (35 MB)")
        package_apt.source(["kubernetes"], scratch)
        origs = sorted(scratch.glob("kubernetes_*.orig.tar.*"))
        command = ["tar", "-xf", str(origs[0]), "--wildcards", f"*/{PAUSE_SOURCE}"]
        apt.run(command, scratch, "unpacking pause.c")
        return compile_pause(next(scratch.glob(f"*/{PAUSE_SOURCE}")), version, shop)


def _origin(debian_version: str) -> str:
    return f"debian-source:kubernetes={debian_version},corrections={corrections.identity()}"


def _enough_room(root: Path) -> None:
    free = shutil.disk_usage(root).free
    if free < DISK_BYTES:
        raise Pyk8sError(
            f"too little room below {root} to build Kubernetes",
            f"{free / 1e9:.1f} GB are free, {DISK_BYTES / 1e9:.0f} GB are needed for a while",
            "make room, or point PYK8S_CACHE at a larger disk",
        )


def _source_tree(package_apt: apt.Apt, work: Path, reporter: Reporter) -> Path:
    """Return the unpacked source, corrected, with the reflect2 that Go 1.18 and newer need in place of its own."""
    tree = work / "go/src/k8s.io/kubernetes"
    if tree.exists():
        reporter.say("going on with the build that broke off")
        return tree
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    reporter.say("fetching Debian's source package of Kubernetes (35 MB)")
    package_apt.source(["kubernetes", "golang-github-modern-go-reflect2"], work)
    for package, folder in (("kubernetes", "kubernetes"), ("golang-github-modern-go-reflect2", "reflect2")):
        dsc = next(work.glob(f"{package}_*.dsc"))
        apt.run(["dpkg-source", "-x", str(dsc), folder], work, f"unpacking {package}")
    vendored = work / "kubernetes/vendor/github.com/modern-go/reflect2"
    shutil.rmtree(vendored)
    leave = shutil.ignore_patterns("debian", ".pc", "go_tests", "*_test.go")
    shutil.copytree(work / "reflect2", vendored, ignore=leave)
    corrections.correct(work / "kubernetes")
    tree.parent.mkdir(parents=True)
    return (work / "kubernetes").rename(tree)


def _make(tree: Path, work: Path, version: str, names: Sequence[str], reporter: Reporter) -> None:
    reporter.say(f"building Kubernetes {version} from source: about 10 minutes on 2 cores, once")
    log = work / "make.log"
    what = " ".join(f"cmd/{name}" for name in names)
    with log.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(
            ["make", f"WHAT={what}"],
            cwd=tree,
            env=_environment(work, version),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            tail = _follow(process, stream, reporter)
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            raise
    if process.returncode:
        raise Pyk8sError(
            f"building Kubernetes {version} failed",
            f"make ended with {process.returncode}; its last lines, all of them in {log}:\n{''.join(tail)}",
            "run it again: it goes on where it stopped; is the disk or the memory full?",
        )


def _environment(work: Path, version: str) -> dict[str, str]:
    return {
        "CGO_ENABLED": "0",
        "GO111MODULE": "off",
        "GOCACHE": str(work / "cache"),
        # -v names each package as it is compiled; the empty -tags keeps Kubernetes' script from taking -v for a tag.
        "GOFLAGS": "-v -tags=",
        "GOLDFLAGS": "-s -w -buildid=",
        "GOPATH": str(work / "go"),
        "HOME": str(work),
        "KUBE_GIT_COMMIT": "0",
        "KUBE_GIT_MAJOR": "1",
        "KUBE_GIT_MINOR": version.split(".")[1],
        "KUBE_GIT_TREE_STATE": "clean",
        "KUBE_GIT_VERSION": f"v{version}",
        "LC_ALL": "C",
        "PATH": f"{GO / 'bin'}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        # The build date that the version carries: fixed, so that it does not change the binaries of a second build.
        "SOURCE_DATE_EPOCH": "0",
    }


def _follow(process: subprocess.Popen[str], log: TextIO, reporter: Reporter) -> deque[str]:
    """Copy make's output to the log and count the packages in it; returns its last lines when make has ended."""
    tail: deque[str] = deque(maxlen=10)
    seen: set[str] = set()
    with reporter.step("building Kubernetes", GO_PACKAGES, "packages") as advance:
        for line in process.stdout or ():
            log.write(line)
            tail.append(line)
            name = line.strip()
            new = name not in seen and PACKAGE_LINE.fullmatch(name) is not None
            seen.update([name] if new else ())
            advance(int(new))
        process.wait()
    return tail
