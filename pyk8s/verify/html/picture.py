"""The cluster as a picture: its API on top, control planes below it, then workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyk8s.verify.html.svg import Drawing
from pyk8s.verify.html.texts import plural, short

Node = Mapping[str, Any]

ROLES = {"control-plane", "master"}
"""Roles of a control plane; the second is what it was called up to Kubernetes 1.23."""
COLUMNS = 5
WIDTH, HEIGHT, SPACE, HEAD = 198, 98, 14, 28
API_WIDTH, API_HEIGHT, LINE = 340, 50, 24


def picture(cluster: Mapping[str, Any]) -> Drawing:
    """Draw a report's ``cluster``; nodes that are not ready are marked by a word and a broken border."""
    groups = _groups(cluster)
    wide = max([API_WIDTH, *(min(len(nodes), COLUMNS) * (WIDTH + SPACE) + SPACE for _title, nodes in groups)])
    high = API_HEIGHT + sum(LINE + _height(nodes) for _title, nodes in groups) + 2
    root = Drawing(wide + 2, high, _said(groups), viewBox=f"-1 -1 {wide + 2} {high}", class_="picture")
    left = (wide - API_WIDTH) / 2
    root.add("rect", class_="api", x=left, y=0, width=API_WIDTH, height=API_HEIGHT, rx=8)
    root.add("text", "API endpoint", class_="head", x=wide / 2, y=20, text_anchor="middle")
    server = str(cluster.get("server") or "not known")
    root.add("text", short(server, 44), hint=server, x=wide / 2, y=38, text_anchor="middle")
    top = float(API_HEIGHT)
    for title, nodes in groups:
        root.add("line", class_="wire", x1=wide / 2, y1=top, x2=wide / 2, y2=top + LINE)
        top += LINE
        _group(root, title, nodes, top, wide)
        top += _height(nodes)
    return root


def _groups(cluster: Mapping[str, Any]) -> list[tuple[str, list[Node]]]:
    nodes: list[Node] = list(cluster.get("nodes") or [])
    known = {node["name"] for node in nodes}
    front = [node for node in nodes if ROLES & set(node.get("roles") or ())]
    back = [node for node in nodes if node not in front]
    apart: list[Node] = [{"name": name, "etcd": True} for name in cluster.get("etcd") or () if name not in known]
    named = (("Control plane", front), ("etcd alone", apart), ("Workers", back))
    return [(title, group) for title, group in named if group]


def _height(nodes: Sequence[Node]) -> int:
    lines = -(-len(nodes) // COLUMNS)
    return HEAD + lines * (HEIGHT + SPACE)


def _group(root: Drawing, title: str, nodes: Sequence[Node], top: float, wide: float) -> None:
    root.add("rect", class_="group", x=0, y=top, width=wide, height=_height(nodes), rx=10)
    root.add("text", f"{title} ({len(nodes)})", class_="head", x=SPACE, y=top + 19)
    for start in range(0, len(nodes), COLUMNS):
        line = nodes[start : start + COLUMNS]
        left = (wide - len(line) * (WIDTH + SPACE) + SPACE) / 2
        y = top + HEAD + start // COLUMNS * (HEIGHT + SPACE)
        for number, node in enumerate(line):
            _node(root, node, left + number * (WIDTH + SPACE), y)


def _node(root: Drawing, node: Node, x: float, y: float) -> None:
    state, mark = _state(node)
    name = str(node["name"])
    root.add("rect", class_=f"node {mark}", x=x, y=y, width=WIDTH, height=HEIGHT, rx=8)
    root.add("text", short(name, 14), hint=name, class_="name", x=x + 12, y=y + 24)
    root.add("text", state, class_=f"state {mark}", x=x + WIDTH - 12, y=y + 23, text_anchor="end")
    runtime = str(node.get("runtime", "")).replace("://", " ")
    for number, text in enumerate(("kubelet " + node["version"] if "version" in node else "", runtime)):
        root.add("text", short(text, 28), x=x + 12, y=y + 45 + 17 * number)
    roles = [role for role in node.get("roles") or () if role not in ROLES] + ["etcd member"] * bool(node.get("etcd"))
    root.add("text", short(", ".join(roles), 28), class_="role", x=x + 12, y=y + 84)


def _state(node: Node) -> tuple[str, str]:
    if "ready" not in node:
        return "", "apart"
    return ("Ready", "ready") if node["ready"] else ("✗ NOT READY", "unready")


def _said(groups: list[tuple[str, list[Node]]]) -> str:
    """What the picture shows, for who does not see it."""
    told = ["The cluster"]
    for title, nodes in groups:
        names = [f"{node['name']} {_state(node)[0].lower().lstrip('✗ ')}".strip() for node in nodes]
        told.append(f"{title}, {plural(len(nodes), 'machine')}: {', '.join(names)}")
    return ". ".join(told)
