"""Drawings of a lab's nodes, NICs and networks, from its spec: SVG, Mermaid and Graphviz."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from xml.sax.saxutils import escape

from stacklab.checks import report
from stacklab.errors import LabError
from stacklab.model.lab import NIC, NO_IMPAIRMENT, Impairment, Lab, Network, Node
from stacklab.model.stack import Role
from stacklab.words import suggest

# The palette of Okabe and Ito: colour-blind people can tell its colours apart, on white and black.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#7f7f7f")
_ROLE_FILL = {Role.CONTROLLER: "strong", Role.COMPUTE: "plain", Role.NODE: "plain"}

_NODE_WIDTH, _LINE, _PAD, _GAP = 250, 18, 12, 30  # pixels
_BAR_STEP, _HEAD = 40, 44
LETTER = 8  # the width of one, in pixels, in the monospace font of _STYLE
_PER_ROW = 4

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


@dataclass(frozen=True, slots=True)
class _Impaired:
    """The declared delay, loss and rate as text, for each network and for the NICs that differ.

    A lab declares them for each NIC. What most NICs of a network have is shown at the network.
    """

    networks: Mapping[str, str]  # by name; "" if nothing is declared
    nics: Mapping[tuple[str, str], str]  # by node and network

    @classmethod
    def of(cls, lab: Lab) -> _Impaired:
        """Collect what a lab declares."""
        networks: dict[str, str] = {}
        nics: dict[tuple[str, str], str] = {}
        for network in lab.networks:
            members = lab.members(network.name)
            usual = _usual_impairment(nic.impairment for _, nic in members)
            networks[network.name] = brief(usual) if usual else ""
            for node, nic in members:
                if nic.impairment != usual:
                    nics[node.name, network.name] = brief(nic.impairment)
        return cls(networks, nics)


def _usual_impairment(impairments: Iterable[Impairment]) -> Impairment:
    """Return what most NICs of a network have."""
    counts = Counter(impairments)

    def rank(impairment: Impairment) -> tuple[int, bool]:
        # Of two that are equally frequent, "unimpaired" wins; else the first one.
        return counts[impairment], not impairment

    return max(counts, key=rank, default=NO_IMPAIRMENT)


def brief(impairment: Impairment) -> str:
    """Return an impairment in the words of a spec: `20ms 1% 10mbit`."""
    words = []
    if impairment.delay_ms:
        words.append(_delay_text(impairment.delay_ms))
    if impairment.loss_percent:
        words.append(f"{impairment.loss_percent:g}%")
    if impairment.rate_kbit:
        words.append(_rate_text(impairment.rate_kbit))
    return " ".join(words) or "unimpaired"


def _delay_text(delay_ms: float) -> str:
    if delay_ms >= 1000:
        return f"{delay_ms / 1000:g}s"
    return f"{delay_ms:g}ms"


def _rate_text(rate_kbit: int) -> str:
    # Ten digits: a rate is written in full, as the spec has it.
    if rate_kbit >= 10**6:
        return f"{rate_kbit / 10**6:.10g}gbit"
    if rate_kbit >= 10**3:
        return f"{rate_kbit / 10**3:.10g}mbit"
    return f"{rate_kbit}kbit"


def svg(lab: Lab, *, bad: Collection[tuple[str, str]] = (), style: str = _STYLE) -> str:
    """Draw one self-contained SVG: rows of nodes, with the bars of their networks above them.

    NICs (node, network) and nodes (node, "") that are in `bad` get that class. A page that has a
    style of its own passes "" for `style`.
    """
    rows = [lab.nodes[start : start + _PER_ROW] for start in range(0, len(lab.nodes), _PER_ROW)]
    title = escape(f"{lab.name}: {lab.description}" if lab.description else lab.name)
    columns = min(len(lab.nodes), _PER_ROW)
    impaired = _Impaired.of(lab)
    longest = max(40, len(title), *(len(_bar_label(network, impaired)) for network in lab.networks))
    width = 2 * _PAD + max(columns * (_NODE_WIDTH + _GAP) - _GAP, longest * LETTER)
    parts: list[str] = []
    top = _HEAD
    for row in rows:
        row_parts, top = _draw_row(lab, row, top, width, bad, impaired)
        parts += row_parts
    size = f'viewBox="0 0 {width} {top}" width="{width}" height="{top}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
            f"<title>{title}</title>",
            f"<style>{style}</style>" if style else "",
            f'<rect class="page" width="{width}" height="{top}"/>',
            f'<text class="text title" x="{_PAD}" y="26">{title}</text>',
            *parts,
            "</svg>",
            "",
        ]
    )


def _draw_row(
    lab: Lab,
    nodes: tuple[Node, ...],
    top: int,
    width: int,
    bad: Collection[tuple[str, str]],
    impaired: _Impaired,
) -> tuple[list[str], int]:
    """Draw a row, bars of networks and nodes; return also where the next row begins."""
    names = {nic.network for node in nodes for nic in node.nics}
    networks = [network for network in lab.networks if network.name in names]
    # Below each other, above the nodes: a bar is where its network's lines end.
    bars = {network.name: top + 20 + n * _BAR_STEP for n, network in enumerate(networks)}
    # By the network's place in the lab, so that it has the same colour in every row.
    colours = {network.name: _COLOURS[n % len(_COLOURS)] for n, network in enumerate(lab.networks)}
    parts: list[str] = []
    labels: list[str] = []  # drawn last, so that no line crosses them
    for network in networks:
        y, colour = bars[network.name], colours[network.name]
        label = escape(_bar_label(network, impaired))
        parts.append(
            f'<line x1="{_PAD}" y1="{y}" x2="{width - _PAD}" y2="{y}" '
            f'stroke="{colour}" stroke-width="5"/>'
        )
        labels.append(f'<text class="text halo" x="{_PAD}" y="{y - 8}">{label}</text>')
    nodes_top = top + 20 + len(networks) * _BAR_STEP
    height = (max(len(node.nics) for node in nodes) + 2) * _LINE + _PAD
    for column, node in enumerate(nodes):
        marks = {network: " bad" for name, network in bad if name == node.name}
        x = _PAD + column * (_NODE_WIDTH + _GAP)
        parts += _draw_node(node, x, nodes_top, height, bars, colours, marks)
        labels += _nic_labels(node, x, bars, impaired)
    return [*parts, *labels], nodes_top + height + _GAP


def _mode_text(network: Network) -> str:
    """Return the mode of a network, and say if the host is not on it."""
    if network.has_host:
        return network.mode
    return f"{network.mode}, without the host"


def _bar_label(network: Network, impaired: _Impaired) -> str:
    """Return what stands above the bar of a network."""
    details = ", ".join(filter(None, (_mode_text(network), impaired.networks[network.name])))
    return f"{network.name}  {network.cidr}  {details}"


def _line_x(x: int, index: int) -> int:
    """Return the position of the line of a node's NIC, for a node at x."""
    return x + 20 + index * 26


