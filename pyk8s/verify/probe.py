"""HTTP requests made on a node, by its own Python: from there one sees what the components see."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Iterable

from pyk8s.cluster.model import Node
from pyk8s.verify.context import Context

PKI = "/etc/kubernetes/pki"
ETCD_PKI = "/etc/etcd/pki"
SCRIPT = """
import json, ssl, sys, urllib.error, urllib.request as web

def ask(url, ca, cert, key, token):
    trust = ssl.create_default_context(cafile=ca or None)
    if not ca:
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    if cert:
        trust.load_cert_chain(cert, key)
    request = web.Request(url, headers={"Authorization": "Bearer " + token} if token else {})
    try:
        answer = web.build_opener(web.ProxyHandler({}), web.HTTPSHandler(context=trust)).open(request, timeout=8)
        return answer.status, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode("utf-8", "replace")
    except Exception as error:
        return 0, type(error).__name__ + " " + str(error)

print(json.dumps([ask(*one) for one in json.loads(sys.argv[1])]))
"""


@dataclasses.dataclass(frozen=True)
class Answer:
    """What came back. ``status`` is 0 when there was no HTTP answer; then ``text`` says why."""

    status: int
    text: str

    def __str__(self) -> str:
        said = " ".join(self.text.split())[:300]
        return f"{self.status} {said}" if self.status else said


@dataclasses.dataclass(frozen=True)
class Identity:
    """Files on the node: whom to trust and, with ``cert``, who one is; or a bearer token.

    Without ``ca`` any certificate will do: that of a component which only listens on the node itself.
    """

    ca: str = f"{PKI}/ca.crt"
    cert: str = ""
    key: str = ""
    token: str = dataclasses.field(default="", repr=False)


HEALTH = Identity(cert=f"{PKI}/health.crt", key=f"{PKI}/health.key")
NOBODY = Identity()
ETCD_HEALTH = Identity(f"{ETCD_PKI}/ca.crt", f"{ETCD_PKI}/health.crt", f"{ETCD_PKI}/health.key")
ETCD_NOBODY = Identity(f"{ETCD_PKI}/ca.crt")
ETCD_STRANGER = Identity(f"{ETCD_PKI}/ca.crt", f"{PKI}/health.crt", f"{PKI}/health.key")


def fetch(ctx: Context, node: Node, url: str, who: Identity = HEALTH) -> Answer:
    """GET a URL from a node, the server's certificate verified; raises Pyk8sError when SSH does not work."""
    return fetch_all(ctx, node, [(url, who)])[0]


def fetch_all(ctx: Context, node: Node, asked: Iterable[tuple[str, Identity]]) -> list[Answer]:
    """GET several URLs from a node, one after another in one process; otherwise as ``fetch``."""
    wanted = json.dumps([(url, who.ca, who.cert, who.key, who.token) for url, who in asked])
    done = ctx.on(node).run(shlex.join(["python3", "-c", SCRIPT, wanted]), timeout=20)
    return [Answer(status, text.strip()) for status, text in json.loads(done.stdout)]
