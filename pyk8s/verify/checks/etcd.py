"""etcd: all members live and agree, hold every object, secrets encrypted, and let nobody else in."""

from __future__ import annotations

import base64
import dataclasses
import json
import shlex
from typing import Any

from pyk8s.cluster.model import Cluster
from pyk8s.verify import probe
from pyk8s.verify.context import Context
from pyk8s.verify.model import CheckFailed, CheckSkipped
from pyk8s.verify.registry import check

COMPONENT = "etcd"
DATA_DIR = "/var/lib/etcd"
ENCRYPTED = b"k8s:enc:secretbox:v1:"
"""What a value written by the secretbox provider begins with (kubernetes.io, Encrypting Confidential Data at Rest)."""
REFUSALS = ("ssl", "certificate", "reset", "disconnected", "broken pipe")


@dataclasses.dataclass(frozen=True)
class Member:
    """What one member says of itself."""

    endpoint: str
    leader: int
    revision: int
    megabytes: float
    version: str


def cluster_of(ctx: Context) -> Cluster:
    """Return the inventory; CheckSkipped when there is none."""
    if ctx.cluster is None:
        raise CheckSkipped("needs a shell on the etcd members; only a kubeconfig was given", expected=True)
    return ctx.cluster


def etcdctl(ctx: Context, *arguments: str, endpoints: tuple[str, ...] = ()) -> str:
    """Run etcdctl on the first member that SSH reaches, against all members or those endpoints.

    Raises Pyk8sError when it fails.
    """
    cluster = cluster_of(ctx)
    who = probe.ETCD_HEALTH
    words = ["env", "ETCDCTL_API=3", "etcdctl", "--command-timeout=8s"]
    words += [f"--cacert={who.ca}", f"--cert={who.cert}", f"--key={who.key}"]
    words.append("--endpoints=" + ",".join(endpoints or cluster.etcd_endpoints))
    return ctx.on(ctx.first_reached(cluster.etcd)).run(shlex.join([*words, *arguments]), timeout=20).stdout


def members(ctx: Context) -> list[Member]:
    """Return the status of every member."""
    told = json.loads(etcdctl(ctx, "endpoint", "status", "--write-out=json"))
    return [_member(one["Endpoint"], one["Status"]) for one in told]


@check(
    "etcd-health",
    component=COMPONENT,
    title="Every wanted member is there and healthy",
    suites=("smoke", "full"),
    needs=("etcd",),
)
def health(ctx: Context) -> str:
    """Compare the member list with the inventory, and ask each member for its health."""
    cluster = cluster_of(ctx)
    wanted = {node.name for node in cluster.etcd}
    listed = json.loads(etcdctl(ctx, "member", "list", "--write-out=json"))["members"]
    found = {one.get("name", "a member that never started") for one in listed}
    if found != wanted:
        raise CheckFailed(f"members are {', '.join(sorted(found))}; wanted are {', '.join(sorted(wanted))}")
    slow = []
    for node in cluster.etcd:
        answer = probe.fetch(ctx, node, f"https://{node.address}:2379/health", probe.ETCD_HEALTH)
        if answer.status != 200 or str(json.loads(answer.text).get("health")).lower() != "true":
            slow.append(f"{node.name}: {answer}")
    if slow:
        raise CheckFailed("; ".join(slow))
    return f"{len(wanted)} of {len(wanted)} healthy: {', '.join(sorted(wanted))}"


@check(
    "etcd-agreement",
    component=COMPONENT,
    title="All members see one leader and hold the same data",
    suites=("smoke", "full"),
    needs=("etcd",),
)
def agreement(ctx: Context) -> str:
    """Compare the leader that each sees, and the hash of all keys at one revision."""
    states = members(ctx)
    leaders = {state.leader for state in states}
    if len(leaders) != 1 or 0 in leaders:
        raise CheckFailed("leaders seen: " + ", ".join(f"{state.endpoint} sees {state.leader:x}" for state in states))
    hashes: dict[str, tuple[int, int]] = {}

    def _same() -> int | None:
        revision = min(state.revision for state in members(ctx))
        hashes.clear()
        hashes.update(_hashes(ctx, revision))
        return revision if len(set(hashes.values())) == 1 else None

    revision = ctx.wait(_same, 15, "the same hash on all members", lambda: f"hash, compacted revision: {hashes}")
    value = next(iter(hashes.values()))[0]
    size = max(state.megabytes for state in states)
    return f"leader {leaders.pop():x}, hash {value:08x} at revision {revision} on {len(hashes)} members, {size:.1f} MB"


@check(
    "etcd-objects",
    component=COMPONENT,
    title="Every object is in etcd",
    suites=("smoke", "full"),
    needs=("etcd",),
)
def objects(ctx: Context) -> str:
    """Create a ConfigMap through the API and find its key, as `etcdctl get / --prefix --keys-only` lists them."""
    namespace = ctx.namespace()
    ctx.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "sought"}}, namespace)
    keys = etcdctl(ctx, "get", "/", "--prefix", "--keys-only").split()
    sought = f"/configmaps/{namespace}/sought"
    found = next((key for key in keys if key.endswith(sought)), None)
    if found is None:
        raise CheckFailed(f"none of {len(keys)} keys ends with {sought}")
    return f"{found} among {len(keys)} keys"


