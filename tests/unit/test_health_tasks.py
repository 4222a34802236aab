"""fab's tasks: words after two dashes, choice of nodes, exit codes."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from invoke.exceptions import Exit

from pyk8s import paths
from pyk8s.cluster.config import ClusterConfig
from pyk8s.cluster.model import Cluster, Node, SshTarget
from pyk8s.errors import Pyk8sError
from pyk8s.health import remainder, tasks
from pyk8s.ssh import Result

NODES = tuple(Node(n, f"10.0.0.{i}", frozenset({"workers"}), SshTarget(n)) for i, n in enumerate(("w1", "w2"), 1))
CLUSTER = Cluster(ClusterConfig(), NODES)


@pytest.fixture
def ran(monkeypatch):
    commands = []

    class Fake:
        def __init__(self, target):
            self.host = target.host

        def run(self, command, **_):
            commands.append((self.host, command))
            if command == "unreachable":
                raise Pyk8sError(f"{self.host} is not reached")
            return Result(f"said {command}\n", "", 1 if command == "false" and self.host == "w2" else 0)

        def close(self):
            pass

    monkeypatch.setattr(tasks, "Shell", Fake)
    monkeypatch.setattr(tasks, "_cluster", lambda source: CLUSTER)
    return commands


def test_a_command_runs_on_all_nodes_and_says_which_said_what(ran, capsys):
    tasks.run("uptime")
    assert sorted(ran) == [("w1", "uptime"), ("w2", "uptime")]
    assert capsys.readouterr().out.splitlines() == ["w1 │ said uptime", "w2 │ said uptime"]


def test_only_the_nodes_named_are_asked(ran):
    tasks.run("uptime", names="w2")
    assert ran == [("w2", "uptime")]


def test_an_unknown_node_is_refused_with_the_near_one(ran):
    with pytest.raises(Exit, match="there is no node w22") as caught:
        tasks.run("uptime", names="w22")
    assert "did you mean w2?" in str(caught.value)
    assert caught.value.code == 1
    assert ran == []


@pytest.mark.parametrize(("command", "said"), [("false", r"failed on w2 \(1\)"), ("unreachable", "w1 .*w2")])
def test_a_failure_on_one_node_is_the_exit_code(ran, command, said):
    with pytest.raises(Exit, match=said) as caught:
        tasks.run(command)
    assert caught.value.code == 1


def test_nothing_to_run_is_refused(ran):
    with pytest.raises(Exit, match="nothing to run"):
        tasks.run("")


def test_logs_quote_the_unit_and_limit_the_lines(ran):
    tasks.logs("kubelet; reboot", names="w1", lines=7)
    assert "--lines=7 --unit='kubelet; reboot.service'" in ran[0][1]


def test_words_after_two_dashes_are_taken_from_fabric():
    program = SimpleNamespace(argv=["fab", "run", "--", "echo", "a b"], core=SimpleNamespace(remainder="echo a b"))
    assert remainder.take(program) == ["echo", "a b"]
    assert program.core.remainder == ""


@pytest.mark.parametrize("program", [SimpleNamespace(), SimpleNamespace(core=SimpleNamespace(remainder=""))])
def test_where_there_are_none_nothing_is_taken(program):
    assert remainder.take(program) == []


def test_fab_knows_the_tasks():
    command = [sys.executable, "-c", "from fabric.main import program; program.run()", "--list"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=paths.ROOT, check=True)
    listed = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ") and line.strip()}
    assert {"health", "logs", "run", "kubectl", "etcd.status", "certs.expiry"} <= listed


def test_fab_refuses_an_inventory_that_is_not_there(tmp_path):
    command = [sys.executable, "-c", "from fabric.main import program; program.run()"]
    arguments = ["run", "--inventory", str(tmp_path / "none"), "--", "uptime"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, cwd=paths.ROOT)
    assert done.returncode == 1
    assert "there is no inventory at" in done.stderr


@pytest.mark.parametrize("task", ["nodes.declare_dead", "nodes.declare_alive"])
def test_a_task_is_called_as_it_is_written(task):
    command = [str(Path(sys.executable).parent / "fab"), "--help", task]
    done = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--node" in done.stdout
