"""HTTP requests made on a node, by its own Python: from there one sees what the components see."""

from __future__ import annotations

import dataclasses
import shlex

from pyk8s.cluster.model import Node
from pyk8s.verify.context import Context

PKI = "/etc/kubernetes/pki"
ETCD_PKI = "/etc/etcd/pki"
SCRIPT = """
import ssl, sys, urllib.error, urllib.request as web
url, ca, cert, key, token = sys.argv[1:]
trust = ssl.create_default_context(cafile=ca)
if cert:
    trust.load_cert_chain(cert, key)
request = web.Request(url, headers={"Authorization": "Bearer " + token} if token else {})
try:
    opener = web.build_opener(web.ProxyHandler({}), web.HTTPSHandler(context=trust))
    answer = opener.open(request, timeout=8)
    print(answer.status, answer.read().decode("utf-8", "replace"))
except urllib.error.HTTPError as refused:
    print(refused.code, refused.read().decode("utf-8", "replace"))
except Exception as error:
    print(0, type(error).__name__, error)
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
    """Files on the node: whom to trust and, with ``cert``, who one is; or a bearer token."""

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
    words = ["python3", "-c", SCRIPT, url, who.ca, who.cert, who.key, who.token]
    done = ctx.on(node).run(shlex.join(words), timeout=15)
    status, _, text = done.stdout.partition(" ")
    return Answer(int(status), text.strip())
