"""From a machine to the options of its container, and the node image's recipe."""

import dataclasses
import io
import tarfile

from pyk8s.lab import container, debian, host, image

CLOSED = host.Host(
    capabilities=frozenset(host.CAPABILITIES) - {"SYS_RESOURCE"},
    all_capabilities=False,
    cgroup_version=1,
    swap=False,
    kmsg=True,
    modules=False,
)
LAPTOP = host.Host(frozenset(host.CAPABILITIES), True, 2, True, True, True)
TARGETS = """\
Debian|http://mirror.example/debian/|bookworm|main
Debian|http://mirror.example/debian/|bookworm|main
Debian|http://mirror.example/debian-security/|bookworm-security|main
$(ORIGIN)|https://other.example/apt/|cloud|main
"""


def test_a_node_on_an_ordinary_machine_is_privileged():
    options = container.node("lab", "w1", LAPTOP, "28.0.0")
    assert options.host["privileged"]
    assert "cap_add" not in options.host
    assert not options.unmask
    assert options.host["binds"]["/lib/modules"] == {"bind": "/lib/modules", "mode": "ro"}


def test_a_node_on_a_restricted_machine_gets_by_name_what_there_is():
    options = container.node("lab", "w1", CLOSED, "20.10.24")
    assert "privileged" not in options.host
    assert options.unmask
    assert {"SYS_ADMIN", "NET_ADMIN"} <= set(options.host["cap_add"])
    assert not {"SYS_RESOURCE", "BPF"} & set(options.host["cap_add"])
    assert options.host["devices"] == ["/dev/kmsg:/dev/kmsg"]
    assert "/lib/modules" not in options.host["binds"]


def test_a_node_has_its_own_cgroup_tree_so_that_kubelets_do_not_kill_each_others_pods():
    for machine in (CLOSED, LAPTOP):
        assert container.node("lab", "w1", machine, "28.0.0").host["cgroupns"] == "private"


def test_everything_of_a_lab_carries_its_label_and_its_name():
    options = container.node("blue", "cp1", CLOSED, "28.0.0")
    assert options.name == "pyk8s-blue-cp1"
    assert options.create["hostname"] == "cp1"
    assert options.create["labels"] == {"io.pyk8s.lab": "blue", "io.pyk8s.machine": "cp1"}
    own = ("pyk8s-blue-cp1-containerd", "pyk8s-blue-cp1-kubelet", "pyk8s-blue-cp1-etcd")
    assert options.volumes == (*own, "pyk8s-blue-shared")


def test_the_registry_has_no_rights_beyond_an_ordinary_container():
    assert set(container.registry("lab").host) == {"binds"}


def test_files_for_a_container_keep_their_modes():
    packed = container.archive({"/root/.ssh/authorized_keys": ("key\n", 0o600)})
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        entry = archive.getmember("root/.ssh/authorized_keys")
    assert (entry.mode, entry.uid, entry.size) == (0o600, 0, 4)


def test_a_node_knows_all_nodes_by_name():
    text = container.hosts_file("w1", {"cp1": "198.18.0.11", "w1": "198.18.0.61"})
    assert text.splitlines()[-2:] == ["198.18.0.61 w1", "198.18.0.11 cp1"]


def test_only_the_distributions_own_mirrors_are_taken_from_apt():
    found = debian.parse_targets(TARGETS)
    assert found is not None
    assert found.suite == "bookworm"
    assert found.lines == (
        "deb http://mirror.example/debian/ bookworm main",
        "deb http://mirror.example/debian-security/ bookworm-security main",
    )


def test_a_proxy_that_apt_uses_is_used_for_the_image_too():
    config = 'Acquire::http::Proxy "http://proxy.example:3128";\nAcquire::Languages "";\nAPT::Sandbox "";'
    found = debian.parse_targets(TARGETS, config)
    assert found is not None
    assert found.options == ('Acquire::http::Proxy "http://proxy.example:3128";',)
    assert f"--aptopt={found.options[0]}" in image.command(found, image.NODE_TREE)


def test_a_machine_without_a_debian_mirror_is_noticed():
    assert debian.parse_targets("Other|https://other.example/|cloud|main\n") is None


def test_another_suite_is_another_node_image():
    assert image.recipe_hash("bookworm", "amd64") == image.recipe_hash("bookworm", "amd64")
    assert image.recipe_hash("bookworm", "amd64") != image.recipe_hash("trixie", "amd64")


def test_haproxy_is_disabled_and_not_masked_since_a_role_writes_its_unit():
    assert "haproxy" in image.DISABLED
    assert not any("haproxy" in unit for unit in image.MASKED)


def test_a_host_is_a_plain_value():
    assert dataclasses.replace(CLOSED, swap=True) != CLOSED
