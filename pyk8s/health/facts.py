"""What the nodes and the API say of themselves, gathered from all of them at once."""

from __future__ import annotations

import dataclasses
import functools
import json
import shlex
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from pyk8s.cluster.model import Cluster, Node
from pyk8s.endpoints import answering
from pyk8s.errors import Pyk8sError
from pyk8s.health import components
from pyk8s.ssh import Shell
from pyk8s.verify.objects import Manifest, Objects, reason
from pyk8s.verify.pods import condition

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class NodeFacts:
    """What was found on one machine. ``unreachable`` says why nothing was, "" when it answered."""

    node: Node
    unreachable: str = ""
    wrong: dict[str, str] = dataclasses.field(default_factory=dict)
    failed_units: tuple[str, ...] = ()
    certificates: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class NodeStatus:
    """What the API says of one node."""

    name: str
    ready: bool
    why: str
    version: str
    schedulable: bool


def everywhere(nodes: tuple[Node, ...], ask: Callable[[Node], T]) -> tuple[T, ...]:
    """Ask every node at once; the answers stand in the order of the nodes."""
    with ThreadPoolExecutor(max_workers=max(1, min(32, len(nodes)))) as pool:
        return tuple(pool.map(ask, nodes))


def of_nodes(cluster: Cluster) -> tuple[NodeFacts, ...]:
    """Ask all nodes of the inventory about their units, endpoints and certificates."""
    return everywhere(cluster.nodes, functools.partial(of_node, cluster))


def of_node(cluster: Cluster, node: Node) -> NodeFacts:
    """Ask one node, in one round trip; a node that does not answer is a finding, not an error."""
    shell = Shell(node.ssh)
    try:
        answer = json.loads(shell.run(_question(cluster, node)).stdout)
    except (Pyk8sError, ValueError) as error:
        why = getattr(error, "why", "") or str(error)
        return NodeFacts(node, unreachable=why.splitlines()[-1] if why else str(error))
    finally:
        shell.close()
    wrong = {}
    for component in components.on(node):
        unit = answer["units"].get(component.unit, {})
        if said := _unit_trouble(unit) or answer["endpoints"].get(component.unit, ""):
            wrong[component.unit] = said
    return NodeFacts(node, "", wrong, tuple(answer["failed"]), answer["certificates"])


def of_api(cluster: Cluster) -> tuple[NodeStatus, ...]:
    """Return the nodes that the API knows; raises Pyk8sError when it does not answer."""
    settings = client.Configuration()
    path = str(admin_kubeconfig(cluster))
    config.load_kube_config(path, client_configuration=settings)  # type: ignore[no-untyped-call]
    settings.host = answering(cluster, settings.host)
    settings.retries = False
    with client.ApiClient(settings) as api:
        try:
            items = Objects(api, cluster.minor).list("Node")
        except (ApiException, HTTPError, OSError) as error:
            raise Pyk8sError(f"the API at {settings.host} does not answer", reason(error)) from error
    return tuple(_status(item) for item in items)


def admin_kubeconfig(cluster: Cluster) -> Path:
    """Return ``clusters/<name>/admin.kubeconfig``; raises Pyk8sError when the cluster was not installed from here."""
    path = cluster.directory / "admin.kubeconfig"
    if not path.exists():
        raise Pyk8sError(
            f"there is no {path}",
            "the cluster was not installed from this controller",
            "run `ansible-playbook site.yml`",
        )
    return path


def _question(cluster: Cluster, node: Node) -> str:
    belongs = components.on(node)
    asked = {
        "units": [component.unit for component in belongs],
        "endpoints": [
            {"name": component.unit, "url": component.endpoint(cluster, node), "client": component.client}
            for component in belongs
            if component.url
        ],
        "certificates": [*components.CERTIFICATES, components.KUBECONFIGS],
    }
    script = Path(__file__).with_name("on_node.py").read_text(encoding="utf-8")
    return f"python3 -c {shlex.quote(script)} {shlex.quote(json.dumps(asked))}"


def _unit_trouble(unit: dict[str, str]) -> str:
    if unit.get("ActiveState") == "active":
        return ""
    if unit.get("LoadState") in {None, "not-found"}:
        return "not installed"
    restarts = int(unit.get("NRestarts") or 0)
    return f"{unit.get('ActiveState')} ({unit.get('SubState')})" + (f", restarted {restarts} times" if restarts else "")


def _status(item: Manifest) -> NodeStatus:
    ready = condition(item, "Ready")
    fine = ready.get("status") == "True"
    return NodeStatus(
        name=item["metadata"]["name"],
        ready=fine,
        why="" if fine else str(ready.get("message") or "its kubelet has not reported"),
        version=item["status"]["nodeInfo"]["kubeletVersion"],
        schedulable=not item["spec"].get("unschedulable"),
    )
