"""The stage of a fault: a Service of three replicas, probes on it and on the API, and what they saw.

The Service stands for all checks of a run, in a namespace of its own; each check has probes of its own.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from pyk8s.cluster.model import Cluster, Node
from pyk8s.lab.faults import Fault, Injector, UnavailableError
from pyk8s.verify.context import Context
from pyk8s.verify.faults import agent, web
from pyk8s.verify.faults.probes import Api, NodeProbe, Probe, Reader, Writer, track
from pyk8s.verify.faults.profile import profile
from pyk8s.verify.model import CheckFailed, CheckSkipped, Interrupted, Mark, Measure, Timeline
from pyk8s.verify.objects import Manifest

READ, WRITE = "read through api_endpoint", "write through api_endpoint"
READ_BOUND, WRITE_BOUND = 5.0, 10.0
"""Seconds within which the API answers again, and takes writes again, after any one thing has died."""
START_SECONDS = 60
FELT_SECONDS = 3.0
"""How long what a fault took away must have been silent meanwhile: longer than a busy machine ever is."""


class Stage:
    """One check's stage. ``with Stage(ctx) as stage`` begins to probe, and hands the timeline over at the end."""

    def __init__(self, ctx: Context) -> None:
        if ctx.cluster is None:
            raise CheckSkipped("needs the machines; only a kubeconfig was given", expected=True)
        self.ctx = ctx
        self.cluster: Cluster = ctx.cluster
        self.web = ctx.session.shared("web", lambda: web.create(ctx))
        web.spread(ctx, self.web)
        self.namespace = ctx.namespace()
        self.injector = ctx.session.shared("injector", lambda: _injector(ctx))
        self.marks: list[Mark] = []
        self.problems: list[str] = []
        self.told: list[str] = []
        self.zero = time.monotonic()
        self.writers: list[Writer] = []
        self.entrance: Api
        self.probes = {probe.name: probe for probe in (*self._api_probes(), *self._service_probes())}

    def __enter__(self) -> Self:
        for probe in self.probes.values():
            probe.start()
        try:
            self.ctx.wait(self._all_good, START_SECONDS, "every probe answered once", self._silent)
        except BaseException:
            self._end()
            raise
        self.zero = time.monotonic()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._end()

    @property
    def now(self) -> float:
        """Seconds since the stage was set."""
        return time.monotonic() - self.zero

    @contextlib.contextmanager
    def harm(self, make: Callable[[Injector], Fault]) -> Iterator[Fault]:
        """Make a fault for as long as the block lasts; undone whatever happens.

        CheckSkipped where these machines cannot have that fault, which is by design.
        """
        began = self.now
        try:
            fault = make(self.injector)
        except UnavailableError as error:
            raise CheckSkipped(" ".join(str(error).split()), expected=True) from error
        try:
            yield fault
        finally:
            self.injector.undo(fault)
            self.marks.append(Mark(fault.what, round(began, 3), round(self.now, 3)))

    def strike(self, make: Callable[[Injector], Fault]) -> float:
        """Make a fault that undoes itself (a kill, a flush); return when, in seconds since the stage was set."""
        began = self.now
        with self.harm(make):
            pass
        return began

    def watch(self, seconds: float) -> None:
        """Let the probes go on for a while."""
        if self.ctx.deadline.stop.wait(seconds):
            raise Interrupted

    def calm(self, seconds: float = 3.0, timeout: float = 60, *names: str) -> None:
        """Wait until the probes (those named, or all) have had nothing but good answers for so long."""
        probes = [self.probes[name] for name in names] or list(self.probes.values())

        def _quiet() -> bool:
            since = time.monotonic() - seconds
            return all(_good_since(probe, since) for probe in probes)

        self.ctx.wait(_quiet, timeout, f"{seconds:g} s of good answers from every probe", self._latest)

    def measure(self, what: str, seconds: float, bound: float = 0) -> None:
        """Keep how long something took; beyond its bound it makes the check fail at the end."""
        self.ctx.measures.append(Measure(what, round(seconds, 2), bound))
        if bound and seconds > bound:
            self.problems.append(f"{what}: {seconds:.1f} s, promised are {bound:g} s")
        self.told.append(f"{what} {seconds:.1f} s")

    def gone(self, name: str, bound: float = 0, since: float = 0.0, label: str = "") -> float:
        """Measure the longest time that a probe had no good answer since a moment; return it."""
        seen = track(name, self.probes[name].samples, self.zero + since, time.monotonic(), self.zero)
        self.measure(label or f"no {name}", seen.longest, bound)
        return seen.longest

    def felt(self, name: str) -> None:
        """Remember it as a problem when a probe at what the last fault struck was not silent while that lasted."""
        last = self.marks[-1]
        since, until = self.zero + last.at, self.zero + last.until
        if track(name, self.probes[name].samples, since, until, self.zero).longest < FELT_SECONDS:
            self.fail(f"{name} went on during `{last.what}`, so that nothing was struck there")

    def api_answers(self, reads: float = READ_BOUND) -> None:
        """Measure how long reads and writes through api_endpoint were gone, against what is promised."""
        self.gone(READ, reads)
        self.gone(WRITE, WRITE_BOUND)

    def all_kept(self, reads: float = READ_BOUND, victim: Node | None = None) -> None:
        """Judge what holds through any one fault of the control plane: the API, the Service, acknowledged writes.

        A victim that is a worker too takes pods of the Service with it, until it is known to be NotReady.
        """
        self.api_answers(reads)
        if victim and victim.is_worker:
            self.services_answer(profile(self.cluster).noticed, without=(victim.name,))
        else:
            self.services_answer(READ_BOUND)
        self.writes_kept()

    def services_answer(self, bound: float, *, without: tuple[str, ...] = ()) -> None:
        """Measure how long the Service was gone at worst, asked on any worker but those named."""
        names = [name for name in self.probes if name.startswith(("ClusterIP", "NodePort"))]
        kept = [name for name in names if name.rpartition(" ")[2] not in without]
        if not kept:
            self.say("there is no other worker to ask a Service at")
            return
        until = time.monotonic()
        seen = [track(name, self.probes[name].samples, self.zero, until, self.zero) for name in kept]
        worst = max(seen, key=lambda one: one.longest)
        self.measure(f"no answer of a Service ({worst.name})" if worst.longest else "no answer of a Service",
                     worst.longest, bound)  # fmt: skip

    def fail(self, problem: str) -> None:
        """Remember that a promise did not hold; the check goes on, and fails at the end."""
        self.problems.append(problem)

    def say(self, text: str) -> None:
        """Add to the evidence."""
        self.told.append(text)

    def writes_kept(self) -> None:
        """See that every acknowledged write of this stage is there."""
        wanted: dict[str, set[str]] = {}
        for writer in self.writers:
            for page, key in tuple(writer.acknowledged):
                wanted.setdefault(page, set()).add(key)
        found = self.ctx.wait(lambda: self.ctx.objects.list("ConfigMap", self.namespace), 30, "the writes read back")
        kept = {one["metadata"]["name"]: set(one.get("data") or {}) for one in found}
        lost = {page: keys - kept.get(page, set()) for page, keys in wanted.items()}
        missing = [f"{page}/{key}" for page, keys in lost.items() for key in sorted(keys)]
        if missing:
            self.fail(f"{len(missing)} acknowledged writes are lost: {', '.join(missing[:5])}")
        self.say(f"{sum(map(len, wanted.values()))} acknowledged writes, {len(missing)} lost")

    def evidence(self, *, api: bool = True) -> str:
        """Return what was measured; CheckFailed with all that did not hold.

        The API is judged as ``api_answers`` does, unless the check did so or, without ``api``, took it away itself.
        """
        if api and not any(READ in one.what for one in self.ctx.measures):
            self.api_answers()
        if self.problems:
            raise CheckFailed("; ".join([*self.problems, f"seen: {', '.join(self.told)}"]))
        return "; ".join(self.told)

    def _end(self) -> None:
        stopping = [threading.Thread(target=probe.stop) for probe in self.probes.values()]
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join()
        until = time.monotonic()
        seen = [track(name, probe.samples, self.zero, until, self.zero) for name, probe in self.probes.items()]
        self.ctx.timeline = Timeline(round(until - self.zero, 3), tuple(self.marks), tuple(seen))

    def _all_good(self) -> bool:
        return all(probe.good() for probe in self.probes.values())

    def _silent(self) -> str:
        return "never answered: " + ", ".join(name for name, probe in self.probes.items() if not probe.good())

    def _latest(self) -> str:
        latest = {name: probe.samples[-1].why for name, probe in self.probes.items() if probe.samples}
        return "; ".join(f"{name}: {why}" for name, why in latest.items() if why) or "all answer now"

    def _api_probes(self) -> Iterator[Probe]:
        trust = _trust(self.ctx)
        kept: Manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept"}}
        self.ctx.apply(kept, self.namespace)
        collection = self.ctx.objects.path("ConfigMap", "", self.namespace)
        ways = {"through api_endpoint": self.cluster.api_url}
        ways |= {f"from {node.name}": self.cluster.api_url_of(node.address) for node in self.cluster.control_plane}
        for way, url in ways.items():
            reading = Api(url, trust)
            if way == "through api_endpoint":
                self.entrance = reading
            yield Probe(f"read {way}", Reader(reading, f"{collection}/kept"))
            writer = Writer(Api(url, trust), collection, f"writes-{len(self.writers)}")
            self.writers.append(writer)
            yield Probe(f"write {way}", writer)

    def _service_probes(self) -> Iterator[Probe]:
        for node in self.cluster.workers:
            yield NodeProbe(f"ClusterIP from {node.name}", self.ctx.on(node), self.web.address, 80)
            yield Probe(f"NodePort at {node.name}", _asking(node, self.web.port))


def _asking(node: Node, port: int) -> Callable[[], str]:
    return lambda: agent.ask(node.address, port)


def _good_since(probe: Probe, since: float) -> bool:
    recent = [sample for sample in probe.samples[-200:] if sample.answered >= since]
    return bool(recent) and not any(sample.why for sample in recent)


def _trust(ctx: Context) -> ssl.SSLContext:
    ours = ctx.api.configuration
    trust = ssl.create_default_context(cafile=ours.ssl_ca_cert)
    trust.load_cert_chain(ours.cert_file, ours.key_file)
    return trust


def _injector(ctx: Context) -> Injector:
    if ctx.cluster is None:
        raise CheckSkipped("needs the machines; only a kubeconfig was given", expected=True)
    injector = Injector(ctx.cluster, ctx.session.shell)
    for what in injector.healed:
        ctx.session.warn(f"an earlier run ended without undoing it, now undone: {what}")
    ctx.session.at_end(injector.close)
    return injector
