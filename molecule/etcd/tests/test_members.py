"""Three etcd members are one cluster."""

import json

ETCDCTL = (
    "ETCDCTL_API=3 /usr/local/bin/etcdctl --cacert /etc/etcd/pki/ca.crt"
    " --cert /etc/etcd/pki/health.crt --key /etc/etcd/pki/health.key --write-out json"
)


def status(host):
    return json.loads(host.check_output(f"{ETCDCTL} endpoint status --cluster"))


def test_every_member_knows_three(host):
    assert len(json.loads(host.check_output(f"{ETCDCTL} member list"))["members"]) == 3


def test_all_members_see_one_leader(host):
    assert len({member["Status"]["leader"] for member in status(host)}) == 1


def test_all_members_hold_the_same_version_and_no_alarm(host):
    assert len({member["Status"]["version"] for member in status(host)}) == 1
    assert "alarms" not in json.loads(host.check_output(f"{ETCDCTL} alarm list"))


def test_a_value_written_through_one_member_is_read_through_every_other(host):
    name = host.check_output("hostname")
    host.check_output(f"{ETCDCTL} put /molecule/{name} written")
    for member in status(host):
        found = json.loads(host.check_output(f"{ETCDCTL} --endpoints {member['Endpoint']} get /molecule/{name}"))
        assert found["count"] == 1


def test_a_caller_without_certificate_is_refused(host):
    assert host.run("curl -sSk https://127.0.0.1:2379/health").rc != 0