def _nic_labels(node: Node, x: int, bars: Mapping[str, int], impaired: _Impaired) -> Iterator[str]:
    """Label the line of each NIC that differs from its network, below the network's bar."""
    for index, nic in enumerate(node.nics):
        text = impaired.nics.get((node.name, nic.network))
        if text:
            # The label must not reach into the next node's column.
            left = min(_line_x(x, index) + 8, x + _NODE_WIDTH - len(text) * LETTER)
            yield f'<text class="dim halo" x="{left}" y="{bars[nic.network] + _LINE}">{text}</text>'


def _draw_node(
    node: Node,
    x: int,
    y: int,
    height: int,
    bars: Mapping[str, int],
    colours: Mapping[str, str],
    marks: Mapping[str, str],
) -> list[str]:
    """Draw a node as a box: its lines up to the bars, then its name, size and NICs."""
    parts = [f'<g class="node{marks.get("", "")}" data-node="{node.name}">']
    for index, nic in enumerate(node.nics):
        line_x = _line_x(x, index)
        colour = colours[nic.network]
        top = bars[nic.network]
        mark = f' class="{marks[nic.network].strip()}"' if nic.network in marks else ""
        parts.append(
            f'<line{mark} x1="{line_x}" y1="{top}" x2="{line_x}" y2="{y}" stroke="{colour}"/>'
        )
        parts.append(f'<circle{mark} cx="{line_x}" cy="{top}" r="5" fill="{colour}"/>')
    parts.append(
        f'<rect class="{_ROLE_FILL[node.role]}" x="{x}" y="{y}" '
        f'width="{_NODE_WIDTH}" height="{height}" rx="6"/>'
    )
    lines = [("text title", node.name), ("dim", f"{node.role}, {node.cpus} cpu, {node.memory}")]
    for index, (style, text) in enumerate(lines):
        line_y = y + (index + 1) * _LINE
        parts.append(f'<text class="{style}" x="{x + _PAD}" y="{line_y}">{escape(text)}</text>')
    for index, nic in enumerate(node.nics):
        line_y = y + (index + 3) * _LINE
        text = f"{nic.device} {nic.address.ip}"
        mark = marks.get(nic.network, "")
        parts.append(
            f'<circle cx="{x + _PAD + 4}" cy="{line_y - 4}" r="4" fill="{colours[nic.network]}"/>'
        )
        parts.append(f'<text class="text{mark}" x="{x + _PAD + 14}" y="{line_y}">{text}</text>')
    return [*parts, "</g>"]


