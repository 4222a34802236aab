"""Pod network: every pod reaches every pod, under its own address, without translation."""

from __future__ import annotations

import ipaddress
import json
import shlex

from pyk8s.verify.checks import parts
from pyk8s.verify.context import Context
from pyk8s.verify.model import CheckFailed
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
    "network-pod-to-pod", component=NETWORK, title="Every pod reaches every pod on every node, under its own address"
)
def pod_to_pod(ctx: Context) -> str:
    """One web server a node, control planes too; each asks each, and each says whom it saw."""
    namespace = ctx.namespace()
    pods = _one_on_each_node(ctx, namespace)
    wrong = []
    for source, target in ((a, b) for a in pods for b in pods):
        name, own, other = source["metadata"]["name"], source["status"]["podIP"], target["status"]["podIP"]
        way = f"{source['spec']['nodeName']} ({own}) to {target['spec']['nodeName']} ({other})"
        answers = parts.ask(ctx, namespace, name, other, parts.WEB_PORT)
        if not answers:
            wrong.append(f"{way}: no answer")
        elif answers[0] != parts.Answer(own, target["metadata"]["name"]):
            wrong.append(f"{way}: {answers[0].server} answered and saw {answers[0].caller}")
    if wrong:
        raise CheckFailed("; ".join(wrong))
    nodes = ", ".join(pod["spec"]["nodeName"] for pod in pods)
    return f"{len(pods) ** 2} ways between pods on {nodes}; each saw the other's own address"


@check("network-node-to-pod", component=NETWORK, title="Every node reaches the pods on every node", needs=("nodes",))
def node_to_pod(ctx: Context) -> str:
    """Fetch a page of a pod on each node from every node."""
    namespace = ctx.namespace()
    pods = _one_on_each_node(ctx, namespace)
    urls = {f"http://{pod['status']['podIP']}:{parts.WEB_PORT}/cgi-bin/who": pod["metadata"]["name"] for pod in pods}
    command = f"python3 -c {shlex.quote(FETCH)} {shlex.join(urls)}"
    machines = ctx.cluster.kubernetes_nodes if ctx.cluster else ()
    wrong = []
    for machine in machines:
        seen = json.loads(ctx.on(machine).run(command, timeout=10 + 3 * len(urls)).stdout)
        for url, name in urls.items():
            if seen[url].split()[-1:] != [name]:
                wrong.append(f"{machine.name} to {url} ({name}): {seen[url].strip()}")
    if wrong:
        raise CheckFailed("; ".join(wrong))
    return f"{len(machines)} nodes reached {len(pods)} pods on as many nodes"


@check(
    "network-addresses",
    component=NETWORK,
    title="Pods have addresses of their node's part of the pod range",
    needs=("nodes",),
)
def addresses(ctx: Context) -> str:
    """Compare node ranges with the pod range, and the address of every pod in the cluster with its node's."""
    if ctx.cluster is None:
        raise CheckFailed("there is no inventory to say what the pod range is")
    ctx.run_pod(parts.idle(ctx, "own"), ctx.namespace())
    whole = ipaddress.ip_network(ctx.cluster.config.pod_cidr)
    ranges = {node["metadata"]["name"]: node["spec"].get("podCIDR") for node in ctx.objects.list("Node")}
    by_node = ctx.cluster.config.pod_network != "none"
    wrong = [f"{name} has {part}" for name, part in ranges.items() if by_node and not _within(part, whole)]
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


def _one_on_each_node(ctx: Context, namespace: str) -> list[Manifest]:
    nodes = [node["metadata"]["name"] for node in ctx.objects.list("Node") if is_ready(node)]
    return parts.start(ctx, namespace, *[parts.web(ctx, f"web-{n}", node=node) for n, node in enumerate(sorted(nodes))])


def _within(part: str | None, whole: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    if part is None:
        return False
    inner = ipaddress.ip_network(part)
    return inner.version == whole.version and inner[0] in whole and inner[-1] in whole
