"""The lab's registry: Debian's docker-registry in a container, filled over its HTTP API."""

from __future__ import annotations

import time

import docker
import httpx

from pyk8s.errors import Pyk8sError
from pyk8s.lab import container, images, machines, oci
from pyk8s.lab.spec import REGISTRY_PORT, Ranges

WAIT_SECONDS = 30
CONFIG = f"""\
version: 0.1
log:
  level: warn
storage:
  filesystem:
    rootdirectory: {container.REGISTRY_STORE}
http:
  addr: :{REGISTRY_PORT}
"""


def ensure(client: docker.DockerClient, lab: str, ranges: Ranges, image: str) -> None:
    """See that the registry runs and answers; raises Pyk8sError when it does not within 30 s."""
    files = {container.REGISTRY_CONFIG: (CONFIG, 0o644)}
    machines.ensure(client, lab, container.registry(lab), image, ranges.registry, files)
    deadline = time.monotonic() + WAIT_SECONDS
    with _http() as http:
        while True:
            try:
                if http.get(f"{ranges.image_mirror}/v2/").status_code == 200:
                    return
                problem = "it answers, but not as a registry"
            except httpx.TransportError as error:
                problem = str(error)
            if time.monotonic() > deadline:
                raise Pyk8sError(
                    f"the registry {ranges.image_mirror} does not answer",
                    problem,
                    f"see docker logs {container.resource_name(lab, container.REGISTRY)}",
                )
            time.sleep(0.1)


def fill(ranges: Ranges, built: list[images.Built]) -> list[str]:
    """Push what the registry lacks; return the repositories that were pushed."""
    with _http() as http:
        return [
            image.repository
            for image in built
            if oci.push(image.folder, ranges.image_mirror, image.repository, list(image.tags), http)
        ]


def content(ranges: Ranges) -> list[str]:
    """Return the repositories that the registry lists; empty when it does not answer."""
    try:
        with _http(seconds=2) as http:
            answer = http.get(f"{ranges.image_mirror}/v2/_catalog")
        return sorted(answer.json()["repositories"]) if answer.is_success else []
    except httpx.TransportError:
        return []


def _http(seconds: float = 60) -> httpx.Client:
    return httpx.Client(trust_env=False, timeout=httpx.Timeout(seconds, connect=2))
