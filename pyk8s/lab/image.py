"""The node image: Debian with systemd and sshd, made by mmdebstrap from this machine's apt mirrors."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import docker
from docker.errors import DockerException, ImageNotFound

from pyk8s import paths
from pyk8s.errors import Pyk8sError
from pyk8s.lab import debian, engine, host

REPOSITORY = "pyk8s-node"
IMAGE_LABEL = "io.pyk8s.image"
NODE_TREE = Path(__file__).parent / "node"
INIT = "/usr/local/sbin/pyk8s-node-init"
_PACKAGES = (
    "ca-certificates conntrack curl dbus docker-registry ethtool haproxy iproute2 iptables iputils-ping keepalived "
    "kmod libseccomp2 mount nftables openssh-server procps python3 socat systemd systemd-sysv util-linux"
)
PACKAGES = tuple(_PACKAGES.split())
DISABLED = ("docker-registry", "haproxy", "keepalived", "nftables")
"""Units that their packages enable; the roles write and enable their own."""
_MASKED = (
    "apt-daily.timer apt-daily-upgrade.timer console-getty.service dev-hugepages.mount dpkg-db-backup.timer "
    "e2scrub_all.timer e2scrub_reap.service fstrim.timer getty.target motd-news.timer "
    "sys-fs-fuse-connections.mount sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount "
    "systemd-firstboot.service systemd-hwdb-update.service systemd-journald-audit.socket systemd-logind.service "
    "systemd-pcrphase.service systemd-remount-fs.service systemd-udev-trigger.service systemd-udevd-control.socket "
    "systemd-udevd-kernel.socket systemd-udevd.service systemd-update-utmp.service"
)
MASKED = tuple(_MASKED.split())
EXCLUDED = ("doc", "man", "locale", "info", "lintian", "bug")
CHANGES = (f'ENTRYPOINT ["{INIT}"]', 'CMD ["/sbin/init"]', "ENV container=docker")
CHUNK_BYTES = 1024**2
ROOM_BYTES = 2 * 1024**3


def hooks() -> tuple[str, ...]:
    """Return what mmdebstrap does to the tree after the packages are in."""
    files = [path.relative_to(NODE_TREE) for path in sorted(NODE_TREE.rglob("*")) if path.is_file()]
    inside = " ".join(f'"$1/{path}"' for path in files)
    return (
        f"sync-in {NODE_TREE} /",
        f"chown root:root {inside}",
        f'systemctl --root="$1" --quiet disable {" ".join(DISABLED)}',
        f'systemctl --root="$1" --quiet mask {" ".join(MASKED)}',
        'systemctl --root="$1" --quiet set-default multi-user.target',
        # Not even "uninitialized": that would count as a first boot, and enable every unit by preset.
        ': >"$1/etc/machine-id"',
        'rm -f "$1"/etc/ssh/ssh_host_* "$1/etc/resolv.conf" "$1/etc/hostname" "$1/etc/hosts" "$1/etc/motd"',
        'rm -rf "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/var/cache/* "$1"/var/log/* "$1"/usr/share/doc/*',
        'mkdir -p -m 0700 "$1/root/.ssh"',
    )


def recipe_hash(suite: str, architecture: str) -> str:
    """Return twelve hexadecimal digits that change when anything that goes into the image does."""
    tree = {str(path.relative_to(NODE_TREE)): path.read_text() for path in NODE_TREE.rglob("*") if path.is_file()}
    steps = [hook.replace(str(NODE_TREE), "") for hook in hooks()]
    recipe = [suite, architecture, PACKAGES, EXCLUDED, CHANGES, steps, tree]
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:12]


def ensure(client: docker.DockerClient, say: engine.Say) -> str:
    """Return the name of the node image, building it where the engine does not have it (about 80 s)."""
    sources = debian.sources()
    name = f"{REPOSITORY}:{recipe_hash(sources.suite, debian.architecture())}"
    try:
        client.images.get(name)
        return name
    except ImageNotFound:
        pass
    if not shutil.which("mmdebstrap"):
        engine.apt_install(["mmdebstrap"], say)
    host.check_room(paths.cache_dir(), ROOM_BYTES)
    say(f"building the node image {name} from packages of {sources.suite}; this takes about 80 s, once")
    with tempfile.TemporaryDirectory(dir=paths.cache_dir(), prefix="node-image-") as folder:
        tarball = Path(folder) / "node.tar"
        _bootstrap(sources, tarball)
        _import(client, tarball, name)
    return name


def command(sources: debian.AptSources, tarball: Path) -> list[str]:
    """Return the mmdebstrap command line."""
    return [
        "mmdebstrap",
        "--quiet",
        "--variant=essential",
        f"--include={','.join(PACKAGES)}",
        *(f"--aptopt={option}" for option in sources.options),
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in EXCLUDED),
        *(f"--customize-hook={hook}" for hook in hooks()),
        sources.suite,
        str(tarball),
        *sources.lines,
    ]


def _bootstrap(sources: debian.AptSources, tarball: Path) -> None:
    done = subprocess.run(command(sources, tarball), capture_output=True, text=True)
    if done.returncode:
        raise Pyk8sError(
            "mmdebstrap could not make the node image",
            done.stderr.strip()[-1200:],
            "see whether apt-get update works, and run it again",
        )


def _import(client: docker.DockerClient, tarball: Path, name: str) -> None:
    repository, _, tag = name.partition(":")
    changes = [*CHANGES, f"LABEL {IMAGE_LABEL}=node"]
    try:
        with tarball.open("rb") as stream:
            # Chunks, not the file: of a file the length would be sent, and contradict the chunked transfer.
            chunks = iter(lambda: stream.read(CHUNK_BYTES), b"")
            answer = client.api.import_image_from_stream(chunks, repository, tag, changes)
    except DockerException as error:
        answer = f'"error": {error}'
    if '"error"' in answer:
        raise Pyk8sError(f"the engine did not take the image {name}", answer.strip()[-600:], "see the engine's log")


def remove_all(client: docker.DockerClient) -> list[str]:
    """Remove every cached node image that no container uses; return their names."""
    removed = []
    for found in client.images.list(filters={"label": f"{IMAGE_LABEL}=node"}):
        identity = str(found.id)
        if not client.containers.list(all=True, filters={"ancestor": identity}):
            client.images.remove(identity, force=True)
            removed += found.tags
    return removed
