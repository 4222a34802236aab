"""Renders ``templates/<component>/``, which mirrors a node's root, for one node of a cluster."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import yaml

from pyk8s import paths
from pyk8s.artifacts.catalog import load_catalog
from pyk8s.cluster.model import Cluster, Node
from pyk8s.errors import Pyk8sError

UNKNOWN_MACHINE = {"resolv_conf": "/etc/resolv.conf", "name_servers": ["192.0.2.53"]}
"""What templates take a machine for that was not probed."""
SETTINGS = "tree.yml"
"""Beside the tree: owners and modes that are not the default, and directories the component needs."""


@dataclasses.dataclass(frozen=True)
class Owned:
    """Who owns a path on a node, and its mode in octal."""

    owner: str = "root"
    group: str = "root"
    mode: str = "0600"


@dataclasses.dataclass(frozen=True)
class RenderedFile:
    """A file as it shall stand on the node; a secret one is never shown in a diff."""

    path: str
    content: bytes
    owned: Owned = Owned()
    secret: bool = False


@dataclasses.dataclass(frozen=True)
class Tree:
    """All that a component places on one node."""

    files: tuple[RenderedFile, ...]
    directories: Mapping[str, Owned]


@cache
def environment() -> jinja2.Environment:
    """Return the Jinja environment of all templates: undefined names are errors, blocks leave no blank lines."""
    loader = jinja2.FileSystemLoader(paths.TEMPLATES)
    made = jinja2.Environment(
        loader=loader,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["to_yaml"] = lambda value: yaml.safe_dump(value, sort_keys=True, default_flow_style=False)
    return made


def render(component: str, cluster: Cluster, node: Node, variables: Mapping[str, Any]) -> Tree:
    """Render a component's tree; a template that renders to nothing places no file, and no directory where all do.

    Raises Pyk8sError when the component has no templates, or a template uses what is not defined.
    """
    root = paths.TEMPLATES / component
    if not root.is_dir():
        raise Pyk8sError(f"no templates for {component}", f"{root} is not a folder")
    settings = _settings(root)
    context = {**_common(cluster), **variables, "node": node}
    files = []
    sources = sorted(path for path in root.rglob("*") if path.is_file() and path != root / SETTINGS)
    for source in sources:
        text = _text(source, context)
        path = "/" + source.relative_to(root).as_posix().removesuffix(".j2")
        if text.strip():
            files.append(RenderedFile(path, text.encode(), Owned(**settings.get("files", {}).get(path, {}))))
    needed = settings.get("directories", {}) if files or not sources else {}
    directories = {path: Owned(**{"mode": "0755", **owned}) for path, owned in needed.items()}
    return Tree(tuple(files), directories)


def manifests(component: str, cluster: Cluster, variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Render a component's Kubernetes manifests (``templates/<component>/*.yaml.j2``) into documents, in file order."""
    context = {**_common(cluster), **variables}
    sources = sorted((paths.TEMPLATES / component).glob("*.yaml.j2"))
    texts = (_text(source, context) for source in sources)
    return [document for text in texts for document in yaml.safe_load_all(text) if document]


def _common(cluster: Cluster) -> dict[str, Any]:
    """What every template knows: the cluster, its keys, and the images of the catalog that go with its version."""
    images = load_catalog().release(cluster.config.kubernetes_version)
    policy = cluster.config.audit
    text = "" if policy in {"metadata", "none"} else Path(policy).read_text(encoding="utf-8")
    known = {"cluster": cluster, "config": cluster.config, "images": images, "audit_policy": text}
    return {"machine": UNKNOWN_MACHINE, **known}


def _settings(root: Path) -> dict[str, dict[str, dict[str, str]]]:
    path = root / SETTINGS
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}


def _text(source: Path, context: Mapping[str, Any]) -> str:
    name = source.relative_to(paths.TEMPLATES).as_posix()
    if source.suffix != ".j2":
        return source.read_text(encoding="utf-8")
    try:
        return environment().get_template(name).render(context)
    except jinja2.TemplateError as error:
        raise Pyk8sError(f"the template templates/{name} cannot be rendered", str(error)) from error
