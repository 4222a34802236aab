"""What somebody must say about a node that Kubernetes cannot know: that a machine without a word is really dead."""

from __future__ import annotations

from kubernetes import client, config

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
    _refuse_alive(node)
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
    taints = found["spec"].get("taints") or []
    kept = [taint for taint in taints if taint["key"] != TAINT["key"]]
    if len(kept) == len(taints):
        return f"{node.name} takes pods as before"
    objects.patch("Node", node.name, {"spec": {"taints": kept}})
    return f"{node.name} has no taint {TAINT['key']} any more, and takes pods"


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


def _refuse_alive(node: Node) -> None:
    shell = Shell(node.ssh)
    try:
        shell.run("true", timeout=5)
    except UnreachableError:
        return
    finally:
        shell.close()
    raise Pyk8sError(
        f"{node.name} is not declared dead",
        "its machine answers over SSH: its pods may still run, and would then run twice",
        "power it off first, or mend its kubelet: fab logs --unit kubelet --node " + node.name,
    )
