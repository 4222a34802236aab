"""What is shipped to nodes, the kubeconfigs, and the command."""

import base64
import ssl

import pytest
import yaml
from typer.testing import CliRunner

from pyk8s import paths
from pyk8s.cluster.config import ClusterConfig
from pyk8s.cluster.model import Cluster, Node, SshTarget
from pyk8s.errors import Pyk8sError
from pyk8s.pki import COMPONENTS, cli, ensure, files_for, write_admin_kubeconfig
from pyk8s.pki.node_files import NOT_YET_ISSUED


def node(name: str, last: int, *groups: str) -> Node:
    return Node(name, f"192.0.2.{last}", frozenset(groups), SshTarget(f"192.0.2.{last}"))


CP, ETCD, WORKER = node("cp1", 11, "control_plane", "etcd"), node("e1", 12, "etcd"), node("w1", 13, "workers")
CLUSTER = Cluster(ClusterConfig(kubernetes_version="1.36.2", cluster_name="t"), (CP, ETCD, WORKER))
K = "/etc/kubernetes"


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    folder = tmp_path_factory.mktemp("t") / "pki"
    ensure(CLUSTER, folder)
    return folder


def placed(pki, component, on=CP, cluster=CLUSTER):
    return files_for(cluster, component, on, pki)


def pairs(folder, *names):
    return {f"{folder}/{name}.{ending}" for name in names for ending in ("crt", "key")}


def test_etcd_gets_its_authority_and_three_certificates_of_its_own(pki):
    files = placed(pki, "etcd", ETCD)
    assert set(files) == {"/etc/etcd/pki/ca.crt"} | pairs("/etc/etcd/pki", "server", "peer", "health")
    assert files["/etc/etcd/pki/ca.crt"].content == (pki / "etcd-ca.crt").read_bytes()
    assert {(f.mode, f.owner, f.group, f.secret) for f in files.values()} == {
        ("0600", "etcd", "etcd", True),
        ("0644", "root", "root", False),
    }


def test_each_component_gets_what_it_needs_and_no_more(pki):
    shared = {f"{K}/pki/ca.crt"}
    apiserver = ("apiserver", "apiserver-kubelet-client", "apiserver-etcd-client", "front-proxy-client", "health")
    signers = {f"{K}/pki/{name}" for name in ("etcd-ca.crt", "front-proxy-ca.crt", "sa.pub", "sa.key")}
    manager = {f"{K}/pki/{name}" for name in ("ca.key", "sa.key", "front-proxy-ca.crt")}
    health = {"/etc/haproxy/pki/health.pem"}
    etcd = {"/etc/haproxy/pki/etcd.pem", f"{K}/pki/etcd-ca.crt"}
    assert set(placed(pki, "kube_apiserver")) == shared | pairs(f"{K}/pki", *apiserver) | signers | {
        f"{K}/encryption.yaml"
    }
    assert set(placed(pki, "kube_controller_manager")) == shared | manager | {f"{K}/controller-manager.kubeconfig"}
    assert set(placed(pki, "kube_scheduler")) == {f"{K}/scheduler.kubeconfig"}
    assert set(placed(pki, "kubelet")) == shared | pairs(f"{K}/pki", "kubelet") | {f"{K}/kubelet.kubeconfig"}
    assert set(placed(pki, "kube_proxy")) == {f"{K}/kube-proxy.kubeconfig"}
    assert set(placed(pki, "haproxy")) == shared | pairs(f"{K}/pki", "health") | health | etcd
    assert set(placed(pki, "haproxy", WORKER)) == shared | pairs(f"{K}/pki", "health") | health
    assert placed(pki, "containerd") == {}


def test_the_authorities_go_to_control_planes_only(pki):
    files = placed(pki, "pki_authorities")
    assert set(files) == pairs(f"{K}/pki", "ca", "etcd-ca", "front-proxy-ca") | {
        f"{K}/pki/sa.key",
        f"{K}/pki/sa.pub",
        f"{K}/pki/encryption.key",
    }
    for other in (ETCD, WORKER):
        with pytest.raises(Pyk8sError, match="does not run there"):
            placed(pki, "pki_authorities", other)


