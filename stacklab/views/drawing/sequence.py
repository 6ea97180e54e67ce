"""Messages between services as a sequence diagram: SVG and Mermaid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from stacklab.views.drawing.elements import LETTER, element
from stacklab.workflow.trace.messages import Message

# Pixels.
_COLUMN = 300
_ROW = 34
_HEAD = 70
_PAD = 20
_BOX = 36
_HEAD_LETTERS = 34  # of a name, at the head of its column
_LABEL_LETTERS = 60
_TIP = 7  # of an arrow
_TIME = 80  # the column of times

_STYLE = """
  .page { fill: #ffffff } .text { fill: #1b1f23 } .dim { fill: #57606a } .life { stroke: #d0d7de }
  .plain { fill: #f6f8fa; stroke: #57606a }
  .call { stroke: #0072b2; fill: #0072b2 } .cast { stroke: #d55e00; fill: #d55e00 }
  .reply { stroke: #57606a; fill: #57606a; stroke-dasharray: 5 4 }
  .fanout { stroke: #8c6bb1; fill: #8c6bb1 } .notify { stroke: #009e73; fill: #009e73 }
  text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace }
  .halo { paint-order: stroke; stroke: #ffffff; stroke-width: 5px }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 } .text { fill: #e6edf3 } .halo { stroke: #0d1117 }
    .dim { fill: #9198a1 } .life { stroke: #30363d }
    .plain { fill: #161b22; stroke: #9198a1 }
    .call { stroke: #56b4e9; fill: #56b4e9 } .cast { stroke: #e69f00; fill: #e69f00 }
    .reply { stroke: #9198a1; fill: #9198a1 }
  }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arrow:
    """A message between two columns."""

    at: float
    kind: str
    sender: int
    receiver: int
    label: str


def svg(messages: Sequence[Message], began: float) -> str:
    """Draw one self-contained SVG; times are seconds after `began`."""
    names = _participants(messages)
    arrows = _arrows(messages, names, began)
    width = 2 * _PAD + _TIME + len(names) * _COLUMN
    height = _HEAD + (len(arrows) + 1) * _ROW + _PAD
    parts = [element("rect", class_="page", width=width, height=height)]
    for place, name in enumerate(names):
        parts += _draw_participant(name, _middle(place), height)
    for row, arrow in enumerate(arrows):
        parts += _draw_arrow(arrow, _HEAD + (row + 1) * _ROW)
    inside = "\n".join(parts)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" aria-label="messages between services">'
    )
    return f"{head}\n<style>{_STYLE}</style>\n{inside}\n</svg>\n"


def mermaid(messages: Sequence[Message], began: float) -> str:
    """Return a sequence diagram for Mermaid."""
    names = _participants(messages)
    lines = ["sequenceDiagram"]
    lines += [f"    participant p{place} as {_plain(name)}" for place, name in enumerate(names)]
    for arrow in _arrows(messages, names, began):
        line = "-->>" if arrow.kind == "REPLY" else "->>"
        label = f"{arrow.at:+.3f} s {_plain(arrow.label)}"
        lines.append(f"    p{arrow.sender}{line}p{arrow.receiver}: {label}")
    return "\n".join([*lines, ""])


def _plain(text: str) -> str:
    """Return a text without what Mermaid would take for its own."""
    return "".join(letter if letter.isalnum() or letter in " ._-/" else " " for letter in text)


def _participants(messages: Sequence[Message]) -> list[str]:
    """Return all who send or get a message, in the order in which they come."""
    names: dict[str, None] = {}
    for message in messages:
        names.setdefault(message.sender or "unknown")
        names.setdefault(message.receiver or "unknown")
    return list(names)


def _arrows(messages: Sequence[Message], names: Sequence[str], began: float) -> list[_Arrow]:
    places = {name: place for place, name in enumerate(names)}
    return [
        _Arrow(
            at=message.at - began,
            kind=message.kind,
            sender=places[message.sender or "unknown"],
            receiver=places[message.receiver or "unknown"],
            label=f"{message.kind} {message.method}".strip()[:_LABEL_LETTERS],
        )
        for message in messages
    ]


def _middle(place: int) -> int:
    return _PAD + _TIME + place * _COLUMN + _COLUMN // 2


def _draw_participant(name: str, x: int, height: int) -> list[str]:
    shown = escape(name[:_HEAD_LETTERS])
    width = len(name[:_HEAD_LETTERS]) * LETTER + 2 * _TIP
    return [
        element("line", class_="life", x1=x, x2=x, y1=_PAD + _BOX, y2=height - _PAD),
        element("rect", class_="plain", x=x - width // 2, y=_PAD, width=width, height=_BOX, rx=6),
        element("text", shown, class_="text", x=x, y=_PAD + 23, text_anchor="middle"),
    ]


def _draw_arrow(arrow: _Arrow, y: int) -> list[str]:
    start, end = _middle(arrow.sender), _middle(arrow.receiver)
    kind = arrow.kind.lower()
    time = element("text", f"{arrow.at:+.3f}", class_="dim", x=_PAD, y=y + 4)
    if start == end:  # to itself: a short hook
        end = start + _COLUMN // 6
    side = 1 if end > start else -1
    tip = f"{end},{y} {end - side * _TIP},{y - 4} {end - side * _TIP},{y + 4}"
    label = element(
        "text",
        escape(arrow.label),
        class_="text halo",
        x=(start + end) // 2,
        y=y - 6,
        text_anchor="middle",
    )
    line = element("line", class_=kind, x1=start, x2=end, y1=y, y2=y, stroke_width=2)
    return [time, line, element("polygon", class_=kind, points=tip), label]
