"""What a check works with: the API, the nodes, a namespace of its own, waiting, and cleaning up."""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from typing import TypeVar

from kubernetes import client
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import stream

from pyk8s.cluster.model import Cluster, Node
from pyk8s.ssh import Shell, UnreachableError
from pyk8s.verify import pods
from pyk8s.verify.model import Check, CheckFailed, CommandFailed, Measure, Timeline
from pyk8s.verify.objects import CLUSTER_SCOPED, Manifest, Objects, reason
from pyk8s.verify.session import EXEC_SECONDS, LABEL, Session
from pyk8s.verify.wait import PASSING, Deadline, poll

T = TypeVar("T")
CLEANUP_SECONDS = 15


class Context:
    """One check's view of the run. ``objects`` speaks plain dicts, the typed APIs stand beside it."""

    def __init__(self, session: Session, check: Check) -> None:
        self.session = session
        self.check = check
        self.deadline = Deadline.after(check.timeout, session.stop)
        self.images = pods.images()
        self.measures: list[Measure] = []
        self.timeline: Timeline | None = None
        self._cleanup: list[tuple[str, Callable[[], object]]] = []

    @property
    def api(self) -> client.ApiClient:
        """The client's connection; do not use it with ``kubernetes.stream``, see ``exec``."""
        return self.session.api

    @property
    def objects(self) -> Objects:
        """Objects as plain dicts: the quick way, and the one that any server version allows."""
        return self.session.objects

    @property
    def core(self) -> client.CoreV1Api:
        """Pods, services, nodes, secrets ..."""
        return client.CoreV1Api(self.api)

    @property
    def apps(self) -> client.AppsV1Api:
        """Deployments, stateful sets, daemon sets."""
        return client.AppsV1Api(self.api)

    @property
    def batch(self) -> client.BatchV1Api:
        """Jobs."""
        return client.BatchV1Api(self.api)

    @property
    def rbac(self) -> client.RbacAuthorizationV1Api:
        """Roles and bindings."""
        return client.RbacAuthorizationV1Api(self.api)

    @property
    def scheduling(self) -> client.SchedulingV1Api:
        """Priority classes."""
        return client.SchedulingV1Api(self.api)

    @property
    def networking(self) -> client.NetworkingV1Api:
        """Network policies and ingresses."""
        return client.NetworkingV1Api(self.api)

    @property
    def discovery(self) -> client.DiscoveryV1Api:
        """Endpoint slices, from Kubernetes 1.21."""
        return client.DiscoveryV1Api(self.api)

    @property
    def coordination(self) -> client.CoordinationV1Api:
        """Leases."""
        return client.CoordinationV1Api(self.api)

    @property
    def cluster(self) -> Cluster | None:
        """The inventory, None with only a kubeconfig."""
        return self.session.cluster

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The inventory's machines; none with only a kubeconfig."""
        return self.session.cluster.nodes if self.session.cluster else ()

    @property
    def version(self) -> int:
        """The server's minor version, 36 for v1.36.2."""
        return self.session.minor

    def on(self, node: Node | str) -> Shell:
        """Return the root shell on an inventory node."""
        return self.session.shell(node)

    def first_reached(self, nodes: tuple[Node, ...]) -> Node:
        """Return the first of these nodes that SSH reaches; raises UnreachableError when it reaches none."""
        for node in nodes[:-1]:
            try:
                self.on(node).run("true", timeout=5)
            except UnreachableError:
                continue
            return node
        return nodes[-1]

    def schedulable(self) -> list[str]:
        """Names of the nodes that are Ready and repel no ordinary pod, sorted."""
        return sorted(
            node["metadata"]["name"] for node in self.objects.list("Node") if pods.is_ready(node) and not repels(node)
        )

    def namespace(self, *, account: bool = True, of_run: bool = False) -> str:
        """Create a fresh namespace, deleted after the check (or, ``of_run``, after the run), and return its name.

        Its ServiceAccount ``default`` is created at once, so that pods need not wait for the controller-manager; with
        ``account=False`` it is left to that.
        """
        tail = "".join(random.choices(string.ascii_lowercase + string.digits, k=5))  # noqa: S311 - a name, no secret
        name = f"pyk8s-{self.check.name[:40].rstrip('-')}-{tail}"
        labels = {LABEL: self.session.run_id, "pod-security.kubernetes.io/enforce": "privileged"}
        self.session.namespaces.add(name)
        if of_run:
            self.session.at_end(lambda: self._delete_namespace(name))
        else:
            self._cleanup.append((f"delete namespace {name}", lambda: self._delete_namespace(name)))
        self.objects.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        if account:
            self._create_account(name)
        return name

    def _delete_namespace(self, name: str) -> None:
        """Delete a namespace and, since Kubernetes itself waits 5 s before it begins, its pods."""
        self.objects.delete("Namespace", name)
        self.objects.request(
            "DELETE", self.objects.path("Pod", "", name), {"kind": "DeleteOptions", "apiVersion": "v1"}
        )

    def _create_account(self, namespace: str) -> None:
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        try:
            self.objects.create(account, namespace)
        except ApiException as error:
            if error.status != 409:
                raise

    def apply(self, manifest: Manifest, namespace: str | None = None) -> Manifest:
        """Create an object and return it as stored; a cluster-scoped one is deleted after the check."""
        kind = str(manifest["kind"])
        if kind in CLUSTER_SCOPED:
            meta = manifest["metadata"]
            marked = {**(meta.get("labels") or {}), LABEL: self.session.run_id}
            manifest = {**manifest, "metadata": {**meta, "labels": marked}}
        created = self.objects.create(manifest, namespace)
        name = str(created["metadata"]["name"])
        if kind in CLUSTER_SCOPED:
            self._cleanup.append((f"delete {kind} {name}", lambda: self.objects.delete(kind, name)))
        return created

    def defer(self, undo: Callable[[], object]) -> None:
        """Have something called after the check, also on failure and Ctrl-C; last in, first out."""
        self._cleanup.append((getattr(undo, "__doc__", None) or "clean up", undo))

    def wait(
        self, probe: Callable[[], T | None], timeout: float, what: str, state: Callable[[], str] | None = None
    ) -> T:
        """Ask every 0.25 s until the answer is truthy and return it; CheckFailed after ``timeout`` seconds.

        API errors, failing commands and SSH errors are tried again. ``state`` tells the last state when it failed.
        """
        return poll(probe, timeout, what, self.deadline, state)

    def pod(
        self,
        name: str,
        image: str,
        *,
        command: list[str] | None = None,
        node: str | None = None,
        labels: dict[str, str] | None = None,
        **spec: object,
    ) -> Manifest:
        """Build the manifest of a small pod; see ``pyk8s.verify.pods.manifest``."""
        return pods.manifest(name, image, command=command, node=node, labels=labels, **spec)

    def run_pod(self, manifest: Manifest, ns: str, timeout: float = 60) -> Manifest:
        """Create a pod, wait until it is Ready, and return it."""
        name = manifest["metadata"]["name"]
        self.apply(manifest, ns)
        return self.wait_ready(ns, name, timeout)

    def wait_ready(self, ns: str, name: str, timeout: float = 60) -> Manifest:
        """Wait until a pod is Ready and return it."""

        def _ready() -> Manifest | None:
            pod = self.objects.get("Pod", name, ns)
            return pod if pods.is_ready(pod) else None

        return self.wait(_ready, timeout, f"pod {name} Ready", lambda: self.pod_state(ns, name))

    def pod_state(self, ns: str, name: str) -> str:
        """Say in one line how a pod is, for failures."""
        return pods.state(self.objects, ns, name)

    def logs(self, ns: str, name: str, container: str | None = None) -> str:
        """Return what a container wrote so far."""
        query = {"container": container} if container else None
        return self.objects.request("GET", self.objects.path("Pod", name, ns) + "/log", query=query)

    def exec(self, ns: str, pod: str, command: list[str], container: str | None = None, timeout: float = 20) -> str:
        """Run a command in a container and return its output; raises CommandFailed on another code than 0."""
        bound = max(1.0, min(timeout, self.deadline.left or EXEC_SECONDS))
        more = {"container": container} if container else {}
        own = self.session.own_client()
        try:
            socket = stream(
                client.CoreV1Api(own).connect_get_namespaced_pod_exec, pod, ns, command=command,
                stdin=False, stdout=True, stderr=True, tty=False, _preload_content=False, **more,
            )  # fmt: skip
            try:
                socket.run_forever(timeout=bound)
                said = " ".join(command)[:200]
                if socket.is_open():
                    raise CommandFailed(f"`{said}` in pod {pod} did not end within {bound:.0f} s")
                error, code = socket.read_stderr(), socket.returncode
                output = str(socket.read_stdout())
            finally:
                socket.close()
        finally:
            own.close()  # type: ignore[no-untyped-call]
        if code:
            raise CommandFailed(f"`{said}` in pod {pod} ended with {code}: {(error or output).strip()[-300:]}")
        return output

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl with the run's kubeconfig and return its output; CheckSkipped when there is none."""
        return self.session.run_kubectl(arguments, stdin, max(5.0, self.deadline.left))

    def clean_up(self) -> None:
        """Undo everything, last in first out; what cannot be undone becomes a warning of the run."""
        self.deadline = Deadline.after(CLEANUP_SECONDS)
        while self._cleanup:
            what, undo = self._cleanup.pop()
            try:
                undo()
            except (*PASSING, CheckFailed, KeyError) as error:
                self.session.warn(f"{self.check.name}: could not {what}: {reason(error)}")


def repels(node: Manifest) -> bool:
    """Whether a node keeps ordinary pods away: cordoned, or tainted NoSchedule or NoExecute."""
    taints = node["spec"].get("taints") or []
    return bool(node["spec"].get("unschedulable")) or any(taint["effect"] != "PreferNoSchedule" for taint in taints)
