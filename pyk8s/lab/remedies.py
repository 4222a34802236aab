"""How a fault is undone, kept on disk before it is made: whatever becomes of the run, somebody can undo it.

``clusters/<name>/faults.json`` lists the faults that are not undone yet. A guard process (``pyk8s.lab.guard``) undoes
them when the process that made them is gone, and every later run begins with what a guard could not do.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import docker
from docker.errors import DockerException

from pyk8s.cluster.model import Cluster, Node, SshTarget
from pyk8s.errors import Pyk8sError
from pyk8s.health import nodes
from pyk8s.lab import engine
from pyk8s.lab.spec import MACHINE_LABEL
from pyk8s.ssh import Shell

BACK_SECONDS = 90
"""How long a machine may take from its start until SSH answers."""
COMMAND_SECONDS = 60
BOOT = "cat /proc/sys/kernel/random/boot_id"
"""Says which boot of the machine this is; containers have that of their host."""


@dataclasses.dataclass(frozen=True)
class Remedy:
    """What undoes one fault: a command as root on the node, or an action (start, unpause) on its container.

    With a ``boot``, the machine is back when its boot has another identity. With a ``kubeconfig`` the node was declared
    dead, and the API takes that back; nothing is done on the machine.
    """

    identity: str
    what: str
    node: str
    address: str
    ssh: SshTarget
    command: str = ""
    container: str = ""
    action: str = ""
    boot: str = ""
    kubeconfig: str = ""


class Ledger:
    """The faults of one cluster that are not undone yet. Safe to use from several threads and processes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of(cls, cluster: Cluster) -> Ledger:
        """Return the ledger of a cluster, ``clusters/<name>/faults.json``."""
        return cls(cluster.directory / "faults.json")

    def own(self) -> IO[str]:
        """Claim the cluster for one run, until what is returned is closed; raises Pyk8sError while another has it."""
        claim = self.path.with_suffix(".run").open("w")
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            claim.close()
            raise Pyk8sError(
                "another run makes faults on this cluster",
                "two at a time would see each other's, and undo them",
                "wait for it, or end it: it undoes its own",
            ) from error
        return claim

    def open(self) -> tuple[Remedy, ...]:
        """Return what has yet to be undone, the latest first."""
        with self._locked():
            return tuple(reversed(self._read()))

    def add(self, remedy: Remedy) -> None:
        """Remember a remedy; to be called before its fault is made."""
        with self._locked():
            self._write([*self._read(), remedy])

    def remove(self, remedy: Remedy) -> None:
        """Forget a remedy that was applied."""
        with self._locked():
            self._write([kept for kept in self._read() if kept.identity != remedy.identity])

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _read(self) -> list[Remedy]:
        if not self.path.exists():
            return []
        listed = json.loads(self.path.read_text(encoding="utf-8"))
        return [Remedy(**{**one, "ssh": SshTarget(**one["ssh"])}) for one in listed]

    def _write(self, remedies: list[Remedy]) -> None:
        if not remedies:
            self.path.unlink(missing_ok=True)
            return
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps([dataclasses.asdict(one) for one in remedies], indent=2), encoding="utf-8")
        new.replace(self.path)


def heal(ledger: Ledger) -> list[str]:
    """Undo every open fault, and say what was undone; raises Pyk8sError naming those that could not be."""
    done, failed = [], []
    for remedy in ledger.open():
        try:
            apply(remedy)
            ledger.remove(remedy)
            done.append(remedy.what)
        except Pyk8sError as error:
            failed.append(f"{remedy.what}: {error}")
    if failed:
        raise Pyk8sError("faults could not be undone", "\n".join(failed), "bring the machine back and run this again")
    return done


def apply(remedy: Remedy) -> None:
    """Undo one fault and return when the machine is reached again; raises Pyk8sError when it is not."""
    if remedy.kubeconfig:
        nodes.take_back(remedy.kubeconfig, remedy.node)
        return
    if remedy.container:
        _revive(remedy)
    shell = Shell(remedy.ssh)
    try:
        _wait_for(shell, remedy)
        if remedy.command:
            shell.run(remedy.command, timeout=COMMAND_SECONDS)
    finally:
        shell.close()


def container_of(client: docker.DockerClient, node: Node) -> str:
    """Return the name of the lab's container that is this node; nothing where it is no lab's machine."""
    for found in client.containers.list(all=True, filters={"label": f"{MACHINE_LABEL}={node.name}"}):
        networks = found.attrs["NetworkSettings"]["Networks"].values()
        wanted = {net.get("IPAddress") or (net.get("IPAMConfig") or {}).get("IPv4Address") for net in networks}
        if node.address in wanted:
            return str(found.name)
    return ""


def _revive(remedy: Remedy) -> None:
    try:
        client = engine.connect(lambda _: None, start=False)
        found = client.containers.get(remedy.container)
        if remedy.action == "unpause":
            if found.status == "paused":
                found.unpause()
            return
        if found.status != "running":
            found.start()
    except DockerException as error:
        raise Pyk8sError(f"{remedy.container} was not brought back", str(error), "pyk8s lab up") from error


def _wait_for(shell: Shell, remedy: Remedy) -> None:
    deadline = time.monotonic() + BACK_SECONDS
    while True:
        try:
            if shell.run(BOOT, timeout=5).stdout.strip() != remedy.boot:
                return
            said = "it has not rebooted"
        except Pyk8sError as error:
            said = str(error)
        if time.monotonic() > deadline:
            raise Pyk8sError(f"{remedy.node} is not back after {BACK_SECONDS} s", said)
        time.sleep(0.3)
