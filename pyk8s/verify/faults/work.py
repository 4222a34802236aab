"""New work during a fault: a Deployment has to run, a Service to answer. Times and bounds are in seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus

from kubernetes.client.exceptions import ApiException

from pyk8s.cluster.model import Node
from pyk8s.verify.checks import parts
from pyk8s.verify.faults import web
from pyk8s.verify.faults.stage import Stage

BOUND = 45.0
"""Until a new Deployment runs while something is dead: a new leader of controllers and scheduler, and a pod's start."""
TAKEN_SECONDS = 30
"""Within which the API must have taken what is created: it may be gone for WRITE_BOUND, and more than once."""


def goes_on(stage: Stage, bound: float, without: Node | None = None) -> None:
    """Measure how long a new Deployment takes to run: scheduler, controllers and kubelets are at work.

    It keeps away from a node that nobody knows to be dead yet. CheckFailed when it does not run 30 s after the bound.
    """
    ctx, name = stage.ctx, f"work-{len(stage.ctx.measures)}"
    pod = parts.idle(ctx, name)
    if without:
        pod["spec"]["affinity"] = parts.away_from(without.name)
    began = time.monotonic()
    _create(stage, lambda: ctx.apply(parts.workload("Deployment", name, pod, replicas=1), stage.namespace))

    def _ready() -> bool:
        status = ctx.objects.get("Deployment", name, stage.namespace).get("status", {})
        return bool(status.get("availableReplicas"))

    ctx.wait(_ready, bound + 30, f"Deployment {name} available", lambda: parts.unready(ctx, stage.namespace))
    stage.measure("until a new Deployment runs", time.monotonic() - began, bound)


def service_answers(stage: Stage, bound: float) -> None:
    """Measure how long a new Service takes to answer at every worker: controllers and kube-proxies hear of it.

    CheckFailed when it does not answer 30 s after the bound.
    """
    ctx, name, home = stage.ctx, f"new-{len(stage.ctx.measures)}", stage.web.namespace
    ctx.defer(lambda: ctx.objects.delete("Service", name, home))
    began = time.monotonic()
    _create(stage, lambda: parts.service(ctx, home, name, web.NAME))
    found = ctx.wait(lambda: ctx.objects.get("Service", name, home), TAKEN_SECONDS, f"Service {name}")
    parts.follows(ctx, home, name, web.REPLICAS, bound + 30)
    ask = f"""python3 -c 'import socket; socket.create_connection(("{found["spec"]["clusterIP"]}", 80), 2)'"""
    shells = [ctx.on(node) for node in stage.cluster.workers]
    ctx.wait(lambda: all(one.run(ask, check=False).ok for one in shells), bound + 30, f"{name} answers at all workers")
    stage.measure("until a new Service answers at every worker", time.monotonic() - began, bound)


def _create(stage: Stage, act: Callable[[], object]) -> None:
    """Create something, again and again until the API has it: also where it took it and the answer was lost."""

    def _done() -> bool:
        try:
            act()
        except ApiException as error:
            if error.status != HTTPStatus.CONFLICT:
                raise
        return True

    stage.ctx.wait(_done, TAKEN_SECONDS, "the API takes it")
