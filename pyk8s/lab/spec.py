"""What a lab consists of: its machines, their names and addresses. Pure thinking, nothing is touched."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Iterable

from pyk8s.errors import Pyk8sError

POOL = ipaddress.IPv4Network("198.18.0.0/15")
"""Set aside for tests of network devices by RFC 2544: never a real address of anybody."""
LABEL = "io.pyk8s.lab"
MACHINE_LABEL = "io.pyk8s.machine"
SUBNET_PREFIX = 18
REGISTRY_PORT = 5000
KINDS = {"cp": "control plane", "etcd": "etcd", "w": "worker"}
FIRST_HOST = {"cp": 11, "etcd": 41, "w": 61}
MOST = {"cp": 9, "etcd": 9, "w": 30}
MOST_NODES = 32


@dataclasses.dataclass(frozen=True)
class LabSpec:
    """The wish: how many machines of which kind. ``etcd`` counts machines that run etcd alone."""

    name: str = "lab"
    control_planes: int = 1
    workers: int = 2
    etcd: int = 0
    kubernetes_version: str = ""

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise Pyk8sError(f"there is no such lab as {self.name!r}", "; ".join(problems), "see pyk8s lab up --help")

    def _problems(self) -> Iterable[str]:
        if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?", self.name):
            yield "the name must be small letters, digits and hyphens, 30 at most"
        if self.control_planes < 1:
            yield "at least one control plane is needed"
        for what, count, most in (
            ("control planes", self.control_planes, MOST["cp"]),
            ("workers", self.workers, MOST["w"]),
            ("etcd machines", self.etcd, MOST["etcd"]),
        ):
            if not 0 <= count <= most:
                yield f"{count} {what} are out of range (0 to {most})"
        if self.control_planes + self.workers > MOST_NODES:
            yield f"the pod range has room for {MOST_NODES} nodes"
        if self.etcd and self.etcd % 2 == 0:
            yield f"{self.etcd} etcd machines: an even number survives no more failures than one less"

    @property
    def machine_names(self) -> tuple[str, ...]:
        """cp1, ..., etcd1, ..., w1, ..."""
        counts = {"cp": self.control_planes, "etcd": self.etcd, "w": self.workers}
        return tuple(f"{kind}{number}" for kind, count in counts.items() for number in range(1, count + 1))


@dataclasses.dataclass(frozen=True)
class Ranges:
    """How a lab's subnet is divided; all of it lies in one /18, which the bridge's isolation rules let pass."""

    subnet: ipaddress.IPv4Network

    @property
    def gateway(self) -> str:
        """The address of the machine itself on the lab's bridge."""
        return str(self.subnet[1])

    @property
    def registry(self) -> str:
        """The address of the registry."""
        return str(self.subnet[2])

    @property
    def virtual_ip(self) -> str:
        """The address of the API where several control planes stand behind it."""
        return str(self.subnet[10])

    @property
    def image_mirror(self) -> str:
        """The registry as the container runtimes and the machine itself reach it."""
        return f"http://{self.registry}:{REGISTRY_PORT}"

    @property
    def services(self) -> ipaddress.IPv4Network:
        """The /20 for services."""
        return list(self.subnet.subnets(new_prefix=20))[1]

    @property
    def pods(self) -> ipaddress.IPv4Network:
        """The upper half, a /19: 32 nodes of a /24 each."""
        return list(self.subnet.subnets(new_prefix=19))[1]

    def address(self, machine: str) -> str:
        """The address of cp1, w2, ...: always the same, so that machines may come and go."""
        kind, number = split_name(machine)
        return str(self.subnet[FIRST_HOST[kind] + number - 1])


def split_name(machine: str) -> tuple[str, int]:
    """Return kind and number: ("w", 2) for "w2"; ValueError for any other name."""
    found = re.fullmatch(r"(cp|etcd|w)([1-9][0-9]?)", machine)
    if not found:
        raise ValueError(machine)
    return found[1], int(found[2])


def free_ranges(used: Iterable[str]) -> Ranges:
    """Return the first /18 of the pool that overlaps none of the ``used`` networks; raises Pyk8sError when all do."""
    taken = [ipaddress.ip_network(network, strict=False) for network in used]
    for subnet in POOL.subnets(new_prefix=SUBNET_PREFIX):
        if not any(other.version == 4 and subnet.overlaps(other) for other in taken):
            return Ranges(subnet)
    raise Pyk8sError(
        f"no subnet of {POOL} is free", "other networks cover all of them", "take a lab down: pyk8s lab down --name N"
    )


def sort_key(machine: str) -> tuple[int, int]:
    """Order machines as the inventory lists them: control planes, etcd, workers."""
    kind, number = split_name(machine)
    return list(KINDS).index(kind), number


def groups(machines: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the inventory's groups. etcd runs on machines of its own, else on an odd number of control planes.

    Without any worker the control planes are workers too: an all-in-one node.
    """
    names = sorted(machines, key=sort_key)
    of_kind = {kind: tuple(name for name in names if split_name(name)[0] == kind) for kind in KINDS}
    planes = of_kind["cp"]
    odd = planes[: len(planes) - (len(planes) % 2 == 0)]
    return {"control_plane": planes, "etcd": of_kind["etcd"] or odd, "workers": of_kind["w"] or planes}
