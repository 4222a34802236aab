"""``make bench``: how long pyk8s takes, beside the least that the same machine could take, in one run.

``floor`` pushes the same binaries to the bare nodes at once with ``tar | ssh``, and adds the time from starting
the units of an installed cluster to all nodes Ready. Figures of different runs or machines do not compare.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pyk8s import artifacts, paths
from pyk8s.cluster import inventory
from pyk8s.cluster.model import Cluster, Node
from pyk8s.lab import api
from pyk8s.lab.spec import LabSpec
from pyk8s.ssh import Shell
from tests import tools

LAB = "bench"
UNITS_OF = {
    "control_plane": ("etcd", "kube-apiserver", "haproxy", "kube-controller-manager", "kube-scheduler"),
    "all": ("haproxy", "containerd", "pod-network", "kubelet", "kube-proxy"),
}
CONTROL_PLANE_COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
NODE_COMPONENTS = ("containerd", "runc", "cni", "kubelet", "kube-proxy")


def must(ended: tools.Run) -> tools.Run:
    """Return a run that went well; end the benchmark with its output when it did not."""
    if ended.code != 0:
        sys.exit(ended.output[-6000:])
    return ended


def cluster() -> Cluster:
    """The benchmark's cluster."""
    return inventory.load(paths.ROOT / tools.inventory(LAB))


def push_floor(wanted: Cluster) -> float:
    """Seconds to push the binaries that each node needs, to all nodes at once, with tar and ssh."""
    found = artifacts.lookup(wanted.config)
    if found is None:
        sys.exit("the binaries are not at hand: run make cluster first")

    def push(node: Node) -> None:
        parts = (*(CONTROL_PLANE_COMPONENTS if node.is_control_plane else ()), *NODE_COMPONENTS)
        files = [file.path for part in parts for file in found.files[part].files.values()]
        ssh = [
            "ssh",
            "-i",
            node.ssh.key_file,
            "-o",
            f"UserKnownHostsFile={node.ssh.known_hosts}",
            f"root@{node.ssh.host}",
        ]
        tar = subprocess.Popen(
            ["tar", "--create", "--absolute-names", "--dereference", *map(str, files)], stdout=subprocess.PIPE
        )
        unpack = "mkdir -p /opt/floor && tar --extract --directory /opt/floor"
        subprocess.run([*ssh, unpack], stdin=tar.stdout, check=True)

    begun = time.monotonic()
    with ThreadPoolExecutor() as pool:
        list(pool.map(push, wanted.nodes))
    return time.monotonic() - begun


def start_floor(wanted: Cluster) -> float:
    """Seconds from starting all units, stopped and their Node objects gone, to all nodes Ready."""
    shells = {node.name: Shell(node.ssh) for node in wanted.nodes}
    front = shells[wanted.control_plane[0].name]
    kubectl = f"KUBECONFIG=/run/bench.kubeconfig {api_client(wanted, front)}"
    front.run(f"{kubectl} delete nodes --all --wait=false")
    for node in wanted.nodes:
        shells[node.name].run(f"systemctl stop {' '.join(reversed(units(node)))}", timeout=180)
    begun = time.monotonic()
    with ThreadPoolExecutor() as pool:
        list(
            pool.map(
                lambda node: shells[node.name].run(f"systemctl start --no-block {' '.join(units(node))}"), wanted.nodes
            )
        )
    ready = f"{kubectl} get nodes --no-headers 2>/dev/null | grep -cw Ready"
    while front.run(ready, check=False).stdout.strip() != str(len(wanted.kubernetes_nodes)):
        time.sleep(0.2)
    return time.monotonic() - begun


def units(node: Node) -> tuple[str, ...]:
    """The units of a node, in the order of their start."""
    first = UNITS_OF["control_plane"] if node.is_control_plane else ()
    return tuple(dict.fromkeys((*first, *UNITS_OF["all"])))


def api_client(wanted: Cluster, shell: Shell) -> str:
    """Put kubectl and a kubeconfig on a node for this benchmark; return the command."""
    found = artifacts.lookup(wanted.config)
    assert found is not None
    node = wanted.control_plane[0]
    for source, target in (
        (found.files["kubectl"].files["kubectl"].path, "/run/kubectl"),
        (wanted.directory / "super-admin.kubeconfig", "/run/bench.kubeconfig"),
    ):
        options = ["-i", node.ssh.key_file, "-o", f"UserKnownHostsFile={node.ssh.known_hosts}"]
        subprocess.run(["scp", "-q", *options, str(source), f"root@{node.ssh.host}:{target}"], check=True)
    shell.run("cp /run/kubectl /opt/kubectl && chmod 755 /opt/kubectl")
    return "/opt/kubectl"


def phases(*arguments: str) -> tuple[float, dict[str, object]]:
    """Run site.yml; return its seconds and what the phases callback counted."""
    target = paths.ROOT / "build" / "phases.json"
    ended = must(tools.playbook(LAB, *arguments, PYK8S_PHASES_FILE=str(target)))
    return ended.seconds, json.loads(target.read_text(encoding="utf-8"))


def measure(console: Console) -> dict[str, object]:
    """Run everything once, in order; return the figures."""
    results: dict[str, object] = {}

    def note(key: str, value: object) -> None:
        results[key] = round(value, 1) if isinstance(value, float) else value
        console.print(f"{key}: {results[key]}")

    api.down(LAB)
    api.up(LabSpec(LAB, 1, 2), console.print)
    wanted = cluster()
    artifacts.resolve(wanted.config)
    push = push_floor(wanted)
    api.reset_nodes(LAB)
    seconds_of_converge, counted = phases()
    note("converge", seconds_of_converge)
    note("converge_roles", counted["seconds"])
    seconds, again = phases()
    note("noop", seconds)
    note("noop_roles", again["seconds"])
    note("executions_per_host", {"converge": counted["executions"], "noop": again["executions"]})
    note("verify", must(tools.verify(LAB)[0]).seconds)
    note("floor_push", push)
    note("floor_start", start := start_floor(wanted))
    note("floor", push + start)
    note("converge_over_floor", seconds_of_converge / (push + start))
    must(tools.playbook(LAB))
    begun = time.monotonic()
    api.up(LabSpec(LAB, 1, 3))
    note("add_worker_machine", time.monotonic() - begun)
    note("add_worker", phases()[0])
    return results


def main() -> None:
    """Measure, print a table, write build/bench.json."""
    console = Console()
    target = Path(paths.ROOT / "build" / "bench.json")
    target.parent.mkdir(exist_ok=True)
    try:
        results = measure(console)
    finally:
        api.down(LAB)
    target.write_text(json.dumps(results, indent=2), encoding="utf-8")
    table = Table("figure", "seconds")
    for key in ("floor", "converge", "noop", "add_worker", "verify"):
        table.add_row(key, str(results[key]))
    console.print(table, f"written to {target.relative_to(paths.ROOT)}")


if __name__ == "__main__":
    main()
