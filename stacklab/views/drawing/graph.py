"""Drawings of a lab's nodes, NICs and networks, from its spec: SVG, Mermaid and Graphviz."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from xml.sax.saxutils import escape

from stacklab.errors import LabError
from stacklab.model.lab import NIC, Lab, Network, Node
from stacklab.model.stack import Role
from stacklab.views import saving
from stacklab.views.drawing.elements import LETTER, element
from stacklab.views.drawing.graph_text import Impaired, disk_texts, dot, mermaid, mode_text
from stacklab.words import suggest

# The palette of Okabe and Ito: colour-blind people can tell its colours apart, on white and black.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#7f7f7f")
_ROLE_CLASS = {Role.CONTROLLER: "strong", Role.COMPUTE: "plain", Role.NODE: "plain"}

# Pixels, down to _NIC_STEP.
_NODE_WIDTH = 250
_TEXT_LINE = 18  # from one line of text to the next
_PAD = 12
_GAP = 30  # between nodes, and between rows
_HEAD = 44  # the title
_ABOVE_BARS = 20
_BAR_STEP = 40
_FIRST_NIC, _NIC_STEP = 20, 26  # the line of the first NIC in its node, and from one to the next
_NODES_PER_ROW = 4
_SHORTEST_TITLE = 40  # letters; a lab of one node is drawn as wide as that

_STYLE = """
  .page { fill: #ffffff } .text { fill: #1b1f23 } .dim { fill: #57606a }
  .plain { fill: #f6f8fa; stroke: #57606a } .strong { fill: #ddf4ff; stroke: #0969da }
  text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace }
  .title { font-weight: bold }
  .halo { paint-order: stroke; stroke: #ffffff; stroke-width: 5px }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 } .text { fill: #e6edf3 } .halo { stroke: #0d1117 }
    .dim { fill: #9198a1 }
    .plain { fill: #161b22; stroke: #9198a1 } .strong { fill: #12263f; stroke: #4493f8 }
  }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sheet:
    """What all rows of a drawing share."""

    lab: Lab
    impaired: Impaired
    bad: Collection[tuple[str, str]]
    colours: Mapping[str, str]  # by network
    width: int


def svg(lab: Lab, *, bad: Collection[tuple[str, str]] = (), style: str = _STYLE) -> str:
    """Draw one self-contained SVG: rows of nodes, with the bars of their networks above them.

    NICs (node, network) and nodes (node, "") that are in `bad` get that class. A page that has a
    style of its own passes "" for `style`.
    """
    title = escape(f"{lab.name}: {lab.description}" if lab.description else lab.name)
    impaired = Impaired.from_lab(lab)
    # By the network's place in the lab, so that it has the same colour in every row.
    colours = {
        network.name: _COLOURS[place % len(_COLOURS)] for place, network in enumerate(lab.networks)
    }
    sheet = _Sheet(
        lab=lab,
        impaired=impaired,
        bad=bad,
        colours=colours,
        width=_sheet_width(lab, title, impaired),
    )
    parts: list[str] = []
    top = _HEAD
    for start in range(0, len(lab.nodes), _NODES_PER_ROW):
        row = lab.nodes[start : start + _NODES_PER_ROW]
        row_parts, top = _draw_row(sheet, row, top)
        parts += row_parts
    # The last row has left `top` at the lower edge.
    size = f'viewBox="0 0 {sheet.width} {top}" width="{sheet.width}" height="{top}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
            f"<title>{title}</title>",
            f"<style>{style}</style>" if style else "",
            element("rect", class_="page", width=sheet.width, height=top),
            element("text", title, class_="text title", x=_PAD, y=26),
            *parts,
            "</svg>",
            "",
        ]
    )


def _sheet_width(lab: Lab, title: str, impaired: Impaired) -> int:
    """Return a width that holds the title, the labels of all bars and the longest row."""
    longest = max(_SHORTEST_TITLE, len(title))
    for network in lab.networks:
        longest = max(longest, len(_bar_label(network, impaired)))
    columns = min(len(lab.nodes), _NODES_PER_ROW)
    row_width = columns * (_NODE_WIDTH + _GAP) - _GAP
    return 2 * _PAD + max(row_width, longest * LETTER)


def _draw_row(sheet: _Sheet, nodes: Sequence[Node], top: int) -> tuple[list[str], int]:
    """Draw a row, bars of networks and nodes; return also where the next row begins."""
    names = {nic.network for node in nodes for nic in node.nics}
    networks = [network for network in sheet.lab.networks if network.name in names]
    bars: dict[str, int] = {}  # the y of each network's bar
    parts: list[str] = []
    labels: list[str] = []  # drawn last, so that no line crosses them
    bar_y = top + _ABOVE_BARS
    # Below each other, above the nodes: a bar is where its network's lines end.
    for network in networks:
        bars[network.name] = bar_y
        parts.append(_draw_bar(sheet, network, bar_y))
        label = escape(_bar_label(network, sheet.impaired))
        labels.append(element("text", label, class_="text halo", x=_PAD, y=bar_y - 8))
        bar_y += _BAR_STEP
    most_lines = max(len(node.nics) + len(node.disks) for node in nodes)
    height = (most_lines + 2) * _TEXT_LINE + _PAD  # two lines are the node's name and its size
    for column, node in enumerate(nodes):
        x = _PAD + column * (_NODE_WIDTH + _GAP)
        box = _Box(node=node, x=x, y=bar_y, height=height)
        parts += _draw_node(sheet, box, bars)
        labels += _nic_labels(sheet.impaired, box, bars)
    return [*parts, *labels], bar_y + height + _GAP


def _draw_bar(sheet: _Sheet, network: Network, y: int) -> str:
    return element(
        "line",
        x1=_PAD,
        y1=y,
        x2=sheet.width - _PAD,
        y2=y,
        stroke=sheet.colours[network.name],
        stroke_width=5,
    )


def _bar_label(network: Network, impaired: Impaired) -> str:
    """Return what stands above the bar of a network."""
    details = mode_text(network)
    impairment = impaired.networks[network.name]
    if impairment:
        details += f", {impairment}"
    return f"{network.name}  {network.cidr}  {details}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Box:
    """The place of a node in the drawing."""

    node: Node
    x: int
    y: int
    height: int

    def nic_x(self, index: int) -> int:
        """Return the position of the line from a NIC up to its network's bar."""
        return self.x + _FIRST_NIC + index * _NIC_STEP


def _nic_labels(impaired: Impaired, box: _Box, bars: Mapping[str, int]) -> Iterator[str]:
    """Label the line of each NIC that differs from its network, below the network's bar."""
    for index, nic in enumerate(box.node.nics):
        text = impaired.nics.get((box.node.name, nic.network))
        if not text:
            continue
        beside_line = box.nic_x(index) + 8
        # The label must not reach into the next node's column.
        rightmost = box.x + _NODE_WIDTH - len(text) * LETTER
        yield element(
            "text",
            text,
            class_="dim halo",
            x=min(beside_line, rightmost),
            y=bars[nic.network] + _TEXT_LINE,
        )


def _draw_node(sheet: _Sheet, box: _Box, bars: Mapping[str, int]) -> Iterator[str]:
    """Draw a node as a box: its lines up to the bars, then its name, size and NICs."""
    node = box.node
    bad_networks = {network for name, network in sheet.bad if name == node.name}
    # "" stands for the node as a whole.
    node_class = _class_names("node", is_bad="" in bad_networks)
    yield f'<g class="{node_class}" data-node="{node.name}">'
    for index, nic in enumerate(node.nics):
        yield from _draw_nic_line(sheet, box, index, bars[nic.network], nic.network in bad_networks)
    yield element(
        "rect",
        class_=_ROLE_CLASS[node.role],
        x=box.x,
        y=box.y,
        width=_NODE_WIDTH,
        height=box.height,
        rx=6,
    )
    line_y = box.y + _TEXT_LINE
    yield element("text", escape(node.name), class_="text title", x=box.x + _PAD, y=line_y)
    line_y += _TEXT_LINE
    size = escape(f"{node.role}, {node.cpus} cpu, {node.memory}")
    yield element("text", size, class_="dim", x=box.x + _PAD, y=line_y)
    for nic in node.nics:
        line_y += _TEXT_LINE
        yield from _draw_nic_text(sheet, box, nic, line_y, nic.network in bad_networks)
    for text in disk_texts(node):
        line_y += _TEXT_LINE
        yield element("text", escape(text), class_="dim", x=box.x + _PAD, y=line_y)
    yield "</g>"


def _draw_nic_line(sheet: _Sheet, box: _Box, index: int, bar_y: int, is_bad: bool) -> Iterator[str]:
    """Draw the line from a node to a network's bar, with a dot where they meet."""
    x = box.nic_x(index)
    colour = sheet.colours[box.node.nics[index].network]
    mark = _class_names("", is_bad=is_bad)
    yield element("line", class_=mark, x1=x, y1=bar_y, x2=x, y2=box.y, stroke=colour)
    yield element("circle", class_=mark, cx=x, cy=bar_y, r=5, fill=colour)


def _draw_nic_text(sheet: _Sheet, box: _Box, nic: NIC, y: int, is_bad: bool) -> Iterator[str]:
    """Write a NIC's name and address inside its node, behind a dot in its network's colour."""
    left = box.x + _PAD
    # 4 pixels up: half the height of a small letter, so that dot and text are in line.
    yield element("circle", cx=left + 4, cy=y - 4, r=4, fill=sheet.colours[nic.network])
    text = f"{nic.device} {nic.address.ip}"
    yield element("text", text, class_=_class_names("text", is_bad=is_bad), x=left + 14, y=y)


def _class_names(name: str, *, is_bad: bool) -> str:
    return f"{name} bad".lstrip() if is_bad else name


FORMATS: Mapping[str, Callable[[Lab], str]] = MappingProxyType(
    {"svg": svg, "mermaid": mermaid, "dot": dot}
)


def draw(lab: Lab, form: str) -> str:
    """Return the drawing in one of FORMATS; raise LabError, which lists them, for any other."""
    if form not in FORMATS:
        known = suggest(form, FORMATS, label="known")
        raise LabError(f"no format {form!r} ({known})", hint="--format svg")
    return FORMATS[form](lab)


def write_drawing(drawing: str, path: Path) -> None:
    """Write a drawing; raise LabError, with the path, if it can't be written."""
    saving.save(str(path), (drawing,))
