"""From bare machines to a proven cluster; the tests build on each other, in this order."""

from pyk8s import paths, pki
from pyk8s.cluster import inventory
from tests import tools
from tests.e2e.conftest import LAB

EXPECTED_SKIPS = {"dns"}
"""CoreDNS is in no Debian package: where its image cannot be had, verify says so."""


def test_a_bad_inventory_and_an_unreachable_host_are_refused_in_one_pass_before_anything_changes(bare_lab):
    folder = paths.ROOT / tools.inventory(bare_lab)
    bad = paths.ROOT / "build" / "bad-inventory"
    (bad / "group_vars").mkdir(parents=True, exist_ok=True)
    keys = (folder / "group_vars" / "all.yml").read_text(encoding="utf-8")
    (bad / "group_vars" / "all.yml").write_text(keys + "kube_proxi_mode: iptables\n", encoding="utf-8")
    hosts = (folder / "hosts.yml").read_text(encoding="utf-8")
    address = inventory.load(folder).node("w2").address
    nobody = f"{address.rpartition('.')[0]}.250"
    (bad / "hosts.yml").write_text(hosts.replace(address, nobody), encoding="utf-8")
    refused = tools.run("ansible-playbook", "-i", str(bad), "site.yml", ANSIBLE_TIMEOUT="3")
    assert refused.code != 0
    assert "unknown key kube_proxi_mode" in refused.output
    assert "did you mean kube_proxy_mode?" in refused.output
    assert "w2: unreachable over SSH" in refused.output
    assert set(refused.changed.values()) == {0}


def test_check_mode_on_bare_machines_ends_well_and_changes_nothing(bare_lab):
    preview = tools.playbook(bare_lab, "--check")
    assert preview.code == 0, preview.output[-4000:]
    assert all(preview.changed.values())
    listed = tools.run(
        "ansible", "-i", tools.inventory(bare_lab), "all", "-m", "ansible.builtin.command", "-a", "ls /opt /etc"
    )
    assert listed.code == 0
    assert "pyk8s" not in listed.output
    assert "kubernetes" not in listed.output


def test_site_makes_a_cluster_of_bare_machines(installed):
    assert set(installed.changed) == {"cp1", "w1", "w2"}


def test_a_second_run_changes_nothing_on_any_host(installed):
    second = tools.playbook(LAB)
    assert second.code == 0, second.output[-4000:]
    assert second.changed == {"cp1": 0, "w1": 0, "w2": 0}


def test_check_mode_with_diff_on_a_running_cluster_shows_no_change(installed):
    preview = tools.playbook(LAB, "--check", "--diff")
    assert preview.code == 0, preview.output[-4000:]
    assert preview.changed == {"cp1": 0, "w1": 0, "w2": 0}


def test_a_run_limited_to_one_worker_and_one_tag_changes_nothing(installed):
    limited = tools.playbook(LAB, "--limit", "w1", "--tags", "kubelet")
    assert limited.code == 0, limited.output[-4000:]
    assert limited.changed == {"w1": 0}


def test_every_promise_is_proven(installed):
    ended, checks = tools.verify(LAB)
    assert ended.code == 0, ended.output[-8000:]
    assert tools.names(checks, "failed") == set()
    assert tools.names(checks, "skipped") <= EXPECTED_SKIPS
    assert len(tools.names(checks, "passed")) > 40


def test_a_cluster_known_by_its_kubeconfig_alone_is_proven_too(installed):
    report = paths.ROOT / "build" / "verify-kubeconfig.json"
    kubeconfig = paths.cluster_dir(LAB) / "admin.kubeconfig"
    ended = tools.run("pyk8s", "verify", "--suite", "smoke", "--kubeconfig", str(kubeconfig), "--json", str(report))
    assert ended.code == 0, ended.output[-6000:]
    assert "skipped" in ended.output


def test_fab_health_is_content_and_says_what_it_saw(installed):
    health = tools.run("fab", "health", PYK8S_INVENTORY=tools.inventory(LAB))
    assert health.code == 0, health.output
    assert all(name in health.output for name in ("cp1", "w1", "w2", "etcd"))


def test_another_controller_adopts_the_authorities_from_a_control_plane(installed):
    folder = paths.cluster_dir(LAB) / "pki"
    before = pki.authority_fingerprint(folder)
    aside = folder.with_name("pki-of-the-lost-controller")
    folder.rename(aside)
    try:
        adopted = tools.playbook(LAB, "--tags", "pki")
        assert adopted.code == 0, adopted.output[-4000:]
        assert pki.authority_fingerprint(folder) == before
    finally:
        tools.run("rm", "-rf", str(folder))
        aside.rename(folder)


def test_what_differs_on_a_node_is_put_right_shown_in_a_diff_and_only_its_unit_restarts(cluster, shells):
    before = shells["w1"].run("systemctl show -p MainPID --value kube-proxy").stdout
    shells["w1"].run("echo '# by hand' >> /etc/kubernetes/kube-proxy.yaml")
    mended = tools.playbook(LAB, "--diff", "--tags", "kubelet,kube_proxy")
    assert mended.code == 0, mended.output[-4000:]
    assert "-# by hand" in mended.output
    assert mended.changed["w2"] == 0
    assert mended.changed["w1"] > 0
    assert shells["w1"].run("systemctl show -p MainPID --value kube-proxy").stdout != before
    assert "by hand" not in shells["w1"].run("cat /etc/kubernetes/kube-proxy.yaml").stdout


def test_a_change_placed_by_an_interrupted_run_is_taken_up_by_the_next(cluster, shells):
    started = "systemctl show -p ExecMainStartTimestampMonotonic --value kube-scheduler"
    before = int(shells["cp1"].run(started).stdout)
    shells["cp1"].run("echo '# by hand' >> /etc/kubernetes/scheduler.yaml")
    placed = tools.run(
        "ansible", "-i", tools.inventory(LAB), "cp1", "-m", "pyk8s.node.place", "-a", "component=kube-scheduler"
    )  # what the run did before it was interrupted: no handler followed
    assert placed.code == 0, placed.output
    assert int(shells["cp1"].run(started).stdout) == before
    after = tools.playbook(LAB, "--tags", "kube_scheduler")
    assert after.code == 0, after.output[-4000:]
    assert int(shells["cp1"].run(started).stdout) > before


def test_a_diff_never_shows_a_secret(cluster, shells):
    shells["cp1"].run("echo spoiled > /etc/kubernetes/scheduler.kubeconfig")
    mended = tools.playbook(LAB, "--diff", "--tags", "kube_scheduler")
    assert mended.code == 0, mended.output[-4000:]
    assert "(secret" in mended.output
    assert "client-key-data" not in mended.output
