"""Debian's packages: binaries unpacked from them (not installed), Kubernetes built from its source package."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from pathlib import Path

from pyk8s.artifacts.model import KUBERNETES, Artifact
from pyk8s.artifacts.sources import apt, build
from pyk8s.artifacts.sources.base import Workshop
from pyk8s.artifacts.store import gather
from pyk8s.errors import Pyk8sError

KUBERNETES_VERSIONS = ("1.20.2",)
"""What Debian 12's source package can be built to; its name says 1.20.5, its content is 1.20.2."""


@dataclasses.dataclass(frozen=True)
class Content:
    """What a component takes from which packages: the package, and files or a folder in it."""

    packages: tuple[str, ...]
    paths: tuple[str, ...]


PACKAGES = {
    "etcd": Content(("etcd-server", "etcd-client"), ("usr/bin/etcd", "usr/bin/etcdctl")),
    "containerd": Content(("containerd",), ("usr/bin/containerd", "usr/bin/containerd-shim-runc-v2", "usr/bin/ctr")),
    "runc": Content(("runc",), ("usr/sbin/runc",)),
    "cni": Content(("containernetworking-plugins",), ("usr/lib/cni/*",)),
}


def refuse_version(version: str) -> None:
    """Raise Pyk8sError when Debian cannot give that Kubernetes."""
    if version not in KUBERNETES_VERSIONS:
        raise Pyk8sError(
            f"Kubernetes {version} cannot be had from Debian",
            f"its source package builds {', '.join(KUBERNETES_VERSIONS)} and nothing else",
            f"set kubernetes_version to {KUBERNETES_VERSIONS[-1]}, or artifact_source to mirror and artifact_mirror to "
            "a folder or web server in the upstream's layout",
        )


def provide(components: Collection[str], shop: Workshop) -> dict[str, Artifact]:
    """Have the wanted components from Debian; those that it lacks (crictl) are left out. Raises Pyk8sError."""
    shop.reporter.say("reading Debian's package lists")
    with shop.store.scratch() as scratch:
        package_apt = apt.Apt(scratch)
        package_apt.update()
        found = _unpacked([name for name in PACKAGES if name in components], package_apt, shop)
        wanted = [name for name in KUBERNETES if name in components]
        if wanted:
            found |= build.kubernetes(package_apt, shop, wanted)
    return found


def pause_binary(shop: Workshop) -> Path:
    """Have the static pause executable; raises Pyk8sError where there is no Debian to compile it from."""
    with shop.store.scratch() as scratch:
        package_apt = apt.Apt(scratch)
        package_apt.update()
        return build.pause(package_apt, shop)


def _unpacked(components: Collection[str], package_apt: apt.Apt, shop: Workshop) -> dict[str, Artifact]:
    names = [package for component in components for package in PACKAGES[component].packages]
    if not names:
        return {}
    versions = package_apt.candidates(names)
    origins = {
        one: "debian:" + ",".join(f"{name}={versions[name]}" for name in PACKAGES[one].packages) for one in components
    }
    known = {one: shop.store.find(one, origin) for one, origin in origins.items()}
    found = {one: artifact for one, artifact in known.items() if artifact}
    fetch = [one for one in components if one not in found]
    if fetch:
        packages = {name: versions[name] for one in fetch for name in PACKAGES[one].packages}
        shop.reporter.say(f"fetching Debian's {', '.join(packages)}")
        with shop.store.scratch() as scratch:
            debs = package_apt.download(packages, scratch)
            for one in fetch:
                found[one] = _unpack(one, versions, debs, scratch, shop, origins[one])
    return found


def _unpack(
    component: str, versions: dict[str, str], debs: dict[str, Path], scratch: Path, shop: Workshop, origin: str
) -> Artifact:
    content = PACKAGES[component]
    tree, inner = scratch / f"{component}.tree", scratch / component
    inner.mkdir()
    for package in content.packages:
        apt.run(["dpkg-deb", "-x", str(debs[package]), str(tree)], scratch, f"unpacking {package}")
    for pattern in content.paths:
        for path in tree.glob(pattern):
            path.rename(inner / path.name)
    version = apt.upstream_version(versions[content.packages[0]])
    return shop.store.add(Artifact(component, version, gather(inner)), origin)