def test_no_authority_key_reaches_a_worker_or_an_etcd_machine(pki):
    secrets = [path.read_bytes() for path in pki.glob("*.key")]
    for on, components in ((WORKER, ("haproxy", "kube-proxy", "kubelet")), (ETCD, ("etcd",))):
        for component in components:
            assert not [path for path, file in placed(pki, component, on).items() if file.content in secrets]


def test_two_components_with_one_path_agree_about_the_file(pki):
    seen = {}
    for component in COMPONENTS:
        for path, file in placed(pki, component).items():
            assert seen.setdefault(path, file) == file, path


@pytest.mark.parametrize("component", COMPONENTS)
def test_only_certificates_and_public_keys_may_be_read_by_all(pki, component):
    for path, file in placed(pki, component).items():
        public = path.endswith((".crt", ".pub"))
        assert (file.mode, file.secret) == (("0644", False) if public else ("0600", True)), path
        assert (b"PRIVATE KEY" in file.content) <= file.secret


def test_the_content_of_a_file_does_not_show_in_a_traceback_or_log(pki):
    assert "PRIVATE" not in repr(placed(pki, "haproxy"))


def test_every_pair_on_a_node_loads_as_a_server_or_client_would_load_it(pki, tmp_path):
    for component in COMPONENTS:
        files = placed(pki, component)
        for path in (path for path in files if path.endswith(".crt") and path[:-3] + "key" in files):
            (tmp_path / "c").write_bytes(files[path].content)
            (tmp_path / "k").write_bytes(files[path[:-3] + "key"].content)
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tmp_path / "c", tmp_path / "k")
    (tmp_path / "pem").write_bytes(placed(pki, "haproxy")["/etc/haproxy/pki/health.pem"].content)
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(tmp_path / "pem")


def test_secrets_are_encrypted_with_secretbox_and_older_plain_ones_stay_readable(pki):
    document = yaml.safe_load(placed(pki, "kube-apiserver")[f"{K}/encryption.yaml"].content)
    assert (document["apiVersion"], document["kind"]) == ("apiserver.config.k8s.io/v1", "EncryptionConfiguration")
    (rule,) = document["resources"]
    assert rule["resources"] == ["secrets"]
    first, second = rule["providers"]
    (key,) = first["secretbox"]["keys"]
    assert key["name"] == "key1"
    assert len(base64.b64decode(key["secret"], validate=True)) == 32
    assert second == {"identity": {}}


def test_without_encryption_there_is_no_configuration_of_it(pki):
    plain = Cluster(CLUSTER.config.model_copy(update={"secrets_encryption": "none"}), CLUSTER.nodes)
    assert f"{K}/encryption.yaml" not in placed(pki, "kube-apiserver", cluster=plain)


