"""SSH of a lab: a key pair for the user, a host key for each node, and the files that pin them."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import paramiko
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pyk8s import paths
from pyk8s.errors import Pyk8sError

WAIT_SECONDS = 60


@dataclasses.dataclass(frozen=True)
class LabKeys:
    """``clusters/<lab>/ssh``: ``id_ed25519``, ``known_hosts``, and ``<machine>_host_key`` for each node."""

    folder: Path

    @property
    def private_key(self) -> Path:
        """The user's private key."""
        return self.folder / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The host keys of all nodes."""
        return self.folder / "known_hosts"

    @property
    def authorized_key(self) -> str:
        """The line for ``authorized_keys``."""
        return self.private_key.with_suffix(".pub").read_text(encoding="ascii")

    def host_key(self, machine: str) -> str:
        """The private host key of a node, in OpenSSH's format; made when absent."""
        return make_key(self.folder / f"{machine}_host_key", machine).read_text(encoding="ascii")

    def pin(self, addresses: dict[str, str]) -> None:
        """Write ``known_hosts`` for nodes by name."""
        lines = []
        for machine, address in addresses.items():
            self.host_key(machine)
            public = (self.folder / f"{machine}_host_key.pub").read_text(encoding="ascii").split()
            lines.append(f"{address} {public[0]} {public[1]}\n")
        self.known_hosts.write_text("".join(lines), encoding="ascii")


def ensure_keys(lab: str) -> LabKeys:
    """Return the keys of a lab, made when absent, in a folder that only its owner may enter."""
    folder = paths.cluster_dir(lab) / "ssh"
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    keys = LabKeys(folder)
    make_key(keys.private_key, f"pyk8s lab {lab}")
    return keys


def make_key(path: Path, comment: str) -> Path:
    """Write an ed25519 key pair, 0600, unless it is there already."""
    public = path.with_suffix(".pub")
    if path.exists() and public.exists():
        return path
    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(text)
    line = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    public.write_text(f"{line.decode()} {comment}\n", encoding="ascii")
    return path


def wait_for_login(
    keys: LabKeys, machine: str, address: str, alive: Callable[[], None], seconds: float = WAIT_SECONDS
) -> None:
    """Return once root can log in with the lab's key and the host shows the pinned key; raises Pyk8sError.

    ``alive`` is asked between the attempts, and raises when there is nothing to wait for.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            _login(keys, address)
            return
        except (OSError, EOFError, paramiko.SSHException) as error:
            alive()
            if time.monotonic() >= deadline:
                raise Pyk8sError(
                    f"no SSH login at {machine} ({address}) within {seconds:.0f} s",
                    f"{type(error).__name__}: {error}",
                    "look into its journal: docker exec CONTAINER journalctl -b -n 50",
                ) from error
            time.sleep(0.2)


def _login(keys: LabKeys, address: str) -> None:
    with paramiko.SSHClient() as client:
        client.load_host_keys(str(keys.known_hosts))
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        client.connect(
            address,
            username="root",
            key_filename=str(keys.private_key),
            allow_agent=False,
            look_for_keys=False,
            timeout=3,
            banner_timeout=5,
            auth_timeout=5,
        )
        _, output, _ = client.exec_command("true", timeout=5)
        output.channel.recv_exit_status()
