"""What a version of Kubernetes lacks or wants: flags of units and fields of configuration files, by minor.

Sources: the release notes of each minor (https://github.com/kubernetes/kubernetes/tree/master/CHANGELOG) and the
``--help`` of the binaries themselves, whose flags stand in ``flags/<minor>.txt`` for the minors that were at hand.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

FLAGS = Path(__file__).parent / "flags"
EVERY = ("kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubelet")
NEVER = 10**6


@dataclasses.dataclass(frozen=True)
class Span:
    """The minors that have something: from ``since`` up to, and without, ``gone``."""

    since: int = 0
    gone: int = NEVER

    def __contains__(self, minor: object) -> bool:
        return isinstance(minor, int) and self.since <= minor < self.gone


def _flags(span: Span, binaries: tuple[str, ...], *names: str) -> dict[tuple[str, str], Span]:
    return {(binary, name): span for binary in binaries for name in names}


KLOG = (
    *("add-dir-header", "alsologtostderr", "log-backtrace-at", "log-dir", "log-file", "log-file-max-size"),
    *("logtostderr", "one-output", "skip-headers", "skip-log-headers", "stderrthreshold"),
)
CONTROLLERS = ("kube-controller-manager", "kube-scheduler")
DOCKERSHIM = (
    *("network-plugin", "network-plugin-mtu", "cni-bin-dir", "cni-cache-dir", "cni-conf-dir", "docker-endpoint"),
    "image-pull-progress-deadline",
)
FLAG_SPANS: dict[tuple[str, str], Span] = {
    **_flags(Span(gone=23), ("kube-scheduler",), "policy-config-file", "policy-configmap", "use-legacy-policy-config"),
    **_flags(Span(gone=24), ("kubelet",), *DOCKERSHIM),
    **_flags(Span(gone=24), ("kube-apiserver",), "insecure-port", "insecure-bind-address", "port", "address"),
    **_flags(Span(gone=24), CONTROLLERS, "port", "address"),
    **_flags(Span(gone=26), EVERY, *KLOG),
    **_flags(Span(gone=27), ("kubelet",), "container-runtime"),
    **_flags(Span(gone=27), ("kube-controller-manager",), "pod-eviction-timeout", "enable-taint-manager"),
    **_flags(Span(gone=35), ("kubelet",), "pod-infra-container-image"),
    **_flags(Span(since=29), ("kube-apiserver",), "authentication-config", "authorization-config"),
}
"""Which minors have a flag. What does not stand here is not judged (but see the recorded ``flags/``)."""

FIELD_SPANS: dict[tuple[str, str], Span] = {
    ("KubeletConfiguration", "containerRuntimeEndpoint"): Span(since=27),
    ("KubeletConfiguration", "dynamicConfigDir"): Span(gone=24),
    ("KubeletConfiguration", "failCgroupV1"): Span(since=31),
    ("KubeletConfiguration", "imageServiceEndpoint"): Span(since=27),
    ("KubeletConfiguration", "registerWithTaints"): Span(since=23),
    ("KubeletConfiguration", "seccompDefault"): Span(since=25),
    ("KubeProxyConfiguration", "nftables"): Span(since=31),
}
"""Which minors have a top-level field of a configuration file, without a feature gate to be set."""

API_SPANS: dict[str, Span] = {
    "admissionregistration.k8s.io/v1beta1": Span(gone=22),
    "apiextensions.k8s.io/v1beta1": Span(gone=22),
    "batch/v1beta1": Span(gone=25),
    "certificates.k8s.io/v1beta1": Span(gone=22),
    "discovery.k8s.io/v1": Span(since=21),
    "discovery.k8s.io/v1beta1": Span(gone=25),
    "extensions/v1beta1": Span(gone=22),
    "kubescheduler.config.k8s.io/v1": Span(since=25),
    "kubescheduler.config.k8s.io/v1beta1": Span(gone=23),
    "kubescheduler.config.k8s.io/v1beta2": Span(since=22, gone=28),
    "kubescheduler.config.k8s.io/v1beta3": Span(since=23, gone=29),
    "networking.k8s.io/v1beta1": Span(gone=22),
    "policy/v1": Span(since=21),
    "policy/v1beta1": Span(gone=25),
    "rbac.authorization.k8s.io/v1beta1": Span(gone=22),
}
"""Which minors serve or read an API version."""

VALUE_SPANS: dict[tuple[str, str, str], Span] = {
    ("KubeProxyConfiguration", "mode", "nftables"): Span(since=31),
    ("KubeProxyConfiguration", "mode", "ipvs"): Span(gone=35),
}
"""Which minors have a value without a gate or a warning of deprecation."""

WORD_SPANS: dict[str, Span] = {
    "node-role.kubernetes.io/master": Span(gone=24),
    "dockershim": Span(gone=24),
    "scheduler.alpha.kubernetes.io/critical-pod": Span(gone=16),
}
"""Words that must not stand anywhere in what is rendered."""

WANTED_FLAGS: dict[tuple[str, str], Span] = {
    ("kubelet", "container-runtime=remote"): Span(gone=27),
    ("kubelet", "container-runtime-endpoint=unix:///run/containerd/containerd.sock"): Span(gone=27),
    ("kubelet", "network-plugin=cni"): Span(gone=24),
    ("kube-controller-manager", "port=0"): Span(gone=24),
    ("kube-scheduler", "port=0"): Span(gone=24),
    **_flags(Span(), ("kube-apiserver",), "anonymous-auth=false", "authorization-mode=Node,RBAC", "profiling=false"),
    **_flags(Span(), ("kube-apiserver",), "service-account-issuer=", "service-account-key-file="),
    **_flags(Span(), ("kube-apiserver",), "service-account-signing-key-file=", "advertise-address="),
    ("kube-controller-manager", "profiling=false"): Span(),
}
"""Flags that a minor cannot do without, or that keep it secure; a value may follow what ends in ``=``."""

WANTED_FIELDS: dict[tuple[str, str], Span] = {
    ("KubeletConfiguration", "containerRuntimeEndpoint"): Span(since=27),
    ("KubeletConfiguration", "failCgroupV1"): Span(since=35),
    ("KubeletConfiguration", "seccompDefault"): Span(since=27),
}
"""Fields that a minor cannot do without, or that keep it secure."""


def flags_of(unit: str) -> tuple[str, list[str]]:
    """Return the binary that a systemd unit runs, and its flags as ``name=value`` without hyphens."""
    found = re.search(r"^ExecStart=(\S+)((?:.*\\\n)*.*)$", unit, re.MULTILINE)
    if not found:
        return "", []
    words = found[2].replace("\\\n", " ").split()
    return Path(found[1]).name, [word.removeprefix("--") for word in words if word.startswith("--")]


def documents_of(path: str, text: str) -> Iterator[dict[str, Any]]:
    """Yield the typed documents of a YAML file."""
    if path.endswith(".yaml"):
        loaded = yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        yield from (document for document in loaded if isinstance(document, dict) and "kind" in document)


def lacking(minor: int, texts: Mapping[str, str]) -> list[str]:
    """Return what is rendered and this minor lacks, one sentence for each."""
    found = []
    for path, text in texts.items():
        binary, flags = flags_of(text) if path.endswith(".service") else ("", [])
        names = (flag.partition("=")[0] for flag in flags)
        found += [f"{path}: --{n}" for n in names if minor not in FLAG_SPANS.get((binary, n), Span())]
        found += [f"{path}: {word}" for word, span in WORD_SPANS.items() if word in text and minor not in span]
        for document in documents_of(path, text):
            kind, version = document["kind"], document["apiVersion"]
            found += [f"{path}: {f}" for f in document if minor not in FIELD_SPANS.get((kind, f), Span())]
            found += [
                f"{path}: {field}: {value}"
                for field, value in document.items()
                if minor not in VALUE_SPANS.get((kind, field, str(value)), Span())
            ]
            found += [f"{path}: {version}"] if minor not in API_SPANS.get(version, Span()) else []
    return [f"1.{minor} lacks {sentence}" for sentence in found]


def missing(minor: int, texts: Mapping[str, str]) -> list[str]:
    """Return what this minor wants and no rendered file of its component has."""
    flags: dict[str, list[str]] = {}
    fields: dict[str, set[str]] = {}
    for path, text in texts.items():
        if path.endswith(".service"):
            binary, given = flags_of(text)
            flags[binary] = given
        for document in documents_of(path, text):
            fields.setdefault(document["kind"], set()).update(document)
    found = [
        f"{binary}: --{wanted}"
        for (binary, wanted), span in WANTED_FLAGS.items()
        if minor in span and binary in flags and not any(_is(given, wanted) for given in flags[binary])
    ]
    found += [
        f"{kind}: {field}"
        for (kind, field), span in WANTED_FIELDS.items()
        if minor in span and kind in fields and field not in fields[kind]
    ]
    return [f"1.{minor} wants {sentence}" for sentence in found]


def _is(given: str, wanted: str) -> bool:
    return given.startswith(wanted) if wanted.endswith("=") else given == wanted


def flags_in_help(text: str) -> dict[str, bool]:
    """Return the flags that a binary's ``--help`` lists, and whether each is called deprecated."""
    lines = re.findall(r"^\s+(?:-\w, )?--([\w-]+)(.*)$", text, re.MULTILINE)
    return {name: "DEPRECATED" in rest for name, rest in lines}


def recorded(minor: int) -> dict[str, dict[str, bool]]:
    """Return the recorded flags of a minor's binaries: binary, flag, whether it is deprecated."""
    known: dict[str, dict[str, bool]] = {}
    for line in (FLAGS / f"{minor}.txt").read_text("utf-8").splitlines():
        binary, name, *deprecated = line.split()
        known.setdefault(binary, {})[name] = bool(deprecated)
    return known
