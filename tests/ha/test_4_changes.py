"""A change goes to one machine after the other: the API stays, and what fails, or would cost the majority, stops."""

import contextlib
import ssl
import time

from kubernetes import client, config

from pyk8s.health.facts import admin_kubeconfig
from pyk8s.verify.faults.probes import Api, Probe, Reader, Writer, track
from pyk8s.verify.faults.stage import READ_BOUND, WRITE_BOUND
from tests import tools
from tests.ha.conftest import LAB

PLACED = {
    "etcd": "/etc/etcd/etcd.yaml",
    "haproxy": "/etc/haproxy/haproxy.cfg",
    "keepalived": "/etc/keepalived/keepalived.conf",
    "kube-apiserver": "/etc/systemd/system/kube-apiserver.service",
    "kube-controller-manager": "/etc/systemd/system/kube-controller-manager.service",
    "kube-scheduler": "/etc/systemd/system/kube-scheduler.service",
}
PLANES = ("cp1", "cp2", "cp3")
NAMESPACE = "/api/v1/namespaces/default"


def tags(units):
    """Return the tags of the roles of units."""
    return "--tags", ",".join(unit.replace("-", "_") for unit in units)


def starts(shells, units):
    """Return when each unit was last started on each control plane."""
    show = "systemctl show -p ExecMainStartTimestampMonotonic --value"
    return {(name, unit): shells[name].run(f"{show} {unit}").stdout for name in PLANES for unit in units}


def edit_by_hand(shells, *units, on=PLANES):
    """Change what was placed for units, so that they are due for a restart once it is placed again."""
    for name in on:
        shells[name].run("\n".join(f"echo '# by hand' >> {PLACED[unit]}" for unit in units))


@contextlib.contextmanager
def probing(cluster):
    """Read and write through api_endpoint every 100 ms; yields both probes and the writer."""
    ours = client.Configuration()
    config.load_kube_config(str(admin_kubeconfig(cluster)), client_configuration=ours)
    trust = ssl.create_default_context(cafile=ours.ssl_ca_cert)
    trust.load_cert_chain(ours.cert_file, ours.key_file)
    writer = Writer(Api(cluster.api_url, trust), f"{NAMESPACE}/configmaps", f"changes-{time.time_ns()}")
    probes = [Probe("read", Reader(Api(cluster.api_url, trust), NAMESPACE)), Probe("write", writer)]
    for probe in probes:
        probe.start()
    try:
        yield probes, writer
    finally:
        for probe in probes:
            probe.stop()


def taken_away(cluster, writer):
    """Return what was written and is there, and delete it."""
    api = client.CoreV1Api(config.new_client_from_config(str(admin_kubeconfig(cluster))))
    pages = {page for page, _ in writer.acknowledged}
    found = [one for one in api.list_namespaced_config_map("default").items if one.metadata.name in pages]
    for one in found:
        api.delete_namespaced_config_map(one.metadata.name, "default")
    return {(one.metadata.name, key) for one in found for key in one.data or ()}


def test_a_change_to_every_part_of_all_control_planes_never_takes_the_api_away(cluster, shells):
    before = starts(shells, PLACED)
    edit_by_hand(shells, *PLACED)
    began = time.monotonic()
    with probing(cluster) as (probes, writer):
        ended = tools.playbook(LAB, *tags(PLACED))
        until = time.monotonic()
    assert ended.code == 0, ended.output[-4000:]
    assert "was not restarted" not in ended.output
    after = starts(shells, PLACED)
    assert {which for which, when in after.items() if when == before[which]} == set()
    gone = {one.name: track(one.name, one.samples, began, until, began).longest for one in probes}
    print(f"no read for {gone['read']:.1f} s, no write for {gone['write']:.1f} s in {ended.seconds:.0f} s")
    assert gone["read"] <= READ_BOUND
    assert gone["write"] <= WRITE_BOUND
    assert writer.acknowledged
    assert set(writer.acknowledged) <= taken_away(cluster, writer)


def test_a_restart_that_fails_leaves_the_other_machines_as_they_are(cluster, shells):
    unit, folder = "kube-scheduler", "/run/systemd/system/kube-scheduler.service.d"
    before = starts(shells, [unit])
    broken = f"mkdir -p {folder} && printf '[Service]\\nExecStartPre=/bin/false\\n' > {folder}/broken.conf"
    shells["cp1"].run(f"{broken} && systemctl daemon-reload")
    try:
        edit_by_hand(shells, unit)
        failed = tools.playbook(LAB, *tags([unit]))
    finally:
        shells["cp1"].run(f"rm {folder}/broken.conf && systemctl daemon-reload")
    assert failed.code == 2, failed.output[-4000:]
    assert "kube-scheduler was not restarted here: on cp1 it did not come back" in " ".join(failed.output.split())
    after = starts(shells, [unit])
    assert [after[name, unit] == before[name, unit] for name in ("cp2", "cp3")] == [True, True]
    mended = tools.playbook(LAB, *tags([unit]))
    assert mended.code == 0, mended.output[-4000:]
    now = starts(shells, [unit])
    assert [which for which, when in now.items() if when == before[which]] == []
    assert set(tools.playbook(LAB, *tags([unit])).changed.values()) == {0}


def test_a_change_to_etcd_waits_for_the_member_that_is_down_and_is_taken_up_later(cluster, shells, injector):
    before = starts(shells, ["etcd"])
    fault = injector.hold(cluster.node("cp3"), "etcd")
    try:
        edit_by_hand(shells, "etcd", on=("cp1",))
        spared = tools.playbook(LAB, *tags(["etcd"]), "--limit", "cp1,cp2")
    finally:
        injector.undo(fault)
    assert spared.code == 0, spared.output[-4000:]
    assert "etcd was not restarted" in spared.output
    assert starts(shells, ["etcd"])["cp1", "etcd"] == before["cp1", "etcd"]
    later = tools.playbook(LAB, *tags(["etcd"]))
    assert later.code == 0, later.output[-4000:]
    after = starts(shells, ["etcd"])
    assert after["cp1", "etcd"] != before["cp1", "etcd"]
    assert after["cp2", "etcd"] == before["cp2", "etcd"]
