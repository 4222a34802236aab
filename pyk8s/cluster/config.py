"""The cluster's keys, as they stand in ``group_vars/all.yml``: typed, defaulted, refused when unknown."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

SUPPORTED_MINORS = (20, 34, 35, 36)
RESERVED_PORTS = frozenset({2378, 2379, 2380, 2381, 7443, 7444, 10248, 10249, 10250, 10256, 10257, 10259})
"""Ports of etcd, of each node's haproxy, kubelet and kube-proxy, and of controller manager and scheduler."""
DNS_LABEL = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
DNS_NAME = re.compile(r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$")


def _network(value: str) -> str:
    network = ipaddress.ip_network(value)
    if network.version != 4:
        raise ValueError(f"{value} is not an IPv4 network; IPv6 is not supported yet")
    return value


def _version(value: str) -> str:
    found = re.fullmatch(r"1\.(\d+)\.(\d+)", value)
    if not found:
        raise ValueError(f"{value!r} is not a version such as 1.36.2 (no leading v)")
    if int(found[1]) not in SUPPORTED_MINORS:
        minors = ", ".join(f"1.{minor}" for minor in SUPPORTED_MINORS)
        raise ValueError(f"{value} is not supported; supported are the releases of {minors}")
    return value


def _endpoint(value: str) -> str:
    if value and not DNS_NAME.match(value):
        raise ValueError(f"{value!r} is neither a DNS name nor an IPv4 address")
    return value


def _address(value: str) -> str:
    if value and ipaddress.ip_address(value).version != 4:
        raise ValueError(f"{value} is not an IPv4 address; IPv6 is not supported yet")
    return value


def _is_address(value: str) -> bool:
    return bool(re.fullmatch(r"[0-9.]+", value))


def _audit(value: str) -> str:
    if value not in {"metadata", "none"} and not Path(value).is_file():
        raise ValueError(
            f"{value!r} is neither 'metadata' nor 'none' nor the path of an audit policy file on the controller"
        )
    return value


Network = Annotated[str, AfterValidator(_network)]


class ClusterConfig(BaseModel):
    """What a user may say about a cluster as a whole. Addresses are IPv4, ports TCP."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    cluster_name: Annotated[str, Field(pattern=DNS_LABEL)] = "pyk8s"
    kubernetes_version: Annotated[str, AfterValidator(_version)] = "1.36.4"
    container_runtime: Literal["containerd", "crio", "docker"] = "containerd"
    kube_proxy_mode: Literal["iptables", "nftables", "ipvs"] = "iptables"
    pod_network: Literal["routes", "vxlan", "none"] = "routes"
    pod_cidr: Network = "10.244.0.0/16"
    service_cidr: Network = "10.96.0.0/16"
    cluster_domain: Annotated[str, AfterValidator(_endpoint)] = "cluster.local"
    api_endpoint: Annotated[str, AfterValidator(_endpoint)] = ""
    api_virtual_ip: Annotated[str, AfterValidator(_address)] = ""
    api_port: Annotated[int, Field(ge=1024, le=65535)] = 6443
    failure_detection: Literal["default", "fast"] = "default"
    artifact_source: Literal["auto", "upstream", "mirror", "debian"] = "auto"
    artifact_mirror: str = ""
    artifact_delivery: Literal["push", "pull"] = "push"
    image_mirror: str = ""
    secrets_encryption: Literal["secretbox", "none"] = "secretbox"
    audit: Annotated[str, AfterValidator(_audit)] = "metadata"

    @property
    def minor(self) -> int:
        """The minor of the Kubernetes version: 36 for 1.36.2."""
        return int(self.kubernetes_version.split(".")[1])

    @model_validator(mode="after")
    def _what_is_built(self) -> ClusterConfig:
        found = self.conflicts()
        if found:
            raise ValueError("; ".join(found))
        return self

    def conflicts(self) -> list[str]:
        """Return a sentence for each pair of keys that do not go together, and for what has no role yet."""
        found = []
        if self.api_port in RESERVED_PORTS:
            found.append(f"api_port {self.api_port} is the port of another component: use 6443 or another that is free")
        if self.api_virtual_ip and _is_address(self.api_endpoint) and self.api_endpoint != self.api_virtual_ip:
            found.append(
                f"api_endpoint {self.api_endpoint} is another address than api_virtual_ip {self.api_virtual_ip}: "
                "leave api_endpoint out, or give it a name that resolves to api_virtual_ip"
            )
        if self.container_runtime != "containerd":
            found.append(f"container_runtime {self.container_runtime} has no role yet: use containerd")
        if self.kube_proxy_mode == "ipvs":
            found.append(
                "kube_proxy_mode ipvs is deprecated since Kubernetes 1.35 and not built here: use nftables or iptables"
            )
        if self.kube_proxy_mode == "nftables" and self.minor < 31:
            found.append(f"kube_proxy_mode nftables needs Kubernetes 1.31, not {self.kubernetes_version}: use iptables")
        if self.artifact_source == "mirror" and not self.artifact_mirror:
            found.append(
                "artifact_source mirror needs artifact_mirror: an http address or a folder in the upstream's layout"
            )
        if self.artifact_delivery == "pull" and not self.artifact_mirror.startswith(("http://", "https://")):
            found.append("artifact_delivery pull needs artifact_mirror: an http address that the nodes reach")
        return found
