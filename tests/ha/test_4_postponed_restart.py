"""A restart that would take etcd's majority away waits for the member that is down."""

from tests import tools
from tests.ha.conftest import LAB


def test_a_change_to_etcd_waits_for_the_member_that_is_down_and_is_taken_up_later(cluster, shells, injector):
    started = "systemctl show -p ExecMainStartTimestampMonotonic --value etcd"
    before = {name: shells[name].run(started).stdout for name in ("cp1", "cp2", "cp3")}
    fault = injector.hold(cluster.node("cp3"), "etcd")
    try:
        shells["cp1"].run("echo '# by hand' >> /etc/etcd/etcd.yaml")
        spared = tools.playbook(LAB, "--tags", "etcd", "--limit", "cp1,cp2")
    finally:
        injector.undo(fault)
    assert spared.code == 0, spared.output[-4000:]
    assert "etcd was not restarted" in spared.output
    assert shells["cp1"].run(started).stdout == before["cp1"]
    after = tools.playbook(LAB, "--tags", "etcd")
    assert after.code == 0, after.output[-4000:]
    assert shells["cp1"].run(started).stdout != before["cp1"]
    assert shells["cp2"].run(started).stdout == before["cp2"]
