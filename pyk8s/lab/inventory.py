"""The lab's Ansible inventory: ``hosts.yml`` is always the lab's own, ``group_vars/all.yml`` is the user's to edit."""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import yaml

from pyk8s import paths
from pyk8s.cluster.config import ClusterConfig
from pyk8s.cluster.inventory import role_variables
from pyk8s.lab import host
from pyk8s.lab.spec import POOL, Ranges, groups
from pyk8s.lab.ssh import LabKeys

UPSTREAM = "https://dl.k8s.io/"
OFFLINE_VERSION = "1.20.2"
"""What a machine that reaches only its distribution's mirror can build."""
TIMEOUT_SECONDS = 3.0
KEY_LINE = r"(?m)^{key}:[ \t]*(\S*).*$"
HEAD = """\
# The cluster, in its keys. Written once by `pyk8s lab up`; it is yours to edit (`pyk8s lab up --reset` writes it anew).
"""
LAB_HEAD = """\
# What containers on this machine need and machines of your own do not.
"""


def directory(lab: str) -> Path:
    """Return ``inventory/lab``, or ``inventory/lab-<name>`` for a lab of another name."""
    default = paths.DEFAULT_INVENTORY
    return default if lab == "lab" else default.with_name(f"lab-{lab}")


def default_version(say: Callable[[str], None]) -> str:
    """Return the Kubernetes version where none is told: the newest, or 1.20.2 where upstream does not answer."""
    newest = str(ClusterConfig.model_fields["kubernetes_version"].default)
    try:
        httpx.head(UPSTREAM, timeout=TIMEOUT_SECONDS)
        return newest
    except (httpx.HTTPError, OSError):
        say(f"{UPSTREAM} does not answer: kubernetes_version is {OFFLINE_VERSION}, which Debian's source package holds")
        return OFFLINE_VERSION


def hosts_text(addresses: dict[str, str], keys: LabKeys) -> str:
    """Return ``hosts.yml`` for machines by name."""
    common = f"-o UserKnownHostsFile={shlex.quote(str(keys.known_hosts))} -o StrictHostKeyChecking=yes"
    content = {
        "all": {
            "vars": {
                "ansible_user": "root",
                "ansible_ssh_private_key_file": str(keys.private_key),
                "ansible_ssh_common_args": common,
                "ansible_python_interpreter": "/usr/bin/python3",
            },
            "hosts": {name: {"ansible_host": address, "node_ip": address} for name, address in addresses.items()},
            "children": {
                group: {"hosts": {name: {} for name in members}} for group, members in groups(addresses).items()
            },
        }
    }
    head = "---\n# Written by `pyk8s lab up`, anew each time: edit group_vars/all.yml instead.\n"
    return head + yaml.safe_dump(content, sort_keys=False, width=200)


def cluster_keys(lab: str, version: str, ranges: Ranges, control_planes: int = 1) -> dict[str, Any]:
    """Return the cluster's keys of a new lab; several control planes get a virtual IP, and notice failures fast."""
    available = {"api_virtual_ip": ranges.virtual_ip, "failure_detection": "fast"} if control_planes > 1 else {}
    return {
        "cluster_name": lab,
        "kubernetes_version": version,
        "container_runtime": "containerd",
        "kube_proxy_mode": "iptables",
        "pod_network": "routes",
        "pod_cidr": str(ranges.pods),
        "service_cidr": str(ranges.services),
        **available,
        "image_mirror": ranges.image_mirror,
        "artifact_source": "auto",
    }


def role_keys(machine: host.Host) -> dict[str, Any]:
    """Return the roles' variables that nodes on this machine need, as far as a role takes them (others are refused)."""
    keys: dict[str, Any] = {"kube_proxy_conntrack_max_per_core": 0}
    if "SYS_RESOURCE" not in machine.capabilities:
        keys |= {
            "containerd_restrict_oom_score_adj": True,
            "containerd_unit_oom_score_adjust": 0,
            "kubelet_oom_score_adj": 0,
            "kube_proxy_oom_score_adj": 0,
        }
    if machine.cgroup_version == 1:
        keys |= {
            "containerd_cgroup_driver": "cgroupfs",
            "kubelet_cgroup_driver": "cgroupfs",
            "kubelet_fail_cgroup_v1": False,
        }
    if machine.swap:
        keys |= {"kubelet_fail_swap_on": False, "node_swap_off": False}
    known = role_variables()
    return {key: value for key, value in keys.items() if key in known}


def all_text(lab: str, version: str, ranges: Ranges, machine: host.Host, control_planes: int = 1) -> str:
    """Return ``group_vars/all.yml`` of a new lab."""
    parts = (HEAD, cluster_keys(lab, version, ranges, control_planes)), (LAB_HEAD, role_keys(machine))
    return "---\n" + "\n".join(head + yaml.safe_dump(keys, sort_keys=False) for head, keys in parts)


def set_key(text: str, key: str, value: str) -> str:
    """Return YAML text with one top-level scalar replaced, or added at the end; all else stays as it is."""
    pattern = KEY_LINE.format(key=re.escape(key))
    line = f"{key}: {value}"
    if re.search(pattern, text):
        return re.sub(pattern, lambda _: line, text, count=1)
    return f"{text.rstrip()}\n{line}\n"


def follow_network(text: str, ranges: Ranges) -> str:
    """Return ``all.yml`` with those addresses corrected that an earlier lab of this name had in another subnet."""
    keys = cluster_keys("", "", ranges, control_planes=2)
    for key in ("pod_cidr", "service_cidr", "api_virtual_ip", "image_mirror"):
        found = re.search(KEY_LINE.format(key=key), text)
        address = re.search(r"\d+\.\d+\.\d+\.\d+", found[1]) if found else None
        if address:
            old = ipaddress.IPv4Address(address[0])
            if old in POOL and old not in ranges.subnet:
                text = set_key(text, key, keys[key])
    return text


def write(
    lab: str, addresses: dict[str, str], keys: LabKeys, ranges: Ranges, version: Callable[[], str], given: str = ""
) -> Path:
    """Write the inventory and return its folder.

    ``all.yml`` is written when absent, with ``given`` or else the answer of ``version`` as Kubernetes version; one
    that is there keeps all its lines but that of the version ``given``, and addresses of a subnet no longer ours.
    """
    folder = directory(lab)
    (folder / "group_vars").mkdir(parents=True, exist_ok=True)
    (folder / "hosts.yml").write_text(hosts_text(addresses, keys), encoding="utf-8")
    path = folder / "group_vars" / "all.yml"
    if path.exists():
        old = path.read_text(encoding="utf-8")
        text = follow_network(old, ranges)
        text = set_key(text, "kubernetes_version", given) if given else text
        ours = is_as_written(lab)
    else:
        planes = len(groups(addresses)["control_plane"])
        text, ours = all_text(lab, given or version(), ranges, host.examine(), planes), True
    path.write_text(text, encoding="utf-8")
    if ours:
        written_copy(lab).write_text(text, encoding="utf-8")
    return folder


def is_as_written(lab: str) -> bool:
    """Say whether ``all.yml`` is as we wrote it, so that nothing of the user's is lost with it."""
    ours, now = written_copy(lab), directory(lab) / "group_vars" / "all.yml"
    return ours.exists() and now.exists() and ours.read_bytes() == now.read_bytes()


def written_copy(lab: str) -> Path:
    """Return where we keep a copy of what we wrote into ``all.yml``."""
    return paths.cluster_dir(lab) / "ssh" / "all.yml.written"