def mermaid(lab: Lab) -> str:
    """Return a flowchart for Markdown, which GitHub and GitLab draw."""
    impaired = _Impaired.of(lab)
    lines = ["flowchart TB"]
    for network in lab.networks:
        label = "<br>".join(_network_lines(network, impaired))
        lines.append(f'  {_identifier("net", network.name)}(["{label}"])')
    for node in lab.nodes:
        node_id = _identifier("node", node.name)
        lines.append(f'  {node_id}["{node.name}<br>{node.role}, {node.memory}"]')
        for nic in node.nics:
            label = "<br>".join(_nic_lines(node, nic, impaired))
            lines.append(f'  {_identifier("net", nic.network)} ---|"{label}"| {node_id}')
    return "\n".join([*lines, ""])


def dot(lab: Lab) -> str:
    """Return a graph for Graphviz: dot -Tsvg."""
    impaired = _Impaired.of(lab)
    lines = [
        f'graph "{lab.name}" {{',
        "  node [fontname=monospace]; edge [fontname=monospace, fontsize=10];",
    ]
    for network in lab.networks:
        label = "\\n".join(_network_lines(network, impaired))
        lines.append(f'  {_identifier("net", network.name)} [shape=oval, label="{label}"];')
    for node in lab.nodes:
        node_id = _identifier("node", node.name)
        label = f"{node.name}\\n{node.role}, {node.memory}"
        lines.append(f'  {node_id} [shape=box, label="{label}"];')
        for nic in node.nics:
            label = "\\n".join(_nic_lines(node, nic, impaired))
            lines.append(f'  {_identifier("net", nic.network)} -- {node_id} [label="{label}"];')
    return "\n".join([*lines, "}", ""])


def _network_lines(network: Network, impaired: _Impaired) -> Iterator[str]:
    yield network.name
    yield f"{network.cidr} {_mode_text(network)}"
    text = impaired.networks[network.name]
    if text:
        yield text


def _nic_lines(node: Node, nic: NIC, impaired: _Impaired) -> Iterator[str]:
    yield f"{nic.device} {nic.address.ip}"
    text = impaired.nics.get((node.name, nic.network))
    if text:
        yield text


def _identifier(kind: str, name: str) -> str:
    """Return an identifier for both languages; names don't contain `_`, so it stays unique."""
    return f"{kind}_{name.replace('-', '_')}"


FORMATS: Mapping[str, Callable[[Lab], str]] = MappingProxyType(
    {"svg": svg, "mermaid": mermaid, "dot": dot}
)


def draw(lab: Lab, form: str) -> str:
    """Return the drawing in one of FORMATS; raise LabError, which lists them, for any other."""
    if form not in FORMATS:
        raise LabError(
            f"no format {form!r} ({suggest(form, FORMATS, label='known')})", hint="--format svg"
        )
    return FORMATS[form](lab)


def write(drawn: str, path: Path) -> None:
    """Write a drawing; raise LabError, with the path, if it can't be written."""
    report.save(str(path), (drawn,))
