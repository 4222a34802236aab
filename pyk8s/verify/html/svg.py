"""Drawings that stand in the page itself. Colours come from the page's style, by class."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from pyk8s.verify.html.texts import clean


class Drawing:
    """An SVG picture, which templates print as it is; all text in it is escaped.

    ``width`` is in pixels or per cent, ``height`` in pixels; ``label`` says what it shows to who does not see it.
    """

    def __init__(self, width: str | float, height: float, label: str, **attributes: str | float) -> None:
        about = {"width": width, "height": height, "role": "img", "aria-label": label}
        self._root = _element("svg", about | attributes)

    def add(self, tag: str, text: str = "", *, hint: str = "", **attributes: str | float) -> None:
        """Add a shape or text; ``class_`` and ``text_anchor`` stand for ``class`` and ``text-anchor``.

        Who points at it reads its ``hint``.
        """
        shape = _element(tag, attributes)
        shape.text = str(clean(text))
        if hint:
            ET.SubElement(shape, "title").text = str(clean(hint))
        self._root.append(shape)

    def __html__(self) -> str:
        """Return it as it stands in the page; Jinja asks for this instead of escaping."""
        return ET.tostring(self._root, encoding="unicode", short_empty_elements=False)


def _element(tag: str, attributes: dict[str, str | float]) -> ET.Element:
    named = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    return ET.Element(tag, {name: _attribute(value) for name, value in named.items()})


def _attribute(value: str | float) -> str:
    return str(clean(value)) if isinstance(value, str) else f"{value:g}"
