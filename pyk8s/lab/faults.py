"""Faults to inject, in the same words against the lab's containers and against machines that are only reached by SSH.

Every fault is remembered with its remedy before it is made (``pyk8s.lab.remedies``). What a machine cannot do (nobody
starts a dead machine by SSH; a kernel without netem delays nothing) is refused by ``UnavailableError``.
"""

from __future__ import annotations

import dataclasses
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterable

import docker
from docker.errors import DockerException

from pyk8s.cluster.model import Cluster, Node
from pyk8s.errors import Pyk8sError
from pyk8s.health import nodes
from pyk8s.lab import engine, guard, scripts
from pyk8s.lab.remedies import BOOT, Ledger, Remedy, apply, container_of, heal
from pyk8s.ssh import Shell

NO_NETEM = "qdisc kind is unknown"
"""What tc says where the kernel has no netem."""
HARM_SECONDS = 120
LONGEST_SECONDS = 1200
"""A machine undoes a fault of its network by itself after this time, should nobody reach it any more."""


class UnavailableError(Pyk8sError):
    """A fault that cannot be made on this machine."""


@dataclasses.dataclass(frozen=True)
class Fault:
    """A fault that was made; ``remedy`` is None where nothing has to be undone."""

    what: str
    node: Node
    remedy: Remedy | None = None


