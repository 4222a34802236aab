"""kube-apiserver: the front end is there, everywhere, and lets in only what and whom it should."""

from __future__ import annotations

import json

from pyk8s.cluster.model import Node
from pyk8s.verify import outsider, probe
from pyk8s.verify.checks.nodes import same
from pyk8s.verify.context import Context
from pyk8s.verify.model import CheckFailed, CheckSkipped
from pyk8s.verify.objects import Manifest
from pyk8s.verify.registry import check

COMPONENT = "kube-apiserver"
SECRETS = "/api/v1/namespaces/{}/secrets"


def control_plane(ctx: Context) -> tuple[Node, ...]:
    """Return the control planes of the inventory, none with only a kubeconfig."""
    return ctx.cluster.control_plane if ctx.cluster else ()


def direct(ctx: Context, node: Node) -> str:
    """Return the URL of one control plane's own apiserver."""
    port = ctx.cluster.config.api_port if ctx.cluster else 6443
    return f"https://{node.address}:{port}"


@check("apiserver-answers", component=COMPONENT, title="The API is ready, etcd behind it too", suites=("smoke", "full"))
def answers(ctx: Context) -> str:
    """Ask the address of the kubeconfig for its readiness, in detail."""
    told = ctx.objects.request("GET", "/readyz", query={"verbose": "true"})
    passed = [line for line in told.splitlines() if line.startswith("[+]")]
    etcd = ctx.objects.request("GET", "/healthz/etcd")
    if not passed or etcd.strip() != "ok":
        raise CheckFailed(f"/readyz: {told.strip()[-300:]}; /healthz/etcd: {etcd.strip()[:100]}")
    return f"{ctx.api.configuration.host}: {len(passed)} readiness checks ok, /healthz/etcd ok"


@check(
    "apiserver-ready",
    component=COMPONENT,
    title="The apiserver of every control plane is ready",
    suites=("smoke", "full"),
    needs=("nodes",),
)
def ready(ctx: Context) -> str:
    """Ask every apiserver at its own address."""
    return _all_ready(ctx, [(node, direct(ctx, node)) for node in control_plane(ctx)])


@check(
    "apiserver-load-balancer",
    component=COMPONENT,
    title="Every node reaches a ready apiserver through its own load balancer",
    suites=("smoke", "full"),
    needs=("nodes",),
)
def load_balancer(ctx: Context) -> str:
    """Ask on every node through 127.0.0.1."""
    if ctx.cluster is None:
        raise CheckSkipped("there is no inventory", expected=True)
    return _all_ready(ctx, [(node, ctx.cluster.local_api_url) for node in ctx.cluster.kubernetes_nodes])


@check(
    "apiserver-backends",
    component=COMPONENT,
    title="Every load balancer leads to every apiserver and, on control planes, to every etcd member",
    suites=("smoke", "full"),
    needs=("nodes",),
)
def backends(ctx: Context) -> str:
    """Ask each node's load balancer which of those that the inventory names it knows, and finds well."""
    if ctx.cluster is None:
        raise CheckSkipped("there is no inventory", expected=True)
    wrong, count = [], 0
    for node in ctx.cluster.kubernetes_nodes:
        wanted = ctx.cluster.backends(node)
        asked = [(f"http://127.0.0.1:7444/up/{name}", probe.NOBODY) for name in wanted]
        answers = probe.fetch_all(ctx, node, asked)
        down = [name for name, answer in zip(wanted, answers, strict=True) if answer.status != 200]
        count += len(wanted)
        wrong += [f"{node.name} does not lead to {name}" for name in down]
    if wrong:
        raise CheckFailed("; ".join(wrong))
    return f"{count} ways on {len(ctx.cluster.kubernetes_nodes)} nodes, all open"


@check(
    "apiserver-version",
    component=COMPONENT,
    title="Every apiserver has the wanted version",
    suites=("smoke", "full"),
    needs=("nodes",),
)
def version(ctx: Context) -> str:
    """Ask every apiserver for its version."""
    wanted = f"v{ctx.cluster.config.kubernetes_version}" if ctx.cluster else ""
    found: dict[str, str] = {}
    for node in control_plane(ctx):
        answer = probe.fetch(ctx, node, direct(ctx, node) + "/version")
        found[node.name] = json.loads(answer.text)["gitVersion"] if answer.status == 200 else str(answer)
    wrong = [f"{name} says {has}" for name, has in found.items() if not same(has, wanted)]
    if wrong:
        raise CheckFailed(f"wanted is {wanted}: {'; '.join(wrong)}")
    return f"{len(found)} of {len(found)} at {wanted}"


@check("apiserver-refuses-invalid", component=COMPONENT, title="Invalid objects are refused", suites=("smoke", "full"))
def refuses_invalid(ctx: Context) -> str:
    """Send a pod without containers, one that is no pod at all, and a Deployment that would not find its pods."""
    empty = ctx.pod("invalid", ctx.images.busybox, containers=[])
    nonsense = ctx.pod("invalid", ctx.images.busybox, containers="none")
    labels = {"matchLabels": {"app": "another"}}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "invalid"},
        "spec": {"selector": labels, "template": ctx.pod("invalid", ctx.images.busybox)},
    }
    valid = outsider.status_of_create(ctx, ctx.pod("valid", ctx.images.busybox), "default")
    if valid != 201:
        raise CheckFailed(f"even a valid pod is refused: {valid}")
    told = []
    for what, manifest, wanted in (
        ("no containers", empty, 422),
        ("wrong type", nonsense, 400),
        ("selector without match", deployment, 422),
    ):
        status = outsider.status_of_create(ctx, manifest, "default")
        if status != wanted:
            raise CheckFailed(f"{what}: {wanted} was wanted, the answer was {status}")
        told.append(f"{what}: {status}")
    return ", ".join(told)


