"""pyk8s.ssh against a real SSH server in this process, on loopback."""

import contextlib
import errno
import os
import pwd
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import paramiko
import pytest
from paramiko.common import cMSG_CHANNEL_SUCCESS
from paramiko.ssh_exception import NoValidConnectionsError

from pyk8s import ssh
from pyk8s.cluster.model import SshTarget
from pyk8s.errors import Pyk8sError
from pyk8s.ssh import Shell, UnreachableError


@pytest.mark.parametrize(
    ("error", "silent"),
    [
        (TimeoutError("timed out"), True),
        (OSError(errno.EHOSTUNREACH, "No route to host"), True),
        (NoValidConnectionsError({("192.0.2.1", 22): OSError(errno.EHOSTUNREACH, "No route to host")}), True),
        (NoValidConnectionsError({("192.0.2.1", 22): ConnectionRefusedError(errno.ECONNREFUSED, "refused")}), False),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), False),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), False),
        (FileNotFoundError(errno.ENOENT, "no key"), False),
        (paramiko.AuthenticationException("refused"), False),
        (paramiko.SSHException("Error reading SSH protocol banner"), False),
    ],
    ids=str,
)
def test_a_machine_is_silent_only_where_nobody_answered(error, silent):
    assert ssh._silent(error) is silent


class Door(paramiko.ServerInterface):
    def __init__(self, allowed: paramiko.PKey) -> None:
        self.allowed = allowed

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.AUTH_SUCCESSFUL if key == self.allowed else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        channel.transport.asked = threading.Thread(target=self.serve, args=(channel, command.decode()), daemon=True)
        return True

    def serve(self, channel: paramiko.Channel, command: str) -> None:
        done = subprocess.run(["sh", "-c", command.replace("sudo -n", "echo as root:")], capture_output=True)
        channel.sendall(done.stdout)
        channel.sendall_stderr(done.stderr)
        channel.send_exit_status(done.returncode)
        channel.close()


class Transport(paramiko.Transport):
    """Begins a command once its request has been answered: output must not overtake the answer."""

    def _send_user_message(self, message: paramiko.Message) -> None:
        super()._send_user_message(message)
        if message.asbytes()[:1] == cMSG_CHANNEL_SUCCESS:
            self.asked.start()


class Server:
    def __init__(self, folder):
        self.host_key = paramiko.ECDSAKey.generate()
        key = paramiko.ECDSAKey.generate()
        key.write_private_key_file(str(folder / "key"))
        self.door = Door(key)
        self.transports = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        known = folder / "known_hosts"
        known.write_text(f"[127.0.0.1]:{self.port} {self.host_key.get_name()} {self.host_key.get_base64()}\n")
        self.target = SshTarget("127.0.0.1", self.port, "root", str(folder / "key"), str(known))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            transport = Transport(peer)
            transport.add_server_key(self.host_key)
            transport.start_server(server=self.door, event=threading.Event())
            self.transports.append(transport)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for transport in self.transports:
            transport.close()


@pytest.fixture
def server(tmp_path):
    one = Server(tmp_path)
    yield one
    one.close()


@pytest.fixture
def shell(server):
    one = Shell(server.target)
    yield one
    one.close()


def test_output_errors_and_exit_code_come_back_apart(shell):
    result = shell.run("echo out; echo err >&2; exit 3", check=False)
    assert (result.stdout, result.stderr, result.code) == ("out\n", "err\n", 3)


def test_a_failing_command_is_an_error_with_its_last_words(shell):
    with pytest.raises(Pyk8sError, match="ended with 4") as caught:
        shell.run("echo first >&2; echo last words >&2; exit 4")
    assert "last words" in str(caught.value)


def test_threads_share_one_connection(server, shell):
    with ThreadPoolExecutor(12) as pool:
        said = list(pool.map(lambda number: shell.run(f"echo {number}").stdout.strip(), range(12)))
    assert said == [str(number) for number in range(12)]
    assert len(server.transports) == 1


def test_a_command_that_takes_too_long_is_given_up(shell):
    begin = time.monotonic()
    with pytest.raises(Pyk8sError, match=r"longer than 0\.3 s"):
        shell.run("sleep 3", timeout=0.3)
    assert time.monotonic() - begin < 2


def test_a_closed_connection_is_opened_anew(server, shell):
    shell.run("true")
    for transport in server.transports:
        transport.close()
    time.sleep(0.3)
    assert shell.run("echo again").stdout == "again\n"


def test_an_unknown_host_key_is_refused(server, tmp_path):
    (tmp_path / "known_hosts").write_text("")
    with pytest.raises(UnreachableError, match="known_hosts"):
        Shell(server.target).run("true")


def test_another_host_key_than_the_known_one_is_refused(server, tmp_path):
    other = paramiko.ECDSAKey.generate()
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {other.get_name()} {other.get_base64()}\n")
    with pytest.raises(UnreachableError, match="host key is not the one known"):
        Shell(server.target).run("true")


def test_a_refused_key_is_said(server, tmp_path):
    paramiko.ECDSAKey.generate().write_private_key_file(str(tmp_path / "key"))
    with pytest.raises(UnreachableError, match="refuses the key"):
        Shell(server.target).run("true")


def test_a_closed_port_is_said_with_the_way_to_try(server):
    server.close()
    with pytest.raises(UnreachableError) as caught:
        Shell(server.target).run("true")
    assert "refused" in caught.value.why
    assert f"ssh -p {server.port} root@127.0.0.1" in caught.value.hint


def test_other_users_than_root_go_through_sudo(server):
    user = pwd.getpwuid(os.getuid()).pw_name + "x"
    target = SshTarget("127.0.0.1", server.port, user, server.target.key_file, server.target.known_hosts)
    assert Shell(target).run("echo it's; id").stdout.startswith("as root: sh -c")
