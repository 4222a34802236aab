"""What all checks of a run share: the connection to the API, the shells on the nodes, and what must be cleaned up."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import websocket
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from pyk8s.cluster.model import Cluster, Node
from pyk8s.endpoints import answering
from pyk8s.errors import Pyk8sError
from pyk8s.ssh import Shell
from pyk8s.verify.model import CheckSkipped
from pyk8s.verify.objects import Objects, reason

T = TypeVar("T")
CONNECTIONS = 32
EXEC_SECONDS = 20
LABEL = "pyk8s.io/verify"
"""On every namespace that a run makes; its value names the run."""


class Session:
    """One run against one cluster. Safe to share between threads. ``cluster`` is None with only a kubeconfig."""

    def __init__(self, kubeconfig: Path, cluster: Cluster | None = None, stop: threading.Event | None = None) -> None:
        self.kubeconfig = kubeconfig
        self.cluster = cluster
        self.stop = stop or threading.Event()
        self.run_id = uuid.uuid4().hex[:8]
        self.namespaces: set[str] = set()
        self.warnings: list[str] = []
        self._shells: dict[str, Shell] = {}
        self._shared: dict[str, object] = {}
        self._at_end: list[Callable[[], object]] = []
        self._lock = threading.Lock()
        self._sharing = threading.RLock()
        self.api = self._client()
        self.server_version = self._server_version()
        self.minor = _minor(self.server_version)
        self.objects = Objects(self.api, self.minor)

    def shell(self, node: Node | str) -> Shell:
        """Return the shell on an inventory node; KeyError when the inventory has no such node."""
        if self.cluster is None:
            raise CheckSkipped("needs a shell on the nodes; only a kubeconfig was given", expected=True)
        known = self.cluster.node(node) if isinstance(node, str) else node
        with self._lock:
            return self._shells.setdefault(known.name, Shell(known.ssh))

    def shared(self, key: str, make: Callable[[], T]) -> T:
        """Return what all checks of the run share under a key, made by the first that asks for it."""
        with self._sharing:
            if key not in self._shared:
                self._shared[key] = make()
            return cast("T", self._shared[key])

    def at_end(self, undo: Callable[[], object]) -> None:
        """Have something called when all checks have ended; last in, first out."""
        self._at_end.append(undo)

    def end(self) -> None:
        """Undo what was shared; what cannot be undone becomes a warning."""
        while self._at_end:
            try:
                self._at_end.pop()()
            except (ApiException, HTTPError, Pyk8sError, OSError) as error:
                self.warn(f"what the checks shared could not be cleaned up: {reason(error)}")

    def warn(self, text: str) -> None:
        """Remember something to be said aloud at the end."""
        with self._lock:
            if text not in self.warnings:
                self.warnings.append(text)

    def own_client(self) -> client.ApiClient:
        """A client for one exec: the client's ``stream`` changes the client it works on."""
        return client.ApiClient(self.api.configuration)

    def kubectl(self) -> str:
        """Return the path of a kubectl: $PYK8S_KUBECTL, the cluster's own version, PATH; CheckSkipped when none."""
        found = os.environ.get("PYK8S_KUBECTL") or self._cached_kubectl() or shutil.which("kubectl")
        if not found:
            raise CheckSkipped(
                "no kubectl on PATH, in $PYK8S_KUBECTL or in the artifact cache: `pyk8s artifacts fetch` brings one",
                expected=self.cluster is None,
            )
        return found

    def run_kubectl(self, arguments: tuple[str, ...], stdin: str | None, timeout: float) -> str:
        """Run kubectl with the run's kubeconfig and return its output; raises Pyk8sError when it fails."""
        command = [self.kubectl(), "--kubeconfig", str(self.kubeconfig), *arguments]
        said = "kubectl " + " ".join(arguments)
        try:
            done = subprocess.run(
                command, input=stdin or "", capture_output=True, text=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise Pyk8sError(f"`{said}` took longer than {timeout:.0f} s") from error
        except OSError as error:
            raise Pyk8sError(f"`{said}` did not run", str(error), "look at $PYK8S_KUBECTL") from error
        if done.returncode:
            last = done.stderr.strip().splitlines()[-10:]
            raise Pyk8sError(f"`{said}` ended with {done.returncode}", "\n".join(last))
        return done.stdout

    def close(self) -> None:
        """Close every connection."""
        for shell in self._shells.values():
            shell.close()
        self.api.close()  # type: ignore[no-untyped-call]

    def _client(self) -> client.ApiClient:
        if not self.kubeconfig.is_file():
            raise Pyk8sError(
                f"there is no kubeconfig at {self.kubeconfig}", "the cluster was not installed from here",
                "run `ansible-playbook site.yml`, or name one with --kubeconfig",
            )  # fmt: skip
        settings = client.Configuration()
        try:
            config.load_kube_config(str(self.kubeconfig), client_configuration=settings)  # type: ignore[no-untyped-call]
        except (config.ConfigException, ValueError, TypeError, KeyError) as error:
            raise Pyk8sError(f"the kubeconfig {self.kubeconfig} cannot be used", str(error)) from error
        if self.cluster:
            own, settings.host = settings.host, answering(self.cluster, settings.host)
            if settings.host != own:
                self.warn(f"the API at {own} does not answer: asked at {settings.host} instead")
        settings.connection_pool_maxsize = CONNECTIONS
        settings.client_side_validation = False
        settings.retries = 1
        websocket.setdefaulttimeout(EXEC_SECONDS)
        return client.ApiClient(settings)

    def _server_version(self) -> str:
        try:
            return str(json.loads(Objects(self.api, 0).request("GET", "/version"))["gitVersion"])
        except (ApiException, HTTPError, ValueError, KeyError) as error:
            raise Pyk8sError(
                f"the API at {self.api.configuration.host} does not answer", reason(error),
                "`fab health` says how the nodes are",
            ) from error  # fmt: skip

    def _cached_kubectl(self) -> str | None:
        if self.cluster is None:
            return None
        from pyk8s.artifacts import lookup

        artifacts = lookup(self.cluster.config)
        return str(artifacts.files["kubectl"].files["kubectl"].path) if artifacts else None


def _minor(version: str) -> int:
    found = re.match(r"v?\d+\.(\d+)", version)
    if not found:
        raise Pyk8sError(f"the API says a version that is none: {version!r}")
    return int(found[1])
