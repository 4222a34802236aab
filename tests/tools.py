"""What end-to-end tests and the benchmark share: a lab of their own, playbooks and the verifier as a user runs them."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from pyk8s import paths

BIN = Path(sys.executable).parent
RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Run:
    """A command that has ended."""

    output: str
    code: int
    seconds: float

    @property
    def changed(self) -> dict[str, int]:
        """Tasks changed by host, as the recap of a playbook says."""
        return {host: int(changed) for host, _, changed, _, _ in RECAP.findall(self.output)}


def run(*command: str, timeout: float = 1200, **environment: str) -> Run:
    """Run a command of the virtual environment at the project's root."""
    env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "ANSIBLE_CONFIG": str(paths.ROOT / "ansible.cfg")}
    begun = time.monotonic()
    done = subprocess.run(
        command, cwd=paths.ROOT, env={**env, "COLUMNS": "160", **environment}, timeout=timeout,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    return Run(done.stdout, done.returncode, time.monotonic() - begun)


def inventory(lab: str) -> str:
    """Return the inventory of a lab, as an argument."""
    return f"inventory/lab-{lab}"


def playbook(lab: str, *arguments: str, name: str = "site.yml", **environment: str) -> Run:
    """Run a playbook against a lab."""
    return run("ansible-playbook", "-i", inventory(lab), name, *arguments, **environment)


def verify(lab: str, *arguments: str) -> tuple[Run, dict[str, dict[str, object]]]:
    """Run ``pyk8s verify`` against a lab; return the run, and its checks by name."""
    report = paths.ROOT / "build" / f"verify-{lab}.json"
    report.parent.mkdir(exist_ok=True)
    report.unlink(missing_ok=True)
    ended = run("pyk8s", "verify", "--inventory", inventory(lab), "--json", str(report), *arguments)
    checks = json.loads(report.read_text(encoding="utf-8"))["checks"] if report.exists() else []
    return ended, {check["name"]: check for check in checks}


def names(checks: dict[str, dict[str, object]], status: str) -> set[str]:
    """Return the names of the checks with a status."""
    return {name for name, check in checks.items() if check["status"] == status}
