"""Applying through the API: changed only when the server says so."""

import httpx
import pytest

from pyk8s.errors import Pyk8sError
from pyk8s.kubeapi import FIELD_MANAGER, KubeApi

RESOURCES = {
    "/api/v1": [
        {"name": "nodes", "kind": "Node", "namespaced": False},
        {"name": "nodes/status", "kind": "Node", "namespaced": False},
        {"name": "configmaps", "kind": "ConfigMap", "namespaced": True},
    ],
    "/apis/apps/v1": [{"name": "deployments", "kind": "Deployment", "namespaced": True}],
}
CONFIG_MAP = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "a", "namespace": "kube-system"},
    "data": {},
}
PATH = "/api/v1/namespaces/kube-system/configmaps/a"


class Server:
    """Keeps objects by path, as server-side apply does: a new resourceVersion only when something changed."""

    def __init__(self):
        self.objects = {}
        self.calls = []
        self.version = 0
        self.broken = 0

    def __call__(self, request):
        self.calls.append((request.method, request.url.path, dict(request.url.params)))
        if self.broken:
            self.broken -= 1
            raise httpx.ConnectError("refused")
        if request.url.path in RESOURCES:
            return httpx.Response(200, json={"resources": RESOURCES[request.url.path]})
        if request.method == "PATCH":
            return self.patch(request)
        found = self.objects.get(request.url.path)
        return httpx.Response(200, json=found) if found else httpx.Response(404, json={"message": "not found"})

    def patch(self, request):
        wanted = httpx.Response(200, content=request.content).json()
        if wanted.get("data") == {"bad": "yes"}:
            return httpx.Response(422, json={"message": "data.bad: Invalid value"})
        before = self.objects.get(request.url.path, {"metadata": {}})
        same = before.get("data") == wanted.get("data") and "resourceVersion" in before["metadata"]
        self.version += 0 if same else 1
        stamped = {"resourceVersion": before["metadata"]["resourceVersion"] if same else str(self.version)}
        after = {**wanted, "metadata": {**wanted["metadata"], **stamped, "managedFields": [self.version]}}
        if "dryRun" not in request.url.params:
            self.objects[request.url.path] = after
        return httpx.Response(200, json=after)


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def api(server):
    made = object.__new__(KubeApi)
    made._http = httpx.Client(transport=httpx.MockTransport(server))
    made._bases = ["https://api.test:6443"]
    made._resources = {}
    return made


def test_where_one_way_to_the_api_is_dead_the_next_is_taken_and_kept(api, server):
    asked = []

    def _half_dead(request):
        asked.append(request.url.host)
        if request.url.host == "dead.test":
            raise httpx.ConnectError("no route to host")
        return server(request)

    api._http = httpx.Client(transport=httpx.MockTransport(_half_dead))
    api._bases = ["https://dead.test:6443", "https://api.test:6443"]
    assert api.apply(CONFIG_MAP) is True
    assert asked[:2] == ["dead.test", "api.test"]
    assert asked.count("dead.test") == 1


def test_an_api_that_no_way_leads_to_is_an_error_that_names_them_all(api, monkeypatch):
    monkeypatch.setattr("pyk8s.kubeapi.RETRY_SECONDS", 0.1)

    def _dead(request):
        raise httpx.ConnectError("no route to host")

    api._http = httpx.Client(transport=httpx.MockTransport(_dead))
    api._bases = ["https://one.test:6443", "https://two.test:6443"]
    with pytest.raises(Pyk8sError, match=r"one.test:6443, https://two.test:6443 does not answer(\n|.)*no route"):
        api.get(PATH)


def test_what_is_not_there_yet_is_created_and_counts_as_changed(api, server):
    assert api.apply(CONFIG_MAP) is True
    assert server.objects[PATH]["data"] == {}


def test_applying_the_same_again_is_no_change(api):
    api.apply(CONFIG_MAP)
    assert api.apply(CONFIG_MAP) is False


def test_applying_something_else_is_a_change(api):
    api.apply(CONFIG_MAP)
    assert api.apply({**CONFIG_MAP, "data": {"a": "1"}}) is True


def test_what_others_write_meanwhile_is_no_change_of_ours(api, server):
    api.apply(CONFIG_MAP)
    patch = server.patch

    def heartbeat(request):
        server.objects[PATH] |= {"status": {"beat": 2}}
        server.objects[PATH]["metadata"]["resourceVersion"] = "99"
        return patch(request)

    server.patch = heartbeat
    assert api.apply(CONFIG_MAP) is False


def test_a_dry_run_says_what_would_change_and_changes_nothing(api, server):
    assert api.apply(CONFIG_MAP, dry_run=True) is True
    assert server.objects == {}
    api.apply(CONFIG_MAP)
    assert api.apply(CONFIG_MAP, dry_run=True) is False
    assert api.apply({**CONFIG_MAP, "data": {"a": "1"}}, dry_run=True) is True
    assert server.objects[PATH]["data"] == {}


def test_our_fields_are_owned_by_our_name_and_taken_back_from_others(api, server):
    api.apply(CONFIG_MAP)
    (_, _, options) = next(call for call in server.calls if call[0] == "PATCH")
    assert options == {"fieldManager": FIELD_MANAGER, "force": "true"}


@pytest.mark.parametrize(
    ("manifest", "path"),
    [
        ({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "w1"}}, "/api/v1/nodes/w1"),
        (CONFIG_MAP, PATH),
        (
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}},
            "/apis/apps/v1/namespaces/default/deployments/d",
        ),
    ],
)
def test_the_path_of_an_object_follows_from_its_kind_and_scope(api, manifest, path):
    assert api.path_of(manifest) == path


def test_the_server_is_asked_once_for_the_kinds_of_a_version(api, server):
    for _ in range(3):
        api.path_of(CONFIG_MAP)
    assert [path for _, path, _ in server.calls] == ["/api/v1"]


def test_a_kind_that_the_server_lacks_is_an_error_by_name(api):
    with pytest.raises(Pyk8sError, match="the server knows no Gateway in v1"):
        api.path_of({"apiVersion": "v1", "kind": "Gateway", "metadata": {"name": "x"}})


def test_a_refusal_carries_the_servers_own_words(api):
    with pytest.raises(Pyk8sError, match=r"the API refused PATCH .*configmaps/a") as error:
        api.apply({**CONFIG_MAP, "data": {"bad": "yes"}})
    assert error.value.why == "422: data.bad: Invalid value"


def test_an_object_that_is_not_there_is_none(api):
    assert api.get("/api/v1/nodes/absent") is None


def test_an_apiserver_that_restarts_is_asked_again(api, server, monkeypatch):
    monkeypatch.setattr("pyk8s.kubeapi.time.sleep", lambda seconds: None)
    server.broken = 3
    assert api.get("/api/v1/nodes/absent") is None
    assert len(server.calls) == 4


def test_an_api_that_never_answers_is_an_error_with_what_to_do(api, server, monkeypatch):
    clock = iter(range(0, 1000, 4))
    monkeypatch.setattr("pyk8s.kubeapi.time.monotonic", lambda: next(clock))
    monkeypatch.setattr("pyk8s.kubeapi.time.sleep", lambda seconds: None)
    server.broken = 100
    with pytest.raises(Pyk8sError, match="does not answer") as error:
        api.get("/api/v1/nodes")
    assert "fab health" in error.value.hint
