"""A lab as the engine holds it: networks, volumes and containers, all found again by their labels."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any, cast

import docker
from docker.errors import APIError, NotFound
from docker.models.containers import Container
from docker.types import EndpointConfig, NetworkingConfig

from pyk8s.errors import Pyk8sError
from pyk8s.lab import container
from pyk8s.lab.spec import LABEL, MACHINE_LABEL, Ranges, free_ranges, sort_key


def _filter(lab: str) -> dict[str, Any]:
    return {"label": f"{LABEL}={lab}"}


def labs(client: docker.DockerClient) -> list[str]:
    """Return the names of all labs that have a container or a network."""
    names = {found.labels[LABEL] for found in client.containers.list(all=True, filters={"label": LABEL})}
    names |= {found.attrs["Labels"][LABEL] for found in client.networks.list(filters={"label": LABEL})}
    return sorted(names)


def containers(client: docker.DockerClient, lab: str) -> dict[str, Container]:
    """Return a lab's containers by machine, running or not, nodes first."""
    found = {each.labels[MACHINE_LABEL]: each for each in client.containers.list(all=True, filters=_filter(lab))}
    nodes = sorted((name for name in found if name != container.REGISTRY), key=sort_key)
    return {name: found[name] for name in [*nodes, *(name for name in found if name == container.REGISTRY)]}


def nodes(client: docker.DockerClient, lab: str) -> dict[str, Container]:
    """Return a lab's nodes: its containers without the registry."""
    return {name: each for name, each in containers(client, lab).items() if name != container.REGISTRY}


def ranges(client: docker.DockerClient, lab: str) -> Ranges | None:
    """Return the ranges of a lab's network; None when it has none."""
    for network in client.networks.list(filters=_filter(lab)):
        return Ranges(ipaddress.IPv4Network(network.attrs["IPAM"]["Config"][0]["Subnet"]))
    return None


def ensure_network(client: docker.DockerClient, lab: str) -> Ranges:
    """Return the ranges of the lab's network, made when absent: internal, so that nothing leaves the machine."""
    if known := ranges(client, lab):
        return known
    used = [
        str(config["Subnet"])
        for network in client.networks.list()
        for config in (network.attrs["IPAM"]["Config"] or [])
        if config.get("Subnet")
    ]
    new = free_ranges(used)
    pool = docker.types.IPAMPool(subnet=str(new.subnet), gateway=new.gateway)
    client.networks.create(
        container.resource_name(lab),
        driver="bridge",
        internal=True,
        check_duplicate=True,
        labels=container.labels(lab),
        ipam=docker.types.IPAMConfig(pool_configs=[pool]),
    )
    return new


def ensure(
    client: docker.DockerClient,
    lab: str,
    options: container.Options,
    image: str,
    address: str,
    files: dict[str, tuple[str, int]],
) -> bool:
    """See that a container runs, with ``files`` in it from its first moment; return whether it was started just now.

    One that was created but never started is half-made: it is made anew. Raises Pyk8sError when it does not start.
    """
    try:
        found = client.containers.get(options.name)
        if found.labels.get(LABEL) != lab:
            raise Pyk8sError(f"a container {options.name} exists that no lab made", "", "rename it or remove it")
        if found.status == "running":
            return False
        if found.status == "paused":
            found.unpause()
            return False
        if found.status == "created":
            found.remove(force=True)
    except NotFound:
        pass
    try:
        identity = _create(client, lab, options, image, address)
        client.api.put_archive(identity, "/", container.archive(files))
        client.api.start(identity)
    except APIError as error:
        raise Pyk8sError(
            f"the engine did not start {options.name}",
            error.explanation or str(error),
            "run `pyk8s lab up` again; it resumes",
        ) from error
    return True


def _create(client: docker.DockerClient, lab: str, options: container.Options, image: str, address: str) -> str:
    try:
        return str(client.containers.get(options.name).id)
    except NotFound:
        pass
    for volume in options.volumes:
        client.volumes.create(volume, labels=container.labels(lab))
    network = container.resource_name(lab)
    settings: dict[str, Any] = client.api.create_host_config(network_mode=network, **options.host)
    if options.unmask:
        settings |= {"MaskedPaths": [], "ReadonlyPaths": []}
    endpoint = EndpointConfig(client.api.api_version, ipv4_address=address)
    made = client.api.create_container(
        image,
        name=options.name,
        host_config=settings,
        networking_config=NetworkingConfig(cast("Any", {network: endpoint})),
        **options.create,
    )
    return str(made["Id"])


def check_alive(client: docker.DockerClient, name: str) -> None:
    """Raise Pyk8sError with the container's last words when it has ended."""
    found = client.containers.get(name)
    if found.status != "running":
        words = found.logs(tail=10).decode(errors="replace").strip()
        raise Pyk8sError(f"{name} ended ({found.status})", words, f"see docker logs {name}")


def execute(found: Container, command: list[str]) -> str:
    """Run a command in a container and return its output; raises Pyk8sError when it fails."""
    code, output = found.exec_run(command)
    text = output.decode(errors="replace") if isinstance(output, bytes) else ""
    if code:
        raise Pyk8sError(
            f"{command[0]} failed in {found.name}", text.strip()[-400:], f"docker exec -it {found.name} sh"
        )
    return text


def write(found: Container, path: str, text: str) -> None:
    """Write a file in a running container, in place."""
    execute(found, ["sh", "-c", 'printf %s "$1" >"$2"', "sh", text, path])


def remove(client: docker.DockerClient, lab: str, machines: Iterable[str]) -> None:
    """Remove containers of a lab and the volumes that belong to them."""
    wanted = set(machines)
    for name, found in containers(client, lab).items():
        if name in wanted:
            found.remove(force=True, v=True)
    prefixes = tuple(container.resource_name(lab, name) for name in wanted)
    for volume in client.volumes.list(filters=_filter(lab)):
        if any(volume.name == prefix or volume.name.startswith(f"{prefix}-") for prefix in prefixes):
            volume.remove(force=True)


def remove_all(client: docker.DockerClient, lab: str) -> list[str]:
    """Remove every container, volume and network of a lab; return what was removed, by name."""
    removed = []
    for found in containers(client, lab).values():
        found.remove(force=True, v=True)
        removed.append(str(found.name))
    for volume in client.volumes.list(filters=_filter(lab)):
        volume.remove(force=True)
        removed.append(volume.name)
    for network in client.networks.list(filters=_filter(lab)):
        network.remove()
        removed.append(str(network.name))
    return removed
