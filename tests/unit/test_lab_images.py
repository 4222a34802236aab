"""Images from folders, and the registry's HTTP API."""

import gzip
import io
import json
import tarfile

import httpx
import pytest

from pyk8s.errors import Pyk8sError
from pyk8s.lab import debian, images, oci


class FakeRegistry:
    """As much of the registry's API as a push needs."""

    def __init__(self, status=201):
        self.blobs, self.manifests, self.requests, self.status = {}, {}, [], status

    def __call__(self, request):
        path = request.url.path
        self.requests.append(request.method)
        if request.method == "HEAD":
            known = self.manifests if "/manifests/" in path else self.blobs
            key = path if "/manifests/" in path else path.rpartition("/")[2]
            headers = {"Docker-Content-Digest": oci.digest(known[key])} if key in known else {}
            return httpx.Response(200 if key in known else 404, headers=headers)
        if request.method == "POST":
            return httpx.Response(202, headers={"Location": "/v2/library/x/blobs/uploads/1?state=s"})
        if "/manifests/" in path:
            self.manifests[path] = request.content
        else:
            assert request.url.params["state"] == "s"
            self.blobs[request.url.params["digest"]] = request.content
        return httpx.Response(self.status, text="full")


@pytest.fixture
def image(tmp_path):
    tree, folder = tmp_path / "tree", tmp_path / "image"
    (tree / "bin").mkdir(parents=True)
    folder.mkdir()
    (tree / "bin/pause").write_text("#!/bin/sh\n")
    (tree / "bin/pause").chmod(0o755)
    (tree / "sh").symlink_to("bin/pause")
    oci.write_image(folder, [oci.write_layer(tree, folder)], "amd64", {"Entrypoint": ["/bin/pause"]})
    return folder


def push(folder, registry, tags=("latest", "1.0")):
    with httpx.Client(transport=httpx.MockTransport(registry)) as client:
        return oci.push(folder, "http://registry:5000", "library/x", list(tags), client)


def test_the_same_tree_gives_the_same_digest(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/file").write_text("x")
    first = oci.write_layer(tmp_path / "a", tmp_path)
    (tmp_path / "a/file").touch()
    assert oci.write_layer(tmp_path / "a", tmp_path) == first


def test_a_strict_umask_makes_no_image_that_only_root_can_read(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/file").write_text("x")
    first = oci.write_layer(tmp_path / "a", tmp_path)
    (tmp_path / "a/file").chmod(0o600)
    assert oci.write_layer(tmp_path / "a", tmp_path) == first


def test_a_layer_holds_files_links_and_modes_owned_by_root(image):
    manifest = json.loads((image / "manifest.json").read_text())
    packed = oci.blob_path(image, manifest["layers"][0]["digest"]).read_bytes()
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(packed))) as archive:
        entries = {entry.name: entry for entry in archive}
    assert entries["bin/pause"].mode == 0o755
    assert entries["sh"].linkname == "bin/pause"
    assert {(entry.uid, entry.gid, entry.mtime) for entry in entries.values()} == {(0, 0, 0)}


def test_a_config_names_the_entrypoint_and_the_unpacked_layers(image):
    manifest = json.loads((image / "manifest.json").read_text())
    config = json.loads(oci.blob_path(image, manifest["config"]["digest"]).read_text())
    packed = oci.blob_path(image, manifest["layers"][0]["digest"]).read_bytes()
    assert config["config"]["Entrypoint"] == ["/bin/pause"]
    assert config["rootfs"]["diff_ids"] == [oci.digest(gzip.decompress(packed))]


def test_a_push_sends_every_blob_and_every_tag(image):
    registry = FakeRegistry()
    assert push(image, registry)
    assert all(oci.digest(content) == name for name, content in registry.blobs.items())
    assert len(registry.blobs) == 2
    assert {path.rpartition("/")[2] for path in registry.manifests} == {"latest", "1.0"}


def test_a_second_push_only_asks(image):
    registry = FakeRegistry()
    push(image, registry)
    registry.requests.clear()
    assert not push(image, registry)
    assert set(registry.requests) == {"HEAD"}


def test_a_tag_of_another_image_is_pushed_anew(image):
    registry = FakeRegistry()
    registry.manifests["/v2/library/x/manifests/latest"] = b"{}"
    assert push(image, registry)
    assert registry.manifests["/v2/library/x/manifests/latest"] == (image / "manifest.json").read_bytes()


def test_a_registry_that_refuses_is_quoted(image):
    with pytest.raises(Pyk8sError, match="refused") as refused:
        push(image, FakeRegistry(status=507))
    assert "507: full" in refused.value.why


def test_a_version_gives_a_full_tag_and_a_short_one():
    assert images.version_tags("1.22.1") == ("1.22.1", "1.22")
    assert images.version_tags("7.0") == ("7.0",)


def test_images_hold_libraries_and_what_was_asked_for_and_no_tools_of_maintainers():
    wanted = ("nginx", "nginx-common")
    kept = [
        name
        for name in ("nginx", "libc6", "zlib1g", "libssl3", "libperl5.36", "libpam0g", "debconf", "libfoo-perl")
        if debian.is_content(name, wanted)
    ]
    assert kept == ["nginx", "libc6", "zlib1g", "libssl3"]


def test_a_program_without_its_loader_is_noticed_before_its_image_is_pushed(tmp_path):
    assert debian.missing_libraries(tmp_path, "usr/sbin/nginx") == ["ld-linux"]


def test_the_version_of_a_package_is_that_of_its_upstream(monkeypatch, tmp_path):
    monkeypatch.setattr(debian, "run", lambda _: "5:7.0.15-1~deb12u10\n")
    assert debian.version(tmp_path) == "7.0.15"
    monkeypatch.setattr(debian, "run", lambda _: "1.22.1-9+deb12u11\n")
    assert debian.version(tmp_path) == "1.22.1"


def test_tags_are_those_that_the_catalog_names_by_repository():
    found = images.by_repository(
        ["registry.k8s.io/pause:3.9", "registry.k8s.io/coredns/coredns:v1.12.1", "r/pause:3.10"]
    )
    assert found == {"pause": ("3.9", "3.10"), "coredns/coredns": ("v1.12.1",)}


def test_a_coredns_binary_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(Pyk8sError, match="no CoreDNS at"):
        images._coredns(tmp_path / "coredns", "amd64")


def test_a_coredns_binary_is_served_under_every_tag_of_the_catalog(tmp_path, monkeypatch):
    monkeypatch.setenv("PYK8S_CACHE", str(tmp_path / "cache"))
    (tmp_path / "binary").write_bytes(b"\x7fELF")
    built = {image.repository: image.tags for image in images._coredns(tmp_path / "binary", "amd64")}
    assert built["coredns"] == ("1.7.0",)
    assert all(tag.startswith("v1.") for tag in built["coredns/coredns"])