@check(
    "etcd-secrets-encrypted",
    component=COMPONENT,
    title="A Secret is encrypted at rest and comes back whole",
    suites=("smoke", "full"),
    needs=("etcd",),
)
def secrets_encrypted(ctx: Context) -> str:
    """Create a Secret and look at its raw value in etcd."""
    if cluster_of(ctx).config.secrets_encryption == "none":
        raise CheckSkipped("secrets_encryption is none in the inventory", expected=True)
    namespace = ctx.namespace()
    plain = f"plain text of {namespace}".encode()
    encoded = base64.b64encode(plain)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hidden"}, "data": {"key": encoded.decode()}}
    ctx.apply(secret, namespace)
    stored = _raw(ctx, f"/secrets/{namespace}/hidden")
    if plain in stored or encoded in stored:
        raise CheckFailed(f"the Secret's plain text is in etcd; its value begins {stored[:24]!r}")
    if not stored.startswith(ENCRYPTED):
        raise CheckFailed(f"the raw value begins {stored[:24]!r}, not {ENCRYPTED.decode()}")
    if ctx.objects.get("Secret", "hidden", namespace)["data"] != secret["data"]:
        raise CheckFailed("the API gives back another value than was written")
    key = stored[len(ENCRYPTED) :].partition(b":")[0].decode("ascii", "replace")
    return f"{len(stored)} bytes begin {ENCRYPTED.decode()}{key}:, the plain text is not among them, read back whole"


@check(
    "etcd-refuses-strangers",
    component=COMPONENT,
    title="A client without a certificate of etcd's own authority is refused",
    suites=("smoke", "full"),
    needs=("etcd",),
)
def refuses_strangers(ctx: Context) -> str:
    """Ask every member's client and peer port as nobody and as a client of the Kubernetes authority."""
    told = []
    for node in cluster_of(ctx).etcd:
        client, peer = f"https://{node.address}:2379/version", f"https://{node.address}:2380/version"
        attempts = [(client, probe.ETCD_HEALTH), (client, probe.ETCD_NOBODY), (peer, probe.ETCD_NOBODY)]
        if node.runs_kubelet:
            attempts.append((client, probe.ETCD_STRANGER))
        known, *answers = probe.fetch_all(ctx, node, attempts)
        if known.status != 200:
            raise CheckFailed(f"{node.name}: even with a certificate: {known}")
        for (url, who), answer in zip(attempts[1:], answers, strict=True):
            if answer.status or not any(word in answer.text.lower() for word in REFUSALS):
                raise CheckFailed(f"{url} with {who.cert or 'no certificate'}: {answer}")
            told.append(answer.text)
    return f"{len(told)} attempts refused: {told[0][:120]}"


@check(
    "etcd-data-dir",
    component=COMPONENT,
    title="etcd's data can be read by etcd alone",
    needs=("etcd",),
)
def data_dir(ctx: Context) -> str:
    """Look at mode and owner of the data directory (CIS Kubernetes Benchmark 1.1.11 and 1.1.12)."""
    wanted = "700 etcd:etcd"
    found = {
        node.name: ctx.on(node).run(f"stat -c '%a %U:%G' {DATA_DIR}").stdout.strip() for node in cluster_of(ctx).etcd
    }
    if wrong := {name: has for name, has in found.items() if has != wanted}:
        raise CheckFailed(f"{DATA_DIR} should be {wanted}: {wrong}")
    return f"{DATA_DIR} is {wanted} on {', '.join(found)}"


def _member(endpoint: str, status: dict[str, Any]) -> Member:
    megabytes = status.get("dbSize", 0) / 1e6
    return Member(endpoint, status.get("leader", 0), status["header"]["revision"], megabytes, status["version"])


def _hashes(ctx: Context, revision: int) -> dict[str, tuple[int, int]]:
    told = json.loads(etcdctl(ctx, "endpoint", "hashkv", f"--rev={revision}", "--write-out=json"))
    return {one["Endpoint"]: (one["HashKV"]["hash"], one["HashKV"].get("compact_revision", 0)) for one in told}


def _raw(ctx: Context, ending: str) -> bytes:
    """Return the raw value under the key with that ending; the apiserver's prefix is ``/registry`` by default."""
    keys = etcdctl(ctx, "get", "/", "--prefix", "--keys-only").split()
    key = next((key for key in keys if key.endswith(ending)), None)
    if key is None:
        raise CheckFailed(f"none of {len(keys)} keys ends with {ending}")
    return base64.b64decode(json.loads(etcdctl(ctx, "get", key, "--write-out=json"))["kvs"][0]["value"])