class Injector:
    """Makes faults on the machines of one cluster, and undoes them. ``shell`` returns the root shell on a node.

    Safe to use from several threads. Use it as a context manager: its end undoes what is still open.
    """

    def __init__(self, cluster: Cluster, shell: Callable[[Node], Shell]) -> None:
        self.cluster = cluster
        self.ledger = Ledger.of(cluster)
        self._shell = shell
        self._guard: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._client = _engine()
        self.healed = self._begin()

    def _begin(self) -> list[str]:
        """Undo what an earlier run left; raises Pyk8sError where another run is under way."""
        self._owned = self.ledger.own()
        return heal(self.ledger)

    def close(self) -> None:
        """Let the guard end: it undoes what is still open."""
        with self._lock:
            process, self._guard = self._guard, None
        if process and process.stdin:
            process.stdin.close()
            process.wait()
        self._owned.close()

    def stop(self, node: Node, *units: str) -> Fault:
        """Stop units in good order, and keep them stopped."""
        names = " ".join(units)
        return self._command(node, f"{names} stopped", f"systemctl stop {names}", f"systemctl start {names}")

    def hold(self, node: Node, *units: str) -> Fault:
        """Kill units with SIGKILL and keep them from being restarted: they die without a word, and stay dead."""
        names = " ".join(units)
        return self._command(node, f"{names} killed, and kept dead", scripts.hold(units), scripts.release(units))

    def kill(self, node: Node, *units: str) -> Fault:
        """Kill units with SIGKILL (as ``kill -9``); systemd restarts them."""
        names = " ".join(units)
        return self._command(node, f"{names} killed with SIGKILL", scripts.kill(names), "")

    def crash(self, node: Node) -> Fault:
        """Let the whole machine die at once; it stays dead until this is undone."""
        name = self._container(node, "crash", "nobody could start a dead machine by SSH")
        remedy = self._remedy(node, "crashed", container=name, action="start")
        return self._make(node, "crashed", lambda: self._docker(name, "kill"), remedy)

    def freeze(self, node: Node) -> Fault:
        """Stop every process of a machine; its kernel still takes packets, nothing answers them."""
        name = self._container(node, "freeze", "nobody could thaw a frozen machine by SSH")
        remedy = self._remedy(node, "frozen", container=name, action="unpause")
        return self._make(node, "frozen", lambda: self._docker(name, "pause"), remedy)

    def reboot(self, node: Node) -> Fault:
        """Reboot the machine in good order; undoing it only waits until it is back."""
        name = container_of(self._client, node) if self._client else ""
        if name:
            remedy = self._remedy(node, "rebooted", container=name, action="start")
            return self._make(node, "rebooted", lambda: self._docker(name, "restart"), remedy)
        boot = self._shell(node).run(BOOT).stdout.strip()
        remedy = self._remedy(node, "rebooted", boot=boot)
        return self._make(node, "rebooted", lambda: self._run(node, scripts.REBOOT), remedy)

    def declare_dead(self, node: Node) -> Fault:
        """Say that a machine that is down is dead, as ``fab nodes.declare_dead`` does; undoing it takes that back."""
        kubeconfig = str(self.cluster.directory / "admin.kubeconfig")
        remedy = self._remedy(node, "declared dead", kubeconfig=kubeconfig)
        return self._make(node, "declared dead", lambda: nodes.declare_dead(self.cluster, node), remedy)

    def cut(self, node: Node, addresses: Iterable[str], ways: str = "both") -> Fault:
        """Drop all packets between a machine and addresses (or networks); ``ways`` is both, in or out."""
        listed = tuple(addresses)
        what = f"cut off ({'both ways' if ways == 'both' else ways + ' only'}) from {', '.join(listed)}"
        return self._drop(node, listed, ways, 100, what)

    def lose(self, node: Node, addresses: Iterable[str], percent: int) -> Fault:
        """Drop so many of a hundred packets between a machine and addresses (or networks), at random."""
        return self._drop(node, tuple(addresses), "both", percent, f"loses {percent} % of its packets")

    def dropped(self, fault: Fault) -> int:
        """Return how many packets a cut or a loss that lasts has dropped so far; Pyk8sError where none lasts."""
        identity = fault.remedy.identity if fault.remedy else ""
        return int(self._shell(fault.node).run(scripts.dropped(identity)).stdout)

    def delay(self, node: Node, milliseconds: int) -> Fault:
        """Delay every packet that a machine sends; UnavailableError where its kernel has no netem."""
        what, undo = f"sends {milliseconds} ms late", scripts.without_netem(node.address)
        try:
            return self._command(node, what, scripts.netem(node.address, milliseconds), undo, timed=True)
        except Pyk8sError as error:
            if NO_NETEM not in str(error):
                raise
            raise UnavailableError(
                f"{node.name} cannot delay packets", "its kernel has no netem (sch_netem)"
            ) from error

    def fill_disk(self, node: Node) -> Fault:
        """Let etcd's disk be full: its data moves to a small file system, and what is free there is taken."""
        self._container(node, "fill the disk of", "a crash meanwhile would lose what its etcd has promised")
        return self._command(node, "etcd's disk full", scripts.FILL, scripts.EMPTY)

    def flush(self, node: Node) -> Fault:
        """Remove the rules of Services and masquerading; undoing it restarts the units that set them up."""
        config, undo = self.cluster.config, "systemctl restart kube-proxy"
        harm = scripts.FLUSH_NFTABLES if config.kube_proxy_mode == "nftables" else scripts.FLUSH_IPTABLES
        if config.pod_network != "none":
            harm, undo = harm + scripts.FLUSH_MASQUERADE, f"{undo} pod-network-refresh"
        return self._command(node, "the rules of Services and masquerading flushed", harm, undo)

    def undo(self, fault: Fault) -> None:
        """Undo a fault, and return when its machine is reached again; undoing it twice does no harm."""
        if fault.remedy and any(kept.identity == fault.remedy.identity for kept in self.ledger.open()):
            apply(fault.remedy)
            self.ledger.remove(fault.remedy)

    def _drop(self, node: Node, addresses: tuple[str, ...], ways: str, percent: int, what: str) -> Fault:
        identity = uuid.uuid4().hex[:8]
        harm = scripts.drop(identity, addresses, ways, percent)
        return self._command(node, what, harm, scripts.undrop(identity), timed=True, identity=identity)

    def _command(
        self, node: Node, what: str, harm: str, undo: str, *, timed: bool = False, identity: str = ""
    ) -> Fault:
        remedy = self._remedy(node, what, command=undo, identity=identity) if undo else None
        if remedy and timed:
            harm = f"{scripts.alarm(remedy.identity, undo, LONGEST_SECONDS)}\n{harm}"
            remedy = dataclasses.replace(remedy, command=f"{undo}\n{scripts.no_alarm(remedy.identity)}")
        return self._make(node, what, lambda: self._run(node, harm), remedy)

    def _make(self, node: Node, what: str, harm: Callable[[], object], remedy: Remedy | None) -> Fault:
        fault = Fault(f"{node.name}: {what}", node, remedy)
        if remedy:
            self._watch()
            self.ledger.add(remedy)
        try:
            harm()
        except BaseException:
            self.undo(fault)
            raise
        return fault

    def _watch(self) -> None:
        with self._lock:
            if self._guard is None or self._guard.poll() is not None:
                self._guard = guard.start(self.ledger)

    def _remedy(self, node: Node, what: str, *, identity: str = "", **how: str) -> Remedy:
        known = identity or uuid.uuid4().hex[:8]
        return Remedy(known, f"{node.name}: {what}", node.name, node.address, node.ssh, **how)

    def _run(self, node: Node, command: str) -> None:
        self._shell(node).run(f"set -e\n{command}", timeout=HARM_SECONDS)

    def _container(self, node: Node, verb: str, why: str) -> str:
        name = container_of(self._client, node) if self._client else ""
        if not name:
            raise UnavailableError(f"{node.name} is no machine of a lab here: it cannot be made to {verb}", why)
        return name

    def _docker(self, name: str, action: str) -> None:
        try:
            getattr(self._client.containers.get(name), action)()  # type: ignore[union-attr]
        except DockerException as error:
            raise Pyk8sError(f"the engine did not {action} {name}", str(error)) from error


def _engine() -> docker.DockerClient | None:
    try:
        return engine.connect(lambda _: None, start=False)
    except Pyk8sError:
        return None
