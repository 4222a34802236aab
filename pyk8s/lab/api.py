"""A lab as a whole: bring it up, take it down, ask how it is, make its nodes bare again."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker

from pyk8s import paths
from pyk8s.errors import Pyk8sError
from pyk8s.lab import container, engine, host, image, images, inventory, machines, registry, ssh
from pyk8s.lab.spec import KINDS, LabSpec, Ranges, groups, sort_key, split_name

Say = engine.Say


@dataclasses.dataclass(frozen=True)
class LabNode:
    """A node of a lab: its name, address, container, the container's state and the inventory's groups it is in."""

    name: str
    address: str
    container: str
    state: str
    groups: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Lab:
    """A lab as it stands now. ``repositories`` is what its registry serves."""

    name: str
    ranges: Ranges
    nodes: tuple[LabNode, ...]
    repositories: tuple[str, ...]

    @property
    def inventory(self) -> Path:
        """The folder of its Ansible inventory."""
        return inventory.directory(self.name)

    @property
    def keys(self) -> ssh.LabKeys:
        """Its SSH keys."""
        return ssh.LabKeys(paths.cluster_dir(self.name) / "ssh")

    @property
    def running(self) -> bool:
        """Whether every node runs and the registry answers."""
        return bool(self.repositories) and all(node.state == "running" for node in self.nodes)


def quiet(_: str) -> None:
    """Say nothing."""


def up(spec: LabSpec, say: Say = quiet, reset_inventory: bool = False) -> Lab:
    """Bring up what is missing of a lab and return it, every node reached over SSH. Machines are added, never removed.

    Raises Pyk8sError where this machine cannot hold it; running it again resumes.
    """
    machine = host.examine()
    host.check_room(paths.cache_dir())
    client = engine.connect(say)
    host.check_room(Path(client.info()["DockerRootDir"]))
    with ThreadPoolExecutor() as pool:
        built = pool.submit(images.build_all)
        with _step("node image", say):
            node_image = image.ensure(client, say)
        ranges = machines.ensure_network(client, spec.name)
        serving = pool.submit(registry.ensure, client, spec.name, ranges, node_image)
        with _step("nodes, with SSH logins", say):
            addresses = _ensure_nodes(client, spec, ranges, node_image, machine)
        with _step("images built from packages", say):
            ready = built.result()
        with _step("registry", say):
            serving.result()
            registry.fill(ranges, ready)
    if reset_inventory:
        (inventory.directory(spec.name) / "group_vars" / "all.yml").unlink(missing_ok=True)
    keys = ssh.ensure_keys(spec.name)
    inventory.write(spec.name, addresses, keys, ranges, lambda: inventory.default_version(say), spec.kubernetes_version)
    return load_lab(spec.name)


@contextlib.contextmanager
def _step(title: str, say: Say) -> Iterator[None]:
    start = time.monotonic()
    yield
    say(f"✓ {title} ({time.monotonic() - start:.1f} s)")


def _ensure_nodes(
    client: docker.DockerClient, spec: LabSpec, ranges: Ranges, node_image: str, machine: host.Host
) -> dict[str, str]:
    """See that all nodes run, old ones and wanted ones; return their addresses by name."""
    names = sorted({*machines.nodes(client, spec.name), *spec.machine_names}, key=sort_key)
    addresses = {name: ranges.address(name) for name in names}
    keys = ssh.ensure_keys(spec.name)
    keys.pin(addresses)
    version = client.version()["Version"]

    def _ensure(name: str) -> None:
        options = container.node(spec.name, name, machine, version)
        files = _node_files(keys, name)
        if not machines.ensure(client, spec.name, options, node_image, addresses[name], files):
            _reinstate(client, options.name, keys, name, addresses[name])
        ssh.wait_for_login(keys, name, addresses[name], lambda: machines.check_alive(client, options.name))
        machines.write(client.containers.get(options.name), "/etc/hosts", container.hosts_file(name, addresses))

    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(_ensure, names))
    return addresses


def _node_files(keys: ssh.LabKeys, machine: str) -> dict[str, tuple[str, int]]:
    return {
        "/root/.ssh/authorized_keys": (keys.authorized_key, 0o600),
        "/etc/ssh/ssh_host_ed25519_key": (keys.host_key(machine), 0o600),
    }


def _reinstate(client: docker.DockerClient, name: str, keys: ssh.LabKeys, machine: str, address: str) -> None:
    """Give a running node our keys again where it does not know them, as after clusters/<lab>/ssh was lost."""
    try:
        ssh.wait_for_login(keys, machine, address, lambda: None, seconds=0)
    except Pyk8sError:
        found = client.containers.get(name)
        client.api.put_archive(name, "/", container.archive(_node_files(keys, machine)))
        machines.execute(found, ["systemctl", "restart", "ssh"])


def load_lab(name: str) -> Lab:
    """Return a lab that stands; raises Pyk8sError when there is none of that name, or no engine answers."""
    client = engine.connect(quiet, start=False)
    ranges = machines.ranges(client, name)
    nodes = machines.nodes(client, name)
    if ranges is None or not nodes:
        known = ", ".join(machines.labs(client)) or "none"
        raise Pyk8sError(f"there is no lab {name}", f"labs on this machine: {known}", "pyk8s lab up")
    members = groups(nodes)
    found = tuple(
        LabNode(
            machine,
            ranges.address(machine),
            str(each.name),
            str(each.status),
            tuple(group for group, names in members.items() if machine in names),
        )
        for machine, each in nodes.items()
    )
    return Lab(name, ranges, found, tuple(registry.content(ranges)))


status = load_lab


def counts(name: str) -> dict[str, int]:
    """Return how many machines of each kind (cp, etcd, w) a lab has now; empty when there is no such lab or engine."""
    try:
        nodes = machines.nodes(engine.connect(quiet, start=False), name)
    except Pyk8sError:
        return {}
    kinds = [split_name(machine)[0] for machine in nodes]
    return {kind: kinds.count(kind) for kind in KINDS} if kinds else {}


def reset_nodes(name: str, say: Say = quiet) -> Lab:
    """Make all nodes of a lab bare again: new containers and volumes, the same addresses, keys and registry."""
    client = engine.connect(say)
    found = list(machines.nodes(client, name))
    if not found:
        raise Pyk8sError(f"there is no lab {name}", "it has no nodes", "pyk8s lab up")
    kinds = [split_name(machine)[0] for machine in found]
    spec = LabSpec(name, kinds.count("cp"), kinds.count("w"), kinds.count("etcd"))
    machines.remove(client, name, found)
    return up(spec, say)


def down(name: str, say: Say = quiet, remove_images: bool = False) -> list[str]:
    """Remove all that ``up`` made for a lab, and nothing else; return the names of what was removed.

    The node image stays for the next lab unless ``remove_images``; so does an edited ``group_vars/all.yml``.
    """
    client = engine.connect(say, start=True)
    removed = machines.remove_all(client, name)
    folder = inventory.directory(name)
    variables = folder / "group_vars" / "all.yml"
    if inventory.is_as_written(name):
        variables.unlink()
    elif variables.exists():
        say(f"{variables} stays: you have edited it")
    (folder / "hosts.yml").unlink(missing_ok=True)
    keys = paths.cluster_dir(name)
    shutil.rmtree(keys / "ssh", ignore_errors=True)
    for empty in (folder / "group_vars", folder, keys):
        with contextlib.suppress(OSError):
            empty.rmdir()
    if remove_images:
        removed += image.remove_all(client)
        shutil.rmtree(paths.cache_dir() / "lab-images", ignore_errors=True)
        shutil.rmtree(paths.cache_dir() / "lab-debs", ignore_errors=True)
    return removed
