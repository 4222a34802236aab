"""The Docker engine: found, or started, or installed, each said aloud."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import docker
from docker.errors import DockerException

from pyk8s import paths
from pyk8s.errors import Pyk8sError

Say = Callable[[str], None]
WAIT_SECONDS = 60


def connect(say: Say, start: bool = True) -> docker.DockerClient:
    """Return a client of a running engine, starting or installing it where we may; raises Pyk8sError otherwise."""
    client, problem = _ping()
    if client or not start:
        return _answering(client, problem)
    if "permission denied" in problem.lower():
        raise Pyk8sError("the Docker engine refuses this user", problem, "join the group docker, or run as root")
    if os.environ.get("DOCKER_HOST") or os.geteuid() != 0:
        raise Pyk8sError("no Docker engine answers", problem, "start it (systemctl start docker), or run this as root")
    if not shutil.which("dockerd"):
        apt_install(["docker.io", "iptables"], say)
    _start(say)
    client, problem = _ping()
    return _answering(client, problem)


def apt_install(packages: list[str], say: Say) -> None:
    """Install Debian packages without recommends; raises Pyk8sError where we are not root or there is no apt."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Pyk8sError(
            f"missing on this machine: {', '.join(packages)}",
            "only root on a Debian-like system can install packages",
            f"install {' '.join(packages)} yourself and run again",
        )
    say(f"installing {', '.join(packages)} with apt-get")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    if run.returncode:
        subprocess.run(["apt-get", "update", "-q"], env=environment, capture_output=True)
        run = subprocess.run(command, env=environment, capture_output=True, text=True)
    if run.returncode:
        raise Pyk8sError(f"could not install {', '.join(packages)}", run.stderr.strip()[-600:], "see apt-get update")


def _ping() -> tuple[docker.DockerClient | None, str]:
    try:
        client = docker.from_env(timeout=300)
        client.ping()
    except DockerException as error:
        return None, str(error)
    return client, ""


def _answering(client: docker.DockerClient | None, problem: str) -> docker.DockerClient:
    if client is None:
        raise Pyk8sError("no Docker engine answers", problem, "start it, or run `pyk8s lab up` as root")
    return client


def _start(say: Say) -> None:
    log = paths.cache_dir() / "dockerd.log"
    if Path("/run/systemd/system").is_dir():
        say("starting the Docker engine (systemctl start docker)")
        subprocess.run(["systemctl", "start", "docker"], capture_output=True)
        process = None
    else:
        say(f"starting the Docker engine (dockerd, its log is {log})")
        with log.open("ab") as output:
            process = subprocess.Popen(
                ["dockerd"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd="/",
            )
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline and not _ping()[0]:
        if process and process.poll() is not None:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
            raise Pyk8sError("dockerd ended at once", tail, f"the whole log is {log}")
        time.sleep(0.2)
