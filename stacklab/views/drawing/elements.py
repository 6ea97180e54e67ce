"""Elements of SVG, as text."""

from __future__ import annotations

LETTER = 8  # pixels: the width of one, in the monospace font of every drawing


def element(tag: str, text: str | None = None, /, **attributes: str | int) -> str:
    """Return an element of SVG; its text has to be escaped, and "" leaves an attribute out.

    `class_` and `stroke_width` stand for class and stroke-width, which Python can't spell.
    """
    opening = tag
    for name, value in attributes.items():
        if value == "":
            continue
        attribute = name.rstrip("_").replace("_", "-")
        opening += f' {attribute}="{value}"'
    if text is None:
        return f"<{opening}/>"
    return f"<{opening}>{text}</{tag}>"