@pytest.mark.parametrize(
    ("component", "name", "leaf", "user"),
    [
        ("kube-controller-manager", "controller-manager", "controller-manager", "system:kube-controller-manager"),
        ("kube-scheduler", "scheduler", "scheduler", "system:kube-scheduler"),
        ("kubelet", "kubelet", "kubelet-client", "system:node:cp1"),
        ("kube-proxy", "kube-proxy", "kube-proxy", "system:kube-proxy"),
    ],
)
def test_kubeconfigs_on_a_node_go_through_its_own_load_balancer(pki, component, name, leaf, user):
    document = yaml.safe_load(placed(pki, component)[f"{K}/{name}.kubeconfig"].content)
    assert document["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:7443"
    assert document["users"][0]["name"] == user
    key = base64.b64decode(document["users"][0]["user"]["client-key-data"])
    assert key == (pki / f"nodes/cp1/{leaf}.key").read_bytes()
    assert document["current-context"] == document["contexts"][0]["name"]


def test_a_preview_on_a_clean_controller_shows_every_path_and_makes_nothing(tmp_path, pki):
    for component in COMPONENTS:
        preview = files_for(CLUSTER, component, CP, tmp_path / "none", preview=True)
        real = placed(pki, component)
        assert {p: (f.mode, f.owner) for p, f in preview.items()} == {p: (f.mode, f.owner) for p, f in real.items()}
    assert not (tmp_path / "none").exists()


def test_a_preview_shows_what_is_due_as_changed_and_the_rest_as_it_is(pki):
    moved = Cluster(CLUSTER.config.model_copy(update={"api_endpoint": "api.example.org"}), CLUSTER.nodes)
    preview, real = files_for(moved, "kube-apiserver", CP, pki, preview=True), placed(pki, "kube-apiserver")
    changed = {path for path in real if preview[path] != real[path]}
    assert changed == pairs(f"{K}/pki", "apiserver")
    assert preview[f"{K}/pki/apiserver.crt"].content == NOT_YET_ISSUED


def test_a_certificate_that_was_not_issued_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(Pyk8sError, match=r"etcd-ca\.crt is missing") as caught:
        files_for(CLUSTER, "etcd", CP, tmp_path / "none")
    assert "site.yml" in caught.value.hint


def test_administrators_get_kubeconfigs_that_reach_the_api_from_outside(tmp_path):
    folder = tmp_path / "pki"
    ensure(CLUSTER, folder)
    written = write_admin_kubeconfig(CLUSTER, folder)
    assert [path.name for path in written] == ["admin.kubeconfig", "super-admin.kubeconfig"]
    for path, name in zip(written, ("admin", "super-admin"), strict=True):
        document = yaml.safe_load(path.read_text())
        assert path.stat().st_mode & 0o777 == 0o600
        assert document["clusters"][0] == {
            "name": "t",
            "cluster": {
                "certificate-authority-data": base64.b64encode((folder / "ca.crt").read_bytes()).decode(),
                "server": "https://192.0.2.11:6443",
            },
        }
        client = base64.b64decode(document["users"][0]["user"]["client-certificate-data"])
        assert client == (folder / f"{name}.crt").read_bytes()
    assert write_admin_kubeconfig(CLUSTER, folder) == ()
    written[0].chmod(0o644)
    assert write_admin_kubeconfig(CLUSTER, folder) == (written[0],)


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Run ``pyk8s pki`` with the cluster ``t`` as inventory, below a root of its own."""
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setattr("pyk8s.cluster.inventory.load", lambda path: CLUSTER)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(cli.console, "_width", 200)

    def run(*arguments):
        return CliRunner().invoke(cli.app, list(arguments))

    return run


def test_the_list_shows_every_certificate_with_its_days(command):
    ensure(CLUSTER)
    for arguments in (["list"], ["list", "--name", "t"], ["list", "--all"]):
        result = command(*arguments)
        assert result.exit_code == 0, result.exception
        assert "Certificates of t" in result.output
        assert "CN=system:node:w1,O=system:nodes" in result.output
        assert "364" in result.output


def test_renewing_says_what_was_issued_and_what_to_do_next(command, tmp_path):
    ensure(CLUSTER)
    result = command("renew", "--leaf", "health", "--node", "w1")
    assert result.exit_code == 0, result.exception
    assert "w1/health: renewed" in result.output
    assert "1 issued" in result.output
    assert "ansible-playbook site.yml" in result.output
    assert (tmp_path / "clusters/t/admin.kubeconfig").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["renew"], "not clear what to renew"),
        (["renew", "--all", "--leaf", "admin"], "not clear what to renew"),
        (["renew", "--all", "--name", "other"], "not that of cluster other"),
        (["list", "--name", "other"], "no certificates"),
        (["list", "--all"], "no cluster"),
    ],
)
def test_a_command_that_cannot_be_followed_is_refused(command, arguments, said):
    result = command(*arguments)
    assert isinstance(result.exception, Pyk8sError)
    assert said in str(result.exception)
