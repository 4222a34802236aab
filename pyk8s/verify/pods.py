"""Pods for checks: small, quick to end, placed where the check wants them; and their state in a few words."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

from pyk8s.verify.objects import Manifest, Objects


@dataclasses.dataclass(frozen=True)
class Images:
    """The images that checks use, as users write them; ``$PYK8S_IMAGE_PREFIX`` is put in front of each."""

    nginx: str
    nginx_other: str
    busybox: str
    redis: str
    uncommon: str


def images(environment: Mapping[str, str] = os.environ) -> Images:
    """Return the names of the images; ``uncommon`` is a tag that no other check uses."""
    prefix = environment.get("PYK8S_IMAGE_PREFIX", "")
    names = ("nginx", "nginx:1.22", "busybox", "redis", "redis:7.0")
    return Images(*(prefix + name for name in names))


def manifest(
    name: str,
    image: str,
    *,
    command: list[str] | None = None,
    node: str | None = None,
    labels: Mapping[str, str] | None = None,
    **spec: object,
) -> Manifest:
    """Build a pod of one container ``main``; ``spec`` overrides fields of its spec.

    With ``node`` it goes straight to that node, past the scheduler and past any taint.
    """
    container: Manifest = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "resources": {"requests": {"cpu": "5m", "memory": "8Mi"}},
    }
    if command:
        container["command"] = command
    fields: Manifest = {
        "containers": [container],
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 1,
    }
    if node:
        fields |= {"nodeName": node, "tolerations": [{"operator": "Exists"}]}
    marks = dict(labels) if labels is not None else {"app": name}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": marks},
        "spec": fields | spec,
    }


def condition(thing: Manifest, kind: str) -> Manifest:
    """Return the condition of that type, empty when it is not there."""
    conditions = thing.get("status", {}).get("conditions") or []
    found: Manifest = next((one for one in conditions if one["type"] == kind), {})
    return found


def is_ready(thing: Manifest) -> bool:
    """Whether a pod or a node says Ready, and is not being deleted."""
    return condition(thing, "Ready").get("status") == "True" and "deletionTimestamp" not in thing["metadata"]


def state(objects: Objects, namespace: str, name: str) -> str:
    """Say in one line how a pod is: phase, node, conditions that do not hold, containers, its last events."""
    pod = objects.find("Pod", name, namespace)
    if pod is None:
        return f"pod {name} is not there"
    status = pod.get("status", {})
    words = [f"pod {name} is {status.get('phase', 'without a phase')} on {pod['spec'].get('nodeName', 'no node')}"]
    for one in status.get("conditions") or []:
        if one["status"] != "True":
            words.append(f"{one['type']}={one['status']} {one.get('message') or one.get('reason', '')}".strip())
    for container in (status.get("initContainerStatuses") or []) + (status.get("containerStatuses") or []):
        for how, more in (container.get("state") or {}).items():
            if how != "running":
                said = " ".join(str(more[key]) for key in ("reason", "exitCode", "message") if more.get(key))
                words.append(f"{container['name']} {how}: {said}")
    chosen = f"involvedObject.name={name}"
    events = objects.list("Event", namespace, fields=chosen)[-3:]
    words += [f"event {event.get('reason')}: {' '.join((event.get('message') or '').split())}" for event in events]
    return "; ".join(words)[:1200]
