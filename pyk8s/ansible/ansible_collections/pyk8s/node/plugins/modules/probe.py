#!/usr/bin/python
"""Say what a machine is, changing nothing."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: probe
short_description: Say what a machine is, so that an unfit one is refused before anything is changed
version_added: 0.1.0
author: the pyk8s authors
description:
  - Reads architecture, operating system, init, memory, disk, addresses, ports, swap, control groups and clock.
  - Compares every file and binary that pyk8s placed with what it remembers, so that the tasks that follow in the
    same run need not ask again about what is as it should be.
options:
  commands:
    description: Commands that pyk8s will call; those that are not there are returned.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Look at every machine
  pyk8s.node.probe:
    commands: [nft]
  register: __preflight_probe
"""

RETURN = r"""
machine:
  description: What was found.
  returned: always
  type: dict
"""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.pyk8s.node.plugins.module_utils import records

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def main() -> None:
    """Run the module."""
    arguments = {
        "commands": {"type": "list", "elements": "str", "default": []},
    }
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True)
    memory = dict(re.findall(r"^(\w+):\s+(\d+) kB", read("/proc/meminfo"), re.MULTILINE))
    machine = {
        "architecture": platform.machine(),
        "system": os_release(),
        "python": list(sys.version_info[:2]),
        "init": read("/proc/1/comm").strip(),
        "uid": os.geteuid(),
        "memory_mib": int(memory["MemTotal"]) // 1024,
        "free_mib": shutil.disk_usage("/var/lib").free >> 20,
        "swap": len(read("/proc/swaps").strip().splitlines()) > 1,
        "cgroup": 2 if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else 1,
        "addresses": addresses(),
        "interfaces": interfaces(),
        "taken_ports": [] if os.path.isdir(records.DIRECTORY) else sorted(listening()),
        "missing_commands": [name for name in module.params["commands"] if not shutil.which(name, path=SEARCH_PATH)],
        "placed": records.placed(),
        "installed": records.installed(),
        **resolver(),
        "clock": time.time(),
    }
    module.exit_json(changed=False, machine=machine)


def read(path: str) -> str:
    """Return a file's text; nothing when it is absent."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


def os_release() -> str:
    """Return the distribution's own name for itself."""
    found = re.search(r'^PRETTY_NAME="?([^"\n]*)', read("/etc/os-release"), re.MULTILINE)
    return found[1] if found else "unknown"


def addresses() -> list[str]:
    """Return the machine's own IPv4 addresses, from the kernel's routing table of local addresses."""
    found = re.findall(r"\|-- (\S+)\n\s+/32 host LOCAL", read("/proc/net/fib_trie"))
    return sorted(set(found))


def interfaces() -> dict[str, str]:
    """Return the network interface of each of the machine's own IPv4 addresses."""
    try:
        command = ["ip", "-json", "-4", "address", "show"]
        shown = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    except (OSError, ValueError, subprocess.CalledProcessError):
        return {}
    return {one["local"]: link["ifname"] for link in shown if link for one in link.get("addr_info", [])}


def resolver() -> dict[str, Any]:
    """Return the resolver configuration that pods can use, and its name servers.

    The stub of systemd-resolved listens on the machine's own loopback, where no pod reaches it; the file that it keeps
    for others names the real servers: https://kubernetes.io/docs/tasks/administer-cluster/dns-debugging-resolution/
    """
    path = "/etc/resolv.conf"
    behind = "/run/systemd/resolve/resolv.conf"
    if "127.0.0.53" in name_servers(path) and os.path.exists(behind):
        path = behind
    return {"resolv_conf": path, "name_servers": name_servers(path)}


def name_servers(path: str) -> list[str]:
    """Return the addresses that a resolver configuration names."""
    return re.findall(r"^\s*nameserver\s+(\S+)", read(path), re.MULTILINE)


def listening() -> set[int]:
    """Return the TCP ports that something listens on."""
    lines = (read("/proc/net/tcp") + read("/proc/net/tcp6")).splitlines()
    fields = [line.split() for line in lines if not line.lstrip().startswith("sl")]
    return {int(field[1].rsplit(":", 1)[1], 16) for field in fields if field[3] == "0A"}


if __name__ == "__main__":
    main()
