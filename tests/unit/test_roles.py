"""The roles, the templates and site.yml fit together."""

import re

import pytest
import yaml

from pyk8s import paths
from pyk8s.ansible.support import role_defaults
from pyk8s.pki import node_files

ROLES = sorted(path.name for path in paths.ROLES.iterdir() if path.is_dir())
COMPONENTS = sorted(path.name for path in paths.TEMPLATES.iterdir() if path.is_dir())
TEMPLATES = sorted(path for path in paths.TEMPLATES.rglob("*") if path.is_file())


def load(path):
    return yaml.safe_load(path.read_text()) if path.exists() else None


def tasks(role):
    return load(paths.ROLES / role / "tasks" / "main.yml")


def handlers(role):
    return load(paths.ROLES / role / "handlers" / "main.yml") or []


def options(role):
    return load(paths.ROLES / role / "meta" / "argument_specs.yml")["argument_specs"]["main"].get("options") or {}


def listed_roles():
    return [entry for play in load(paths.ROOT / "site.yml") for entry in play["roles"]]


def sources(*folders):
    return {
        path: path.read_text()
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.suffix in {".yml", ".j2", ".py"} and path.parent.name not in {"defaults", "meta"}
    }


@pytest.mark.parametrize("role", ROLES)
def test_the_argument_specs_of_a_role_are_its_defaults(role):
    assert {name: option["default"] for name, option in options(role).items()} == role_defaults(role)


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_of_a_role_carries_its_name_and_is_explained(role):
    for name, option in options(role).items():
        assert name.startswith(f"{role}_")
        assert option["description"]
        assert option["type"]


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_of_a_role_is_used(role):
    texts = sources(paths.ROLES, paths.TEMPLATES, paths.ROOT / "pyk8s" / "ansible")
    for name in options(role):
        users = [path for path, text in texts.items() if re.search(rf"\b{name}\b", text)]
        assert users, f"nothing uses {name}"


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_short(role):
    path = paths.ROLES / role / "tasks" / "main.yml"
    assert len(tasks(role)) <= 12
    assert len(path.read_text().splitlines()) <= 120


@pytest.mark.parametrize("role", ROLES)
def test_every_handler_that_is_notified_exists_and_every_handler_is_notified(role):
    named = {handler.get("listen") or handler["name"] for handler in handlers(role)}
    notified = {task["notify"] for task in tasks(role) if "notify" in task}
    assert named == notified


@pytest.mark.parametrize("role", ROLES)
def test_a_unit_is_restarted_by_a_handler_alone(role):
    states = [task["pyk8s.node.unit"].get("state", "started") for task in tasks(role) if "pyk8s.node.unit" in task]
    assert set(states) <= {"started"}
    for handler in handlers(role):
        assert handler["pyk8s.node.unit"]["state"] == "restarted"


@pytest.mark.parametrize("role", ROLES)
def test_a_handler_asks_for_readiness_as_the_task_does(role):
    def asked(entries):
        ready = ("name", "ready_url", "ready_ca", "ready_cert", "ready_key", "ready_command", "components")
        units = [entry["pyk8s.node.unit"] for entry in entries if "pyk8s.node.unit" in entry]
        return [{key: unit[key] for key in ready if key in unit} for unit in units]

    if any("pyk8s.node.unit" in task for task in tasks(role)):
        assert asked(tasks(role)) == asked(handlers(role))


def test_site_yml_lists_every_role_once_with_its_own_tag():
    names = [entry["role"] for entry in listed_roles()]
    assert sorted(names) == ROLES
    for entry in listed_roles():
        assert entry["tags"] == ("always" if entry["role"] == "preflight" else entry["role"])


def test_site_yml_is_a_list_of_plays_of_hosts_and_roles_and_nothing_else():
    for play in load(paths.ROOT / "site.yml"):
        assert set(play) == {"name", "hosts", "roles"}
        assert set(play["hosts"].split(":")) <= {"control_plane", "etcd", "workers"}


def test_every_folder_of_templates_is_placed_or_applied_by_a_role_and_the_other_way_round():
    used = {
        task[module]["component"]
        for role in ROLES
        for task in tasks(role)
        for module in ("pyk8s.node.place", "pyk8s.node.apply")
        if module in task
    }
    assert sorted(used) == COMPONENTS


def test_every_component_with_certificates_is_placed():
    assert set(node_files.COMPONENTS) <= set(COMPONENTS)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.relative_to(paths.TEMPLATES).as_posix())
def test_a_template_is_short_and_has_no_default_of_its_own(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 60
    assert "default(" not in text


def test_tree_yml_names_only_what_the_component_has():
    for settings in paths.TEMPLATES.glob("*/tree.yml"):
        for path in load(settings).get("files") or {}:
            assert (settings.parent / f"{path[1:]}.j2").exists() or (settings.parent / path[1:]).exists(), path


def test_all_yaml_of_roles_is_without_jinja_blocks():
    for path, text in sources(paths.ROLES).items():
        assert "{%" not in text, path
        assert "default(" not in text, path
        assert "set_fact" not in text, path
