"""`fab --list`: how a cluster is, and a command or a log of its nodes. Everything is in ``pyk8s.health``."""

from fabric.main import program
from fabric.tasks import task
from invoke import Collection
from invoke.context import Context

from pyk8s.health import remainder, tasks

AFTER_DASHES = remainder.take(program)
INVENTORY = {"inventory": "folder of the inventory; default $PYK8S_INVENTORY, else inventory/lab"}
NODES = {"node": "names of nodes, separated by commas; default all"}


@task(help=INVENTORY)
def health(_: Context, inventory: str = "") -> None:
    """One screen: nodes, components, etcd, certificates, failed units. Exit code 1 when something is wrong."""
    tasks.health(inventory)


@task(help=INVENTORY)
def status(_: Context, inventory: str = "") -> None:
    """etcd's members: leader, version, size of the database."""
    tasks.etcd_status(inventory)


@task(help=INVENTORY)
def expiry(_: Context, inventory: str = "") -> None:
    """Every certificate on the nodes, the next to expire first."""
    tasks.certs_expiry(inventory)


@task(help=INVENTORY | {"node": "the node's name"})
def declare_dead(_: Context, node: str, inventory: str = "") -> None:
    """Say that a machine is really dead, so that its StatefulSets' pods run elsewhere; refused where it answers."""
    tasks.declare(node, dead=True, source=inventory)


@task(help=INVENTORY | {"node": "the node's name"})
def declare_alive(_: Context, node: str, inventory: str = "") -> None:
    """Take back that a machine is dead, once its node is Ready again: it takes pods as before."""
    tasks.declare(node, dead=False, source=inventory)


@task(help=INVENTORY | NODES | {"unit": "a systemd unit: kubelet, etcd, kube-apiserver ...", "lines": "how many"})
def logs(_: Context, unit: str, node: str = "", lines: int = 100, inventory: str = "") -> None:
    """The last lines of a unit's journal."""
    tasks.logs(unit, node, lines, inventory)


@task(help=INVENTORY | NODES)
def run(_: Context, node: str = "", inventory: str = "") -> None:
    """A command as root on the nodes: `fab run --node w1 -- uptime`."""
    tasks.run(" ".join(AFTER_DASHES), node, inventory)


@task(help=INVENTORY)
def kubectl(_: Context, inventory: str = "") -> None:
    """kubectl as administrator: `fab kubectl -- get nodes`."""
    tasks.kubectl(AFTER_DASHES, inventory)


namespace = Collection(health, logs, run, kubectl, auto_dash_names=False)
namespace.add_collection(Collection("etcd", status))
namespace.add_collection(Collection("certs", expiry))
namespace.add_collection(Collection("nodes", declare_dead, declare_alive, auto_dash_names=False))
