"""What somebody must say about a node that Kubernetes cannot know: that a machine without a word is really dead."""

from __future__ import annotations

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from pyk8s.cluster.model import Cluster, Node
from pyk8s.endpoints import answering
from pyk8s.errors import Pyk8sError
from pyk8s.health.facts import admin_kubeconfig
from pyk8s.ssh import Shell, UnreachableError
from pyk8s.verify.objects import Manifest, Objects
from pyk8s.verify.pods import condition

TAINT = {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}
"""https://kubernetes.io/docs/concepts/cluster-administration/node-shutdown/#non-graceful-node-shutdown"""
TAINT_SINCE = 24


def declare_dead(cluster: Cluster, node: Node) -> str:
    """Have a dead node's pods replaced at once, those of StatefulSets too, and its volumes freed; return what was done.

    The node gets the out-of-service taint; before Kubernetes 1.24, which does not know it, its pods are deleted by
    force. Raises Pyk8sError where the node is Ready or its machine still answers: then two pods would write one
    volume.
    """
    objects = _objects(cluster)
    found = _not_ready(objects, node)
    _refuse_alive(node, cluster.minor)
    if cluster.minor >= TAINT_SINCE:
        kept = [taint for taint in found["spec"].get("taints") or [] if taint["key"] != TAINT["key"]]
        objects.patch("Node", node.name, {"spec": {"taints": [*kept, TAINT]}})
        return f"{node.name} has the taint {TAINT['key']}: its pods are replaced, its volumes are freed"
    pods = objects.list("Pod", fields=f"spec.nodeName={node.name}")
    for pod in pods:
        objects.delete("Pod", pod["metadata"]["name"], pod["metadata"]["namespace"], grace=0)
    return f"{len(pods)} pods of {node.name} deleted by force"


def declare_alive(cluster: Cluster, node: Node) -> str:
    """Take back that a node is dead, once it is Ready again; return what was done. Raises Pyk8sError before that."""
    objects = _objects(cluster)
    found = objects.get("Node", node.name)
    if condition(found, "Ready").get("status") != "True":
        raise Pyk8sError(
            f"{node.name} is not Ready", "it is not back yet", f"fab health says what is wrong with {node.name}"
        )
    if not _take_back(objects, found):
        return f"{node.name} takes pods as before"
    return f"{node.name} has no taint {TAINT['key']} any more, and takes pods"


def take_back(kubeconfig: str, name: str) -> None:
    """Take the taint from a node, whether it is back or not. Raises Pyk8sError where the API does not answer."""
    settings = client.Configuration()
    config.load_kube_config(kubeconfig, client_configuration=settings)  # type: ignore[no-untyped-call]
    objects = Objects(client.ApiClient(settings), TAINT_SINCE)
    try:
        if found := objects.find("Node", name):
            _take_back(objects, found)
    except (ApiException, HTTPError, OSError) as error:
        raise Pyk8sError(f"the taint {TAINT['key']} of {name} was not taken back", str(error)) from error


def _take_back(objects: Objects, found: Manifest) -> bool:
    taints = found["spec"].get("taints") or []
    kept = [taint for taint in taints if taint["key"] != TAINT["key"]]
    if len(kept) < len(taints):
        objects.patch("Node", found["metadata"]["name"], {"spec": {"taints": kept}})
    return len(kept) < len(taints)


def _objects(cluster: Cluster) -> Objects:
    settings = client.Configuration()
    config.load_kube_config(str(admin_kubeconfig(cluster)), client_configuration=settings)  # type: ignore[no-untyped-call]
    settings.host = answering(cluster, settings.host)
    return Objects(client.ApiClient(settings), cluster.minor)


def _not_ready(objects: Objects, node: Node) -> Manifest:
    found = objects.find("Node", node.name)
    if found is None:
        raise Pyk8sError(f"there is no node {node.name}", "the API knows none of that name", "fab kubectl -- get nodes")
    if condition(found, "Ready").get("status") == "True":
        raise Pyk8sError(
            f"{node.name} is not declared dead",
            "it is Ready: its kubelet reports",
            f"to empty it: fab kubectl -- drain {node.name} --ignore-daemonsets",
        )
    return found


def _refuse_alive(node: Node, minor: int) -> None:
    """A refused key or connection is an answer as well; a machine behind a jump host cannot be told dead from here."""
    shell = Shell(node.ssh)
    try:
        shell.run("true", timeout=5)
        answer = "its machine answers over SSH"
    except UnreachableError as error:
        if error.silent:
            return
        answer = f"its machine may be alive ({error.why})"
    finally:
        shell.close()
    raise Pyk8sError(
        f"{node.name} is not declared dead",
        f"{answer}: its pods may still run, and would then run twice",
        f"mend its kubelet (fab logs --unit kubelet --node {node.name}), or power the machine off and run this again; "
        f"where you know that it is off: fab kubectl -- {_by_hand(minor, node)}",
    )


def _by_hand(minor: int, node: Node) -> str:
    if minor >= TAINT_SINCE:
        return f"taint node {node.name} {TAINT['key']}={TAINT['value']}:{TAINT['effect']}"
    return "delete pod NAME --namespace NAMESPACE --force --grace-period=0"