@check(
    "apiserver-refuses-anonymous",
    component=COMPONENT,
    title="A caller without credentials is refused",
    suites=("smoke", "full"),
)
def refuses_anonymous(ctx: Context) -> str:
    """List secrets as nobody, over verified TLS."""
    status, told = outsider.get(ctx, SECRETS.format("kube-system"))
    if status not in (401, 403):
        raise CheckFailed(f"401 or 403 was wanted for the secrets of kube-system, the answer was {status}: {told}")
    return f"{status} on the secrets of kube-system"


@check(
    "apiserver-refuses-unauthorized",
    component=COMPONENT,
    title="An authenticated caller may do what a Role allows, and no more",
    suites=("smoke", "full"),
)
def refuses_unauthorized(ctx: Context) -> str:
    """List secrets as a ServiceAccount, before and after a Role allows it."""
    namespace = ctx.namespace()
    token = outsider.token(ctx, namespace)
    path, account = SECRETS.format(namespace), f"system:serviceaccount:{namespace}:default"
    status, told = outsider.get(ctx, path, token)
    if status != 403 or account not in told:
        raise CheckFailed(f"403 for {account} was wanted, the answer was {status}: {told}")
    outsider.allow_secrets(ctx, namespace)
    ctx.wait(lambda: outsider.get(ctx, path, token)[0] == 200, 10, "200 once a Role allows it")
    elsewhere, told = outsider.get(ctx, SECRETS.format("kube-system"), token)
    if elsewhere != 403:
        raise CheckFailed(f"403 was wanted outside of the Role's namespace, the answer was {elsewhere}: {told}")
    return f"{status} without a Role, 200 with one, {elsewhere} in another namespace"


@check(
    "apiserver-tls",
    component=COMPONENT,
    title="The API speaks TLS with a certificate of its own authority, and nothing else",
    suites=("smoke", "full"),
)
def tls(ctx: Context) -> str:
    """Shake hands with the kubeconfig's CA, then try plain HTTP."""
    protocol, until = outsider.handshake(ctx)
    plain = outsider.plain_http(ctx)
    if plain.startswith("2") or plain.startswith("3"):
        raise CheckFailed(f"plain HTTP is answered: {plain}")
    return f"{protocol}, certificate verified, valid until {until}; plain HTTP: {plain}"


@check(
    "apiserver-same-data",
    component=COMPONENT,
    title="Every apiserver reads a Secret back as it was written",
    needs=("nodes",),
)
def same_data(ctx: Context) -> str:
    """Write a Secret through one address and read it from each apiserver."""
    namespace = ctx.namespace()
    outsider.allow_secrets(ctx, namespace)
    secret: Manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shared"}}
    stored = ctx.apply(secret | {"stringData": {"key": f"value of {namespace}"}}, namespace)
    who = probe.Identity(token=outsider.token(ctx, namespace))

    def _read(node: Node) -> bool:
        answer = probe.fetch(ctx, node, direct(ctx, node) + SECRETS.format(namespace) + "/shared", who)
        if answer.status == 200 and json.loads(answer.text)["data"] != stored["data"]:
            raise CheckFailed(f"{node.name} gives back other data than were written")
        return answer.status == 200

    nodes = control_plane(ctx)
    for node in nodes:
        ctx.wait(lambda node=node: _read(node), 10, f"the Secret read from {node.name}")  # type: ignore[misc]
    return f"read back from {len(nodes)} of {len(nodes)} apiservers"


@check("apiserver-audit", component=COMPONENT, title="What is asked of the API is in the audit log", needs=("nodes",))
def audit(ctx: Context) -> str:
    """Create a namespace and find it in the audit log of a control plane."""
    policy = ctx.cluster.config.audit if ctx.cluster else "none"
    if policy == "none":
        raise CheckSkipped("audit is none in the inventory", expected=True)
    sought = ctx.namespace() if policy == "metadata" else "audit.k8s.io"

    def _found() -> str | None:
        for node in control_plane(ctx):
            lines = ctx.on(node).run(AUDIT_LINES + f"| grep -c {sought} || true").stdout.strip()
            if lines not in ("", "0"):
                return f"{lines} lines on {node.name}"
        return None

    return ctx.wait(_found, 15, f"{sought} in the audit log")


AUDIT_LINES = (
    r"tr '\0' '\n' < /proc/$(systemctl show -p MainPID --value kube-apiserver)/cmdline "
    "| sed -n 's/^--audit-log-path=//p' | xargs -r tail -c 8000000 "
)


def _all_ready(ctx: Context, asked: list[tuple[Node, str]]) -> str:
    answers = [(node.name, url, probe.fetch(ctx, node, url + "/readyz")) for node, url in asked]
    wrong = [
        f"{name} at {url}: {answer}" for name, url, answer in answers if (answer.status, answer.text) != (200, "ok")
    ]
    if wrong:
        raise CheckFailed("; ".join(wrong))
    return f"{len(answers)} of {len(asked)} ready: {', '.join(name for name, _, _ in answers)}"
