"""Runs checks side by side, the exclusive ones alone afterwards, and leaves the cluster as it was."""

from __future__ import annotations

import contextlib
import datetime
import time
import traceback
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import Protocol

from pyk8s.verify.context import Context
from pyk8s.verify.describe import describe
from pyk8s.verify.model import Check, CheckFailed, CheckSkipped, Interrupted, Outcome, Report, Status
from pyk8s.verify.needs import Needs
from pyk8s.verify.objects import CLUSTER_SCOPED, Manifest, reason
from pyk8s.verify.session import LABEL, Session
from pyk8s.verify.wait import PASSING, Deadline, poll

WORKERS = 8
LEFTOVER_MINUTES = 30
GONE_SECONDS = 30
FORCE_SECONDS = 8
"""Then pods are deleted without waiting for their kubelet; that of 1.20 forgets one now and then for a minute."""
SWEPT = sorted(CLUSTER_SCOPED - {"Node", "StorageClass"})


class Watcher(Protocol):
    """Somebody who is told how far the run is; called from several threads."""

    def started(self, check: Check) -> None:
        """A check begins."""

    def finished(self, outcome: Outcome) -> None:
        """A check ended."""


class Runner:
    """One run. ``named`` says that the user asked for these very checks: then none may be left out."""

    def __init__(self, session: Session, watcher: Watcher, *, workers: int = WORKERS, named: bool = False) -> None:
        self.session = session
        self.watcher = watcher
        self.workers = workers
        self.named = named
        self.needs = Needs(session)
        self.outcomes: list[Outcome] = []

    def run(self, checks: Iterable[Check]) -> Report:
        """Run all, clean up, and return the report. Ctrl-C ends the checks under way; they still clean up."""
        chosen = tuple(checks)
        began, started = time.monotonic(), datetime.datetime.now(datetime.UTC)
        interrupted = False
        self._sweep()
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="check")
        try:
            self._collect([pool.submit(self._one, check) for check in in_order(chosen)])
            for check in chosen:
                if check.exclusive:
                    self._collect([pool.submit(self._one, check)])
        except KeyboardInterrupt:
            interrupted = True
            self.session.stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
        self.session.end()
        self._wait_gone()
        place = {check.name: number for number, check in enumerate(chosen)}
        outcomes = tuple(sorted(self.outcomes, key=lambda outcome: place[outcome.check.name]))
        cluster = describe(self.session, outcomes, started, time.monotonic() - began)
        return Report(outcomes, cluster, tuple(self.session.warnings), interrupted)

    def _collect(self, futures: list[Future[Outcome | None]]) -> None:
        for future in as_completed(futures):
            if outcome := future.result():
                self.outcomes.append(outcome)
                self.watcher.finished(outcome)

    def _one(self, check: Check) -> Outcome | None:
        if self.session.stop.is_set():
            return None
        self.watcher.started(check)
        began = time.monotonic()
        context = Context(self.session, check)
        try:
            status, detail, expected = self._attempt(check, context)
        except Interrupted:
            return None
        seconds = round(time.monotonic() - began, 3)
        return Outcome(check, status, seconds, detail, expected, tuple(context.measures), context.timeline)

    def _attempt(self, check: Check, context: Context) -> tuple[Status, str, bool]:
        try:
            if unmet := self.needs.unmet(check):
                raise unmet
            return Status.PASSED, check.run(context), False
        except CheckSkipped as skipped:
            return Status.SKIPPED, str(skipped), skipped.expected and not self.named
        except CheckFailed as failed:
            return Status.FAILED, str(failed), False
        except PASSING as error:
            return Status.FAILED, reason(error), False
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            return Status.FAILED, f"the check broke at {where.name}:{where.lineno}: {reason(error)}", False
        finally:
            context.clean_up()

    def _sweep(self) -> None:
        """Delete what earlier runs, ended hard, left behind."""
        limit = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=LEFTOVER_MINUTES)
        try:
            for kind in SWEPT:
                for thing in self.session.objects.list(kind, labels=LABEL):
                    self._delete_leftover(kind, thing["metadata"], limit)
        except PASSING as error:
            self.session.warn(f"what earlier runs left behind could not be looked for: {reason(error)}")

    def _delete_leftover(self, kind: str, meta: Manifest, limit: datetime.datetime) -> None:
        if "deletionTimestamp" in meta or datetime.datetime.fromisoformat(meta["creationTimestamp"]) > limit:
            return
        self.session.objects.delete(kind, meta["name"])
        self.session.warn(f"deleted {kind} {meta['name']}, left behind by an earlier run")

    def _wait_gone(self) -> None:
        """Wait until no pod of this run is left, for at most GONE_SECONDS; empty namespaces end by themselves."""
        if not self.session.namespaces:
            return
        left: list[Manifest] = []
        force_at = time.monotonic() + FORCE_SECONDS

        def _gone() -> bool:
            left[:] = [pod for pod in self.session.objects.list("Pod") if self._is_ours(pod)]
            if left and time.monotonic() > force_at:
                self._force(left)
            self._delete_again()
            return not left

        try:
            with contextlib.suppress(KeyboardInterrupt):
                poll(_gone, GONE_SECONDS, "pods gone", Deadline.after(GONE_SECONDS))
        except CheckFailed as failed:
            names = ", ".join(f"{pod['metadata']['namespace']}/{pod['metadata']['name']}" for pod in left)
            self.session.warn(f"still there after {GONE_SECONDS} s: {names or failed}")

    def _is_ours(self, pod: Manifest) -> bool:
        return pod["metadata"]["namespace"] in self.session.namespaces

    def _force(self, left: list[Manifest]) -> None:
        for pod in left:
            self.session.objects.delete("Pod", pod["metadata"]["name"], pod["metadata"]["namespace"], grace=0)

    def _delete_again(self) -> None:
        """Delete namespaces that could not be deleted when their check ended, the API being away."""
        for namespace in self.session.objects.list("Namespace", labels=f"{LABEL}={self.session.run_id}"):
            if "deletionTimestamp" not in namespace["metadata"]:
                self.session.objects.delete("Namespace", namespace["metadata"]["name"])


def in_order(checks: Iterable[Check]) -> list[Check]:
    """Return the checks that run side by side, those that may take longest first, so that none is waited for alone."""
    return sorted((check for check in checks if not check.exclusive), key=lambda check: -check.timeout)
