"""Commands on a node over SSH: one pooled connection a node, verified host keys, nothing hangs."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import shlex
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fabric
import paramiko
from invoke.exceptions import CommandTimedOut
from paramiko.ssh_exception import NoValidConnectionsError

from pyk8s.cluster.model import SshTarget
from pyk8s.errors import Pyk8sError

CONNECT_SECONDS = 5
NOBODY = (errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ETIMEDOUT)
"""What connecting to an address says where no machine answers for it."""
SESSIONS = 8
"""Commands at one time over one connection; sshd's MaxSessions is 10 by default (sshd_config(5))."""

NO_EXIT_CODE = -1
"""What Paramiko returns for a closed channel; invoke does not always notice that its own timer closed it."""


@dataclasses.dataclass(frozen=True)
class Result:
    """What a command left: its output and its exit code."""

    stdout: str
    stderr: str
    code: int

    @property
    def ok(self) -> bool:
        """Whether it ended with 0."""
        return self.code == 0


class Stream:
    """The standard streams of a command that runs on a node, line by line."""

    def __init__(self, connection: fabric.Connection, channel: paramiko.Channel) -> None:
        self._connection = connection
        self._channel = channel
        self._output = channel.makefile("r")
        self._input = channel.makefile_stdin("w")

    def lines(self) -> Iterator[str]:
        """Yield lines as they come, until the command ends or the connection breaks."""
        with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
            yield from self._output

    def write(self, line: str) -> None:
        """Send a line to the command; raises OSError when the connection is broken."""
        self._input.write(line + "\n")
        self._input.flush()

    def close(self) -> None:
        """End the command, and whoever reads its lines."""
        with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
            self._channel.close()
            self._connection.close()


class UnreachableError(Pyk8sError):
    """A node that SSH does not reach, or that is not the one known by that name.

    ``silent`` where nothing at all answered at its address: a refused connection or key comes from a living machine.
    """

    silent = False


class Shell:
    """A root shell on one node; may be shared by threads. The connection opens at the first command.

    A host key must be known, as for ``ssh -o BatchMode=yes``: from ``target.known_hosts`` where that is set, else from
    the user's own known_hosts. ``~/.ssh/config`` counts, as it does for Ansible. Users other than root go through
    ``sudo -n``.
    """

    def __init__(self, target: SshTarget) -> None:
        self.target = target
        self._lock = threading.Lock()
        self._sessions = threading.BoundedSemaphore(SESSIONS)
        self._connection: fabric.Connection | None = None

    def run(self, command: str, *, check: bool = True, timeout: float = 30) -> Result:
        """Run a shell command as root, for at most ``timeout`` seconds.

        Raises UnreachableError when the node does not answer, Pyk8sError when the command takes longer or,
        with ``check``, ends with another code than 0.
        """
        line = command if self.target.user == "root" else f"sudo -n sh -c {shlex.quote(command)}"
        with self._sessions:
            connection = self._connected()
            begun = time.monotonic()
            try:
                done = connection.run(line, hide=True, warn=True, in_stream=False, timeout=timeout)
            except CommandTimedOut as error:
                raise self._too_slow(command, timeout) from error
            except (paramiko.SSHException, OSError, EOFError) as error:
                self.close()
                raise UnreachableError(f"{self.name}: the SSH connection broke", _reason(error)) from error
        if done.exited == NO_EXIT_CODE and time.monotonic() - begun >= timeout:
            raise self._too_slow(command, timeout)
        result = Result(done.stdout, done.stderr, done.exited)
        if check and not result.ok:
            last = (result.stderr or result.stdout).strip().splitlines()[-10:]
            raise Pyk8sError(f"{self.name}: `{command}` ended with {result.code}", "\n".join(last))
        return result

    def _too_slow(self, command: str, timeout: float) -> Pyk8sError:
        return Pyk8sError(f"{self.name}: `{command}` took longer than {timeout:g} s")

    def follow(self, command: str) -> Stream:
        """Start a shell command as root and return its output as it comes; raises UnreachableError.

        The connection is the stream's own, so that nothing that breaks others breaks it.
        """
        line = command if self.target.user == "root" else f"sudo -n sh -c {shlex.quote(command)}"
        connection = self._open()
        try:
            channel = connection.transport.open_session(timeout=CONNECT_SECONDS)
            channel.exec_command(line)
        except (paramiko.SSHException, OSError, EOFError) as error:
            connection.close()
            raise UnreachableError(f"{self.name}: the SSH connection broke", _reason(error)) from error
        return Stream(connection, channel)

    def close(self) -> None:
        """Close the connection; the next command opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
                connection.close()

    @property
    def name(self) -> str:
        """The target as a person would write it: ``root@198.18.0.11:22``."""
        return f"{self.target.user}@{self.target.host}:{self.target.port}"

    def _connected(self) -> fabric.Connection:
        with self._lock:
            if self._connection is None or not self._connection.is_connected:
                self._connection = self._open()
            return self._connection

    def _open(self) -> fabric.Connection:
        target = self.target
        limits: dict[str, Any] = {"banner_timeout": 2 * CONNECT_SECONDS, "auth_timeout": 2 * CONNECT_SECONDS}
        try:
            if target.key_file:
                limits |= {"look_for_keys": False} | _key(Path(target.key_file).expanduser())
            connection = fabric.Connection(
                target.host, user=target.user, port=target.port, connect_timeout=CONNECT_SECONDS, connect_kwargs=limits
            )
            if target.known_hosts:
                connection.client.load_host_keys(str(Path(target.known_hosts).expanduser()))
            else:
                connection.client.load_system_host_keys()
            connection.client.set_missing_host_key_policy(paramiko.RejectPolicy())
            connection.open()
            connection.transport.set_keepalive(CONNECT_SECONDS)
        except (paramiko.SSHException, OSError, EOFError, ValueError) as error:
            unreachable = UnreachableError(
                f"{self.name} is not reached over SSH",
                _reason(error),
                f"try `ssh -p {target.port} {target.user}@{target.host} true`",
            )
            unreachable.silent = _silent(error)
            raise unreachable from error
        return connection


def _key(path: Path) -> dict[str, paramiko.PKey]:
    """Read the key here: Paramiko, given the path, reports a refused key as one that it cannot read.

    One with a passphrase is left to the agent.
    """
    try:
        return {"pkey": paramiko.PKey.from_path(path)}
    except paramiko.PasswordRequiredException:
        return {}


def _silent(error: Exception) -> bool:
    """Whether nobody answered; not so where somebody did, or nothing was sent (no key, no name, no network)."""
    tried = error.errors.values() if isinstance(error, NoValidConnectionsError) else [error]
    return all(isinstance(one, TimeoutError) or getattr(one, "errno", None) in NOBODY for one in tried)


def _reason(error: Exception) -> str:
    if isinstance(error, paramiko.BadHostKeyException):
        return "its host key is not the one known: another machine answers, or it was made anew"
    if isinstance(error, paramiko.AuthenticationException):
        return "it refuses the key: " + str(error)
    if isinstance(error, NoValidConnectionsError):
        return "; ".join(sorted({str(one) for one in error.errors.values()}))
    if isinstance(error, TimeoutError):
        return f"no answer within {CONNECT_SECONDS} s"
    return str(error) or type(error).__name__
