"""A client that lists, then watches, and watches on from where it was when the connection breaks; as controllers do."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Self

from kubernetes import client, watch
from kubernetes.client.exceptions import ApiException

from pyk8s.cluster.model import Node
from pyk8s.verify.faults.stage import Stage
from pyk8s.verify.objects import Manifest
from pyk8s.verify.wait import PASSING

PERIOD = 0.2
READ_SECONDS = 5
"""A watch that is silent for so long is begun again, since objects are made all the time."""
GONE = 410
"""What a server says that does not know a version any more: a client lists again (API concepts, watch)."""


def restart_in_turn(stage: Stage, nodes: Iterable[Node], unit: str) -> None:
    """Restart a unit in good order on each machine, the next one when all is calm, while a client makes and watches."""
    with Watching(stage) as watching:
        for node in nodes:
            with stage.harm(lambda faults, node=node: faults.stop(node, unit)):  # type: ignore[misc]
                stage.watch(1)
            stage.calm(2, 90)
        watching.complete()


class Watching:
    """Makes a ConfigMap every 200 ms and watches them come, for as long as the block lasts."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._namespace = stage.ctx.namespace()
        self._stop = threading.Event()
        self._made: list[str] = []
        self._seen: list[str] = []
        self._breaks = 0
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._make, self._watch)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=2 * READ_SECONDS)

    def complete(self) -> None:
        """Stop making objects, and see that each that was acknowledged was seen, once, and in order."""
        self._stage.watch(1)
        self._stop.set()
        self._threads[0].join(timeout=10)
        made = list(self._made)
        if not made:
            self._stage.fail("no object could be made while the watch went on")
        self._stage.ctx.wait(lambda: set(made) <= set(self._seen), 20, "the watch has seen all", self._state)
        known = [name for name in self._seen if name in set(made)]
        if known != made:
            self._stage.fail("the watch saw objects twice, or not in the order in which they were made")
        self._stage.say(f"a watch saw all {len(made)} objects in order over {self._breaks} reconnections")

    def _state(self) -> str:
        missing = [name for name in self._made if name not in set(self._seen)]
        return f"{len(missing)} of {len(self._made)} not seen: {', '.join(missing[:5])}"

    def _make(self) -> None:
        number = 0
        while not self._stop.wait(PERIOD):
            name = f"seen-{number:05}"
            try:
                body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
                self._stage.ctx.objects.create(body, self._namespace)
                self._made.append(name)
            except PASSING:
                pass
            number += 1

    def _watch(self) -> None:
        core = client.CoreV1Api(self._stage.ctx.session.own_client())
        version = ""
        while not (self._stop.is_set() and set(self._made) <= set(self._seen)):
            try:
                version = version or self._list()
                for event in self._events(core, version):
                    if event["type"] == "ERROR":
                        raise ApiException(event["raw_object"].get("code"), event["raw_object"].get("message"))
                    version = event["raw_object"]["metadata"]["resourceVersion"]
                    if event["type"] == "ADDED":
                        self._seen.append(event["raw_object"]["metadata"]["name"])
            except (*PASSING, ValueError) as error:
                version = "" if getattr(error, "status", 0) == GONE else version
                self._breaks += 1
                self._stop.wait(PERIOD)
            if self._stop.is_set() and len(self._seen) >= len(self._made):
                return

    def _list(self) -> str:
        """See what is there when the watch begins, or has to begin anew; return the version to watch from."""
        listed = json.loads(self._stage.ctx.objects.request("GET", self._path()))
        names = [one["metadata"]["name"] for one in listed["items"]]
        self._seen += [name for name in names if name not in set(self._seen)]
        return str(listed["metadata"]["resourceVersion"])

    def _events(self, core: client.CoreV1Api, version: str) -> Iterator[Manifest]:
        options = {"resource_version": version, "timeout_seconds": 30, "_request_timeout": (2, READ_SECONDS)}
        stream: Callable[..., Iterator[Manifest]] = watch.Watch().stream  # type: ignore[no-untyped-call]
        yield from stream(core.list_namespaced_config_map, self._namespace, **options)

    def _path(self) -> str:
        return self._stage.ctx.objects.path("ConfigMap", "", self._namespace)
