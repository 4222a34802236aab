"""Which way to the API answers: the clients' own, or else any control plane's, since none of them is special."""

from __future__ import annotations

import socket
import ssl
from urllib.parse import urlsplit

from pyk8s.cluster.model import Cluster

SECONDS = 2.0


def answering(cluster: Cluster, wanted: str = "") -> str:
    """Return the first URL of the API that answers, ``wanted`` before all others; the first of all when none does.

    A frozen machine still accepts connections, so it is TLS that must answer; whoever it is, is not looked at here.
    """
    urls = tuple(dict.fromkeys((*filter(None, [wanted]), *cluster.api_urls)))
    return next((url for url in urls if speaks(url)), urls[0])


def speaks(url: str, seconds: float = SECONDS) -> bool:
    """Say whether TLS answers at a URL within ``seconds``."""
    where = urlsplit(url)
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((str(where.hostname), where.port or 443), seconds) as plain,
            anybody.wrap_socket(plain, server_hostname=where.hostname),
        ):
            return True
    except OSError:
        return False
