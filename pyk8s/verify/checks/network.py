"""Pod network: every pod reaches every pod, under its own address, without translation."""

from __future__ import annotations

import ipaddress
import json
import shlex

from pyk8s.cluster.model import Node
from pyk8s.verify.checks import parts
from pyk8s.verify.context import Context
from pyk8s.verify.model import CheckFailed, CheckSkipped
from pyk8s.verify.objects import Manifest
from pyk8s.verify.pods import is_ready
from pyk8s.verify.registry import check

NETWORK = "pod network"
FETCH = """
import json, sys, urllib.request
seen = {}
for url in sys.argv[1:]:
    try:
        seen[url] = urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=3).read().decode()
    except OSError as error:
        seen[url] = "no answer: %s" % error
print(json.dumps(seen))
"""
"""Fetches pages from a node: Python is what every node has, curl is not."""


@check(
    "network-pod-to-pod",
    component=NETWORK,
    title="Every pod and every node reaches every pod; pods are seen under their own address",
    timeout=90,
)
def pod_to_pod(ctx: Context) -> str:
    """One web server a node, control planes too; each asks each, each says whom it saw, and each node asks all."""
    namespace = ctx.namespace()
    pods = _one_on_each_node(ctx, namespace)
    names = {pod["status"]["podIP"]: pod["metadata"]["name"] for pod in pods}
    places = {pod["status"]["podIP"]: f"{pod['spec']['nodeName']} ({pod['status']['podIP']})" for pod in pods}
    wrong = []
    for own, name in names.items():
        answers = parts.ask_all(ctx, namespace, name, list(names))
        for other, target in names.items():
            if (answer := answers.get(other)) != parts.Answer(own, target):
                seen = f"{answer.server} answered and saw {answer.caller}" if answer else "no answer"
                wrong.append(f"{places[own]} to {places[other]}: {seen}")
    machines = ctx.cluster.kubernetes_nodes if ctx.cluster else ()
    wrong += [problem for machine in machines for problem in _from_node(ctx, machine, names)]
    if wrong:
        raise CheckFailed("; ".join(wrong))
    more = f"; {len(machines)} nodes reached all {len(pods)}" if machines else ""
    return f"{len(pods) ** 2} ways between {', '.join(places.values())}, each under its own address{more}"


@check(
    "network-addresses",
    component=NETWORK,
    title="Every node has its own part of the pod range, and its pods have addresses of that",
    needs=("nodes",),
)
def addresses(ctx: Context) -> str:
    """Compare node ranges with the pod range, and the address of every pod in the cluster with its node's."""
    if ctx.cluster is None:
        raise CheckFailed("there is no inventory to say what the pod range is")
    whole = ipaddress.ip_network(ctx.cluster.config.pod_cidr)
    ranges = {node["metadata"]["name"]: node["spec"].get("podCIDR") for node in ctx.objects.list("Node")}
    by_node = ctx.cluster.config.pod_network != "none"
    wrong = [f"{name} has {part}" for name, part in ranges.items() if by_node and not _within(part, whole)]
    if by_node and len(set(ranges.values())) < len(ranges):
        wrong.append(f"nodes share a range: {ranges}")
    seen = 0
    for pod in ctx.objects.list("Pod", fields="status.phase=Running"):
        address, node = pod["status"].get("podIP"), pod["spec"].get("nodeName")
        if not address or pod["spec"].get("hostNetwork"):
            continue
        seen += 1
        if not _within(address, ipaddress.ip_network(ranges[node]) if by_node and ranges.get(node) else whole):
            wrong.append(f"pod {pod['metadata']['name']} on {node} ({ranges.get(node)}) has {address}")
    if wrong:
        raise CheckFailed(f"the pod range is {whole}; " + "; ".join(wrong))
    return f"{seen} pods within their nodes' ranges {ranges}, these within {whole}"


@check(
    "network-masquerade",
    component=NETWORK,
    title="What a pod sends out of the pod network comes from its node's address",
    needs=("nodes",),
    timeout=90,
)
def masquerade(ctx: Context) -> str:
    """A pod on each node asks a server in another node's own network, which says whom it saw."""
    if ctx.cluster is None or ctx.cluster.config.pod_network == "none":
        raise CheckSkipped("pod_network is none: what its addresses become is not ours to say", expected=True)
    namespace, ready = ctx.namespace(), _ready_nodes(ctx)
    machines = [node for node in ctx.cluster.kubernetes_nodes if node.name in ready]
    if len(machines) < 2:
        raise CheckSkipped("needs a second node to ask", expected=len(ctx.cluster.kubernetes_nodes) < 2)
    port = parts.host_port(namespace)
    servers = [parts.web(ctx, f"server-{n}", node=node.name, host_port=port) for n, node in enumerate(machines[:2])]
    clients = [parts.idle(ctx, f"client-{n}", node=node.name) for n, node in enumerate(machines)]
    parts.start(ctx, namespace, *servers, *clients)
    wrong = []
    for number, node in enumerate(machines):
        asked = machines[0 if number else 1]
        answers = parts.ask(ctx, namespace, f"client-{number}", f"{asked.address}:{port}")
        if [answer.caller for answer in answers] != [node.address]:
            seen = f"{asked.name} saw {answers[0].caller}" if answers else f"{asked.name} did not answer"
            wrong.append(f"a pod on {node.name} ({node.address}): {seen}")
    if wrong:
        raise CheckFailed("; ".join(wrong))
    return f"pods on {', '.join(node.name for node in machines)} are seen under those nodes' addresses"


def _one_on_each_node(ctx: Context, namespace: str) -> list[Manifest]:
    nodes = _ready_nodes(ctx)
    if not nodes:
        raise CheckFailed("no node is Ready")
    return parts.start(ctx, namespace, *[parts.web(ctx, f"web-{n}", node=node) for n, node in enumerate(nodes)])


def _ready_nodes(ctx: Context) -> list[str]:
    return sorted(node["metadata"]["name"] for node in ctx.objects.list("Node") if is_ready(node))


def _from_node(ctx: Context, machine: Node, names: dict[str, str]) -> list[str]:
    urls = {f"http://{address}:{parts.WEB_PORT}/cgi-bin/who": name for address, name in names.items()}
    command = f"python3 -c {shlex.quote(FETCH)} {shlex.join(urls)}"
    seen = json.loads(ctx.on(machine).run(command, timeout=10 + 3 * len(urls)).stdout)
    return [
        f"node {machine.name} to {url} ({name}): {seen[url].strip()}"
        for url, name in urls.items()
        if seen[url].split()[-1:] != [name]
    ]


def _within(part: str | None, whole: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    if part is None:
        return False
    inner = ipaddress.ip_network(part)
    return inner.version == whole.version and inner[0] in whole and inner[-1] in whole
