"""Runs on an etcd member (standard library only), sent there as text: reads and writes keys at that very member.

``python3 -c CLIENT CA CERT KEY``; a line of JSON for each operation, ``{"key": ..., "value": ... or null}``, and a line
with what came of it: ``{"value": ...}``, or ``{"error": ...}`` where nobody knows. The gateway of etcd's API speaks
JSON (https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/); its reads are linearizable unless asked otherwise.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import sys

HOST, PORT = "127.0.0.1", 2379
SECONDS = 2.0


def encode(text: str) -> str:
    """Return text as the gateway takes bytes."""
    return base64.b64encode(text.encode()).decode()


def operate(connection: http.client.HTTPSConnection, key: str, value: str | None) -> dict[str, str]:
    """Write a value, or read where there is none."""
    body = {"key": encode(key)} if value is None else {"key": encode(key), "value": encode(value)}
    try:
        connection.request("POST", "/v3/kv/range" if value is None else "/v3/kv/put", json.dumps(body))
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
        if answer.status != 200:
            return {"error": f"{answer.status} {text[:100]}"}
        if value is not None:
            return {"value": value}
        found = json.loads(text).get("kvs") or []
        return {"value": base64.b64decode(found[0].get("value", "")).decode() if found else ""}
    except (OSError, ValueError, http.client.HTTPException) as error:
        connection.close()
        return {"error": str(error) or type(error).__name__}


def main() -> None:
    """Do one operation after another, until nobody asks any more."""
    authority, certificate, key = sys.argv[1:4]
    trust = ssl.create_default_context(cafile=authority)
    trust.load_cert_chain(certificate, key)
    connection = http.client.HTTPSConnection(HOST, PORT, timeout=SECONDS, context=trust)
    for line in sys.stdin:
        asked = json.loads(line)
        sys.stdout.write(json.dumps(operate(connection, asked["key"], asked["value"])) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
