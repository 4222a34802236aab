"""The controller's side of the unit module: only what is stale, or unknown, is asked to restart."""

import types

import pytest
from ansible import constants
from ansible.errors import AnsibleConnectionFailure
from ansible_collections.pyk8s.node.plugins.action.unit import ActionModule

STALE = {"changed": True, "stale": True}
FRESH = {"changed": True, "stale": False}


@pytest.fixture
def act(monkeypatch, tmp_path):
    """Run the action with the node's answer and facts; return its result and the arguments that the node was given."""

    monkeypatch.setattr(constants, "DEFAULT_LOCAL_TMP", str(tmp_path))

    def act(arguments, answer=None, facts=None, host="cp1", throttle=1):
        asked = []

        def module(self, name, given, task_vars):
            asked.append((name, given))
            if isinstance(answer, Exception):
                raise answer
            return dict(answer or {})

        monkeypatch.setattr(ActionModule, "module", module)
        action = object.__new__(ActionModule)
        action._task = types.SimpleNamespace(args=arguments, throttle=throttle)
        return action.act({"ansible_facts": facts or {}, "inventory_hostname": host}), asked

    return act


@pytest.mark.parametrize(("answer", "stale"), [(STALE, True), (FRESH, False)])
def test_what_a_start_found_is_kept_as_a_fact(act, answer, stale):
    arguments = {"name": "kube-proxy", "ready_url": "http://127.0.0.1:10256/healthz"}
    result, asked = act(arguments, answer)
    assert result == {**answer, "ansible_facts": {"stale_kube_proxy": stale}}
    assert asked == [("unit", arguments)]


def test_a_unit_that_was_found_fresh_is_not_asked_to_restart(act):
    result, asked = act({"name": "kube-proxy", "state": "restarted"}, facts={"stale_kube_proxy": False})
    assert (result["changed"], result["skipped"], asked) == (False, True, [])


@pytest.mark.parametrize("facts", [{"stale_etcd": True}, {"stale_kubelet": False}, {}])
def test_a_unit_that_is_stale_or_was_not_looked_at_is_asked_to_restart(act, facts):
    arguments = {"name": "etcd", "state": "restarted"}
    result, asked = act(arguments, {"changed": True, "stale": False}, facts)
    assert result == {"changed": True, "stale": False}
    assert asked == [("unit", arguments)]


def test_a_start_that_failed_says_nothing_about_staleness(act):
    failed = {"failed": True, "msg": "etcd is not ready after 90 s"}
    assert act({"name": "etcd"}, failed, {})[0] == failed


def test_a_restart_that_failed_ends_the_restarts_of_that_unit_on_the_other_machines(act):
    failed = {"failed": True, "msg": "etcd is not ready after 90 s"}
    restart, other = {"name": "etcd", "state": "restarted"}, {"name": "kubelet", "state": "restarted"}
    assert act(restart, failed)[0] == failed
    result, asked = act(restart, STALE, host="cp2")
    assert result["failed"]
    assert "etcd was not restarted here: on cp1 it did not come back" in result["msg"]
    assert asked == []
    assert act(other, STALE, host="cp2")[0] == STALE
    assert not act({"name": "etcd"}, STALE, host="cp2")[0].get("failed")


def test_a_machine_that_is_lost_during_a_restart_ends_them_too(act):
    restart = {"name": "keepalived", "state": "restarted"}
    with pytest.raises(AnsibleConnectionFailure):
        act(restart, AnsibleConnectionFailure("no route to host"))
    assert "on cp1 it did not come back" in act(restart, STALE, host="cp2")[0]["msg"]


def test_units_that_restart_everywhere_at_once_each_say_what_is_wrong(act):
    failed = {"failed": True, "msg": "systemd-sysctl did not restart"}
    restart = {"name": "systemd-sysctl", "state": "restarted"}
    assert act(restart, failed, throttle=0)[0] == failed
    assert act(restart, failed, host="cp2", throttle=0)[0] == failed
