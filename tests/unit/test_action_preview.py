"""The preview of a first installation (``--check``) asks no API: there is none, whatever was left of an earlier one."""

import types

import pytest

from pyk8s import paths
from pyk8s.ansible.support import ControllerAction
from tests.golden.cases import stacked

BARE = {"machine": {"placed": {}}}
PLACED = {"machine": {"placed": {"kube-apiserver": "0123"}}}
DEAD = {"unreachable": True}


@pytest.fixture
def ask(monkeypatch, tmp_path):
    """Ask whether there is nothing yet, by the probes of the control planes, with or without certificates."""
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    cluster = stacked("1.36.4")

    def ask(*probes, check_mode=True, certificates=True):
        if certificates:
            (cluster.directory / "pki" / "super-admin.crt").parent.mkdir(parents=True, exist_ok=True)
            (cluster.directory / "pki" / "super-admin.crt").write_text("")
        pairs = zip(cluster.control_plane, probes, strict=True)
        by_name = {node.name: {"__preflight_probe": probe} for node, probe in pairs}
        action = object.__new__(ControllerAction)
        action._task = types.SimpleNamespace(check_mode=check_mode)
        return action.nothing_yet({"hostvars": types.SimpleNamespace(raw_get=by_name.__getitem__)}, cluster)

    return ask


def test_a_real_run_always_asks(ask):
    assert not ask(BARE, BARE, BARE, check_mode=False)


def test_without_certificates_nobody_could_ask(ask):
    assert ask(PLACED, PLACED, PLACED, certificates=False)


def test_bare_machines_have_no_api_though_certificates_of_an_earlier_cluster_stand(ask):
    assert ask(BARE, BARE, BARE)


@pytest.mark.parametrize("probes", [(PLACED, PLACED, PLACED), (BARE, BARE, PLACED), (DEAD, PLACED, BARE)])
def test_one_control_plane_with_an_apiserver_is_enough_to_ask(ask, probes):
    assert not ask(*probes)
