"""From a machine of a lab to the options of its container. Pure thinking, nothing is touched."""

from __future__ import annotations

import dataclasses
import io
import tarfile
from typing import Any

from pyk8s.lab import host
from pyk8s.lab.spec import LABEL, MACHINE_LABEL

REGISTRY = "registry"
VOLUMES = {"containerd": "/var/lib/containerd", "kubelet": "/var/lib/kubelet", "etcd": "/var/lib/etcd"}
"""What must not stand on the container's own overlay: overlayfs does not stack, and data outlives a container."""
SHARED = "shared"
SHARED_FOLDER = "/srv/shared"
"""One volume for all nodes of a lab: a folder that they share, as an NFS export mounted everywhere would be."""
REGISTRY_STORE = "/var/lib/registry"
REGISTRY_CONFIG = "/etc/pyk8s-registry.yml"
TMPFS = {"run": "755", "tmp": "1777"}
UNCONFINED = ["seccomp=unconfined", "apparmor=unconfined"]


@dataclasses.dataclass(frozen=True)
class Options:
    """A container as the engine's API wants it, except for image and network. ``unmask`` clears masked paths."""

    name: str
    create: dict[str, Any]
    host: dict[str, Any]
    volumes: tuple[str, ...]
    unmask: bool = False


def resource_name(lab: str, thing: str = "") -> str:
    """Return the name of a lab's container or volume, or of its network: pyk8s-lab-w1, pyk8s-lab."""
    return f"pyk8s-{lab}-{thing}" if thing else f"pyk8s-{lab}"


def labels(lab: str, machine: str = "") -> dict[str, str]:
    """Return the labels that say whose a container, volume or network is."""
    return {LABEL: lab} | ({MACHINE_LABEL: machine} if machine else {})


def node(lab: str, machine: str, machine_host: host.Host, engine_version: str) -> Options:
    """Return the options of a node: systemd, sshd and nested containers run in it as on a machine."""
    name = resource_name(lab, machine)
    volumes = {f"{name}-{what}": {"bind": path, "mode": "rw"} for what, path in VOLUMES.items()}
    volumes[resource_name(lab, SHARED)] = {"bind": SHARED_FOLDER, "mode": "rw"}
    binds = dict(volumes)
    if machine_host.modules:
        binds["/lib/modules"] = {"bind": "/lib/modules", "mode": "ro"}
    return Options(
        name=name,
        create={"hostname": machine, "labels": labels(lab, machine), "stop_signal": "SIGRTMIN+3"},
        host={
            "binds": binds,
            "cgroupns": "private",
            "tmpfs": {f"/{name}": f"rw,exec,nosuid,nodev,mode={mode}" for name, mode in TMPFS.items()},
            **_rights(machine_host, engine_version),
        },
        volumes=tuple(volumes),
        unmask=not machine_host.all_capabilities,
    )


def _rights(machine_host: host.Host, engine_version: str) -> dict[str, Any]:
    """Privileged where that is possible, else every right that this machine can give, by name."""
    if machine_host.all_capabilities:
        return {"privileged": True}
    return {
        "cap_drop": ["ALL"],
        "cap_add": sorted(host.known_to_engine(machine_host.capabilities, engine_version)),
        "security_opt": UNCONFINED,
        "device_cgroup_rules": ["a *:* rwm"],
        "devices": ["/dev/kmsg:/dev/kmsg"] if machine_host.kmsg else [],
    }


def registry(lab: str) -> Options:
    """Return the options of the lab's registry: an ordinary container with one volume."""
    name = resource_name(lab, REGISTRY)
    return Options(
        name=name,
        create={
            "hostname": REGISTRY,
            "labels": labels(lab, REGISTRY),
            "entrypoint": ["docker-registry", "serve", REGISTRY_CONFIG],
            "command": [],
        },
        host={"binds": {name: {"bind": REGISTRY_STORE, "mode": "rw"}}},
        volumes=(name,),
    )


def archive(files: dict[str, tuple[str, int]]) -> bytes:
    """Return a tar archive of files by path, each with text and mode, to be unpacked at the root."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as out:
        for path, (text, mode) in files.items():
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode = len(text.encode()), mode
            out.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()


def hosts_file(machine: str, addresses: dict[str, str]) -> str:
    """Return ``/etc/hosts`` of a machine: itself and all others of the lab, by name."""
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
    own = [f"{addresses[machine]} {machine}"] if machine in addresses else []
    others = [f"{address} {name}" for name, address in addresses.items() if name != machine]
    return "\n".join([*lines, *own, *others]) + "\n"
