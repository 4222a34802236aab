"""Container runtime: it pulls images, starts containers and manages their life."""

from __future__ import annotations

import shlex
import time

from pyk8s.cluster.model import Node
from pyk8s.verify.checks import parts
from pyk8s.verify.context import Context
from pyk8s.verify.model import CheckFailed, CheckSkipped
from pyk8s.verify.objects import Manifest
from pyk8s.verify.registry import check

RUNTIME = "container runtime"
CTR = "ctr --namespace k8s.io"
HUB = "docker.io/"


@check(
    "runtime-pull",
    component=RUNTIME,
    title="An image that is not on the node is pulled when a pod needs it",
    needs=("nodes",),
)
def pull(ctx: Context) -> str:
    """Remove an image that no other check uses from a node, run a pod of it there, and look at the node again.

    All names of the same content go, so that it has to come over the network.
    """
    node, image = _node(ctx), ctx.images.uncommon
    shell, reference = ctx.on(node), _full_name(image)
    present = {line.split()[0]: line.split()[2] for line in shell.run(f"{CTR} images ls").stdout.splitlines()[1:]}
    same = [name for name, digest in present.items() if digest == present.get(reference)]
    if same:
        shell.run(f"{CTR} images rm --sync {shlex.join(same)}")
    namespace = ctx.namespace()
    ctx.run_pod(ctx.pod("pulled", image, command=["sleep", "600"], node=node.name), namespace)
    said = parts.event(ctx, namespace, "pulled", "Pulled")
    if "Successfully pulled" not in said or reference not in shell.run(f"{CTR} images ls --quiet").stdout.split():
        raise CheckFailed(f"the pod runs on {node.name}, but the image was not pulled: {said}")
    return f"{node.name} did not have {reference}; {said}"


@check("runtime-lifecycle", component=RUNTIME, title="Containers are started, stopped and removed", needs=("nodes",))
def lifecycle(ctx: Context) -> str:
    """Follow one container on its node from the process to nothing left."""
    node, namespace = _node(ctx), ctx.namespace()
    shell = ctx.on(node)
    pod = ctx.run_pod(parts.idle(ctx, "mortal", node=node.name), namespace)
    identity = pod["status"]["containerStatuses"][0]["containerID"].partition("://")[2]
    tasks = {line.split()[0]: line.split()[1:] for line in shell.run(f"{CTR} tasks ls").stdout.splitlines()[1:]}
    if tasks.get(identity, [])[-1:] != ["RUNNING"]:
        raise CheckFailed(f"the API says the container runs, {node.name} says {tasks.get(identity, 'nothing of it')}")
    process, begin = tasks[identity][0], time.monotonic()
    ctx.objects.delete("Pod", "mortal", namespace)
    ctx.wait(
        lambda: identity not in shell.run(f"{CTR} containers ls --quiet").stdout.split(), 40, "the container removed"
    )
    if shell.run(f"test -d /proc/{process}/task && grep -qs {identity} /proc/{process}/cgroup", check=False).ok:
        raise CheckFailed(f"the container is removed, its process {process} still runs on {node.name}")
    return f"{node.name}: process {process} ran, was stopped and removed {time.monotonic() - begin:.1f} s after the pod"


@check("runtime-missing-image", component=RUNTIME, title="An image that does not exist is reported, and retried less")
def missing_image(ctx: Context) -> str:
    """Ask for a tag that was never pushed; see the reason, the message and the back-off."""
    namespace = ctx.namespace()
    image = ctx.images.busybox.partition(":")[0] + ":no-such-tag"
    ctx.apply(ctx.pod("hopeless", image, command=["true"]), namespace)

    def _waiting(reason: str) -> Manifest | None:
        state: Manifest = parts.container(ctx, namespace, "hopeless").get("state", {}).get("waiting", {})
        return state if state.get("reason") == reason else None

    backoff = ctx.wait(
        lambda: _waiting("ImagePullBackOff"), 60, "ImagePullBackOff", lambda: ctx.pod_state(namespace, "hopeless")
    )
    failed = ctx.objects.list("Event", namespace, fields="involvedObject.name=hopeless,reason=Failed")
    messages = [str(event.get("message")) for event in failed]
    if not any(image in message for message in messages) or image not in backoff.get("message", ""):
        raise CheckFailed(f"neither state nor events name {image}: {backoff}, {messages}")
    return f"{backoff['reason']}: {backoff['message']}; event: {messages[0][:160]}"


@check("runtime-version", component=RUNTIME, title="All nodes run the same version of the wanted runtime")
def version(ctx: Context) -> str:
    """Compare what the kubelets report."""
    reported: dict[str, list[str]] = {}
    for node in ctx.objects.list("Node"):
        reported.setdefault(node["status"]["nodeInfo"]["containerRuntimeVersion"], []).append(node["metadata"]["name"])
    if len(reported) != 1:
        raise CheckFailed(f"the nodes differ: {reported}")
    ((found, nodes),) = reported.items()
    wanted = ctx.cluster.config.container_runtime if ctx.cluster else ""
    if not found.startswith(wanted):
        raise CheckFailed(f"wanted is {wanted}, the nodes run {found}")
    return f"{found} on {len(nodes)} of {len(nodes)} nodes"


def _node(ctx: Context) -> Node:
    """The first worker that takes pods; of containerd, the runtime that this module can look into."""
    if not ctx.cluster or ctx.cluster.config.container_runtime != "containerd":
        raise CheckSkipped("looks into containerd, and the runtime is another one")
    ready = ctx.schedulable()
    candidates = [node for node in ctx.nodes if node.name in ready and node.is_worker]
    if not candidates:
        raise CheckFailed("no worker of the inventory is Ready and takes pods")
    return candidates[0]


def _full_name(image: str) -> str:
    """Return the name that the runtime stores: ``redis:7.0`` is ``docker.io/library/redis:7.0``."""
    host, slash, _ = image.partition("/")
    if slash and ("." in host or ":" in host or host == "localhost"):
        return image
    return HUB + (image if slash else f"library/{image}")
