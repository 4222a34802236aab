"""Runs on a node (standard library only): says in JSON how its units, endpoints and certificates are.

Sent as text by ``pyk8s.health.facts``; its one argument is JSON: ``units``, ``endpoints`` (name, url, and whether the
health client certificate and the verification of the server belong to it) and ``certificates`` (glob patterns).
No private key leaves the node: of a kubeconfig only the client certificate is read.
"""

from __future__ import annotations

import base64
import json
import re
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

PKI = "/etc/kubernetes/pki"
SECONDS = 4
UNIT_FIELDS = "Id,LoadState,ActiveState,SubState,NRestarts"


def units(names: list[str]) -> dict[str, dict[str, str]]:
    """Return the systemd state of each unit by its name without ``.service``."""
    if not names:
        return {}
    command = ["systemctl", "show", f"--property={UNIT_FIELDS}", *[f"{name}.service" for name in names]]
    blocks = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip().split("\n\n")
    shown = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in blocks]
    return {one["Id"].removesuffix(".service"): one for one in shown if "Id" in one}


def failed() -> list[str]:
    """Return the names of all units that systemd calls failed."""
    command = ["systemctl", "list-units", "--state=failed", "--plain", "--no-legend", "--all"]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    return [line.split()[0] for line in lines if line.strip()]


def endpoint(url: str, client: bool) -> str:
    """Return "" when the endpoint answers with 200, else what it said. Only the apiserver's own is verified."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        if client:
            context = ssl.create_default_context(cafile=f"{PKI}/ca.crt")
            context.load_cert_chain(f"{PKI}/health.crt", f"{PKI}/health.key")
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        with opener.open(url, timeout=SECONDS) as answer:
            answer.read()
        return ""
    except urllib.error.HTTPError as error:
        said = error.read().decode("utf-8", "replace").strip().splitlines()
        return f"{error.code}: " + (
            "; ".join(line for line in said if not line.startswith("[+]"))[:200] or error.reason
        )
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", "") or error) or type(error).__name__


def certificates(patterns: list[str]) -> dict[str, str]:
    """Return the PEM of every certificate file and of every kubeconfig's client certificate, by path."""
    found = {}
    for path in sorted(path for pattern in patterns for path in Path("/").glob(pattern.lstrip("/"))):
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".kubeconfig":
            data = re.search(r"client-certificate-data:\s*\"?([A-Za-z0-9+/=]+)", text)
            text = base64.b64decode(data[1]).decode("ascii") if data else ""
        pem = re.search(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", text, re.DOTALL)
        if pem:
            found[str(path)] = pem[0]
    return found


def main() -> None:
    """Answer the question in the first argument on standard output."""
    asked = json.loads(sys.argv[1])
    answer = {
        "units": units(asked["units"]),
        "failed": failed(),
        "endpoints": {one["name"]: endpoint(one["url"], one["client"]) for one in asked["endpoints"]},
        "certificates": certificates(asked["certificates"]),
    }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
