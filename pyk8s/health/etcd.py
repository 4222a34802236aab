"""etcd's members as they see themselves, asked through ``etcdctl`` on a member."""

from __future__ import annotations

import dataclasses
import json

from pyk8s.cluster.model import Cluster
from pyk8s.errors import Pyk8sError
from pyk8s.ssh import Shell

PKI = "/etc/etcd/pki"
SECONDS = 4


@dataclasses.dataclass(frozen=True)
class Member:
    """One member. ``database_bytes`` is the size of its file; ``wrong`` says what is not as it should be."""

    name: str
    endpoint: str
    version: str = ""
    leader: bool = False
    database_bytes: int = 0
    raft_index: int = 0
    wrong: str = ""


def members(cluster: Cluster) -> tuple[Member, ...]:
    """Return all members of the inventory; raises Pyk8sError when no node with ``etcdctl`` answers."""
    reasons = []
    for node in cluster.etcd:
        shell = Shell(node.ssh)
        try:
            result = shell.run(command(cluster.etcd_endpoints), check=False)
        except Pyk8sError as error:
            reasons.append(str(error))
            continue
        finally:
            shell.close()
        if result.stdout.strip():
            return parse(cluster, result.stdout, result.stderr)
        reasons.append(f"{node.name}: {result.stderr.strip()[-300:]}")
    raise Pyk8sError("no etcd member answers", "\n".join(reasons), "`fab logs --unit etcd`")


def command(endpoints: tuple[str, ...]) -> str:
    """Return the command line that asks every member for its status."""
    files = f"--cacert={PKI}/ca.crt --cert={PKI}/health.crt --key={PKI}/health.key"
    wait = f"--dial-timeout={SECONDS}s --command-timeout={SECONDS}s"
    return f"ETCDCTL_API=3 etcdctl {files} {wait} --endpoints={','.join(endpoints)} endpoint status --write-out=json"


def parse(cluster: Cluster, output: str, errors: str = "") -> tuple[Member, ...]:
    """Read ``etcdctl endpoint status -w json``; members that are not in it did not answer."""
    answered = {one["Endpoint"]: one["Status"] for one in json.loads(output.strip().splitlines()[-1]) or []}
    found = []
    for node in cluster.etcd:
        url = f"https://{node.address}:2379"
        status = answered.get(url)
        if status is None:
            said = next((line for line in errors.splitlines() if url in line or node.address in line), "no answer")
            found.append(Member(node.name, url, wrong=said[-200:]))
            continue
        header = status["header"]
        found.append(
            Member(
                name=node.name,
                endpoint=url,
                version=status.get("version", ""),
                leader=bool(status.get("leader")) and status["leader"] == header.get("member_id"),
                database_bytes=int(status.get("dbSize", 0)),
                raft_index=int(status.get("raftIndex", 0)),
                wrong="; ".join(status.get("errors") or ()) or ("" if status.get("leader") else "sees no leader"),
            )
        )
    return tuple(found)
