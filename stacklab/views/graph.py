"""A lab as a picture: which node has which NIC on which network. Drawn from the spec, nothing runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from xml.sax.saxutils import escape

from stacklab.checks import report
from stacklab.errors import LabError
from stacklab.model.lab import NIC, NO_IMPAIRMENT, Impairment, Lab, Network, Node
from stacklab.model.stack import Role
from stacklab.words import suggest

# Colours that differ for colour-blind eyes, too, on white and on black (Okabe and Ito).
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#7f7f7f")
_ROLE_FILL = {Role.CONTROLLER: "strong", Role.COMPUTE: "plain", Role.NODE: "plain"}

_NODE_WIDTH, _LINE, _PAD, _GAP = 250, 18, 12, 30  # pixels
_BAR_STEP, _HEAD, LETTER = 40, 44, 8
_PER_ROW = 4

_STYLE = """
  .page { fill: #ffffff } .text { fill: #1b1f23 } .dim { fill: #57606a }
  .plain { fill: #f6f8fa; stroke: #57606a } .strong { fill: #ddf4ff; stroke: #0969da }
  text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace } .title { font-weight: bold }
  .halo { paint-order: stroke; stroke: #ffffff; stroke-width: 5px }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 } .text { fill: #e6edf3 } .halo { stroke: #0d1117 } .dim { fill: #9198a1 }
    .plain { fill: #161b22; stroke: #9198a1 } .strong { fill: #12263f; stroke: #4493f8 }
  }
"""


@dataclass(frozen=True, slots=True)
class _Impaired:
    """What is declared of delay, loss and rate, in words: of each network once, and of the NICs that differ.

    A lab has it by NIC. What most on a network have is told as the network's own.
    """

    networks: Mapping[str, str]  # by name; "" where nothing is declared
    nics: Mapping[tuple[str, str], str]  # by node and network

    @classmethod
    def of(cls, lab: Lab) -> _Impaired:
        networks: dict[str, str] = {}
        nics: dict[tuple[str, str], str] = {}
        for network in lab.networks:
            members = lab.members(network.name)
            counted = Counter(nic.impairment for _, nic in members)
            # Where two are as many: none at all, else the first.
            usual = max(counted, key=lambda each: (counted[each], not each), default=NO_IMPAIRMENT)
            networks[network.name] = brief(usual) if usual else ""
            others = (
                (node.name, nic.impairment) for node, nic in members if nic.impairment != usual
            )
            nics |= {(name, network.name): brief(impairment) for name, impairment in others}
        return cls(networks, nics)


def brief(impairment: Impairment) -> str:
    """An impairment in the words of a spec: `20ms 1% 10mbit`."""
    delay, loss, rate = impairment.delay_ms, impairment.loss_percent, impairment.rate_kbit
    words = [f"{delay / 1000:g}s" if delay >= 1000 else f"{delay:g}ms"] if delay else []
    words += [f"{loss:g}%"] if loss else []
    unit, per = next(
        (each for each in (("gbit", 10**6), ("mbit", 10**3)) if rate >= each[1]), ("kbit", 1)
    )
    words += [f"{rate / per:.10g}{unit}"] if rate else []
    return " ".join(words) or "unimpaired"


def svg(lab: Lab, *, bad: Collection[tuple[str, str]] = (), style: str = _STYLE) -> str:
    """One self-contained SVG: networks as bars, nodes below them in rows, a line from each NIC to its network.

    What is in `bad`, NICs as (node, network) and nodes as (node, ""), has that class;
    a page with a style of its own gives "" for `style`.
    """
    rows = [lab.nodes[at : at + _PER_ROW] for at in range(0, len(lab.nodes), _PER_ROW)]
    title = escape(f"{lab.name}: {lab.description}" if lab.description else lab.name)
    columns = min(len(lab.nodes), _PER_ROW)
    impaired = _Impaired.of(lab)
    longest = max(40, len(title), *(len(_bar_label(network, impaired)) for network in lab.networks))
    width = 2 * _PAD + max(columns * (_NODE_WIDTH + _GAP) - _GAP, longest * LETTER)
    parts: list[str] = []
    top = _HEAD
    for row in rows:
        drawn, top = _row(lab, row, top, width, bad, impaired)
        parts += drawn
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


def _row(
    lab: Lab,
    nodes: tuple[Node, ...],
    top: int,
    width: int,
    bad: Collection[tuple[str, str]],
    impaired: _Impaired,
) -> tuple[list[str], int]:
    """One row: its networks' bars and its nodes; returns where the next one begins."""
    used = [n for n in lab.networks if any(node.nic_on(n.name) for node in nodes)]
    bars = {network.name: top + 20 + at * _BAR_STEP for at, network in enumerate(used)}
    colours = {
        network.name: _COLOURS[at % len(_COLOURS)] for at, network in enumerate(lab.networks)
    }
    parts: list[str] = []
    labels: list[str] = []  # drawn last: the nodes' lines go behind them
    for network in used:
        y, colour = bars[network.name], colours[network.name]
        parts.append(
            f'<line x1="{_PAD}" y1="{y}" x2="{width - _PAD}" y2="{y}" stroke="{colour}" stroke-width="5"/>'
        )
        labels.append(
            f'<text class="text halo" x="{_PAD}" y="{y - 8}">{escape(_bar_label(network, impaired))}</text>'
        )
    below = top + 20 + len(used) * _BAR_STEP
    height = (max(len(node.nics) for node in nodes) + 2) * _LINE + _PAD
    for at, node in enumerate(nodes):
        marks = {network: " bad" for name, network in bad if name == node.name}
        x = _PAD + at * (_NODE_WIDTH + _GAP)
        parts += _node(node, x, below, height, bars, colours, marks)
        labels += _nic_labels(node, x, bars, impaired)
    return [*parts, *labels], below + height + _GAP


def _mode(network: Network) -> str:
    """How it is connected, and whether the host is on it."""
    return network.mode if network.has_host else f"{network.mode}, without the host"


def _bar_label(network: Network, impaired: _Impaired) -> str:
    told = ", ".join(filter(None, (_mode(network), impaired.networks[network.name])))
    return f"{network.name}  {network.cidr}  {told}"


def _line_x(x: int, at: int) -> int:
    """Where the line of a node's NIC number `at` is, of a node at x."""
    return x + 20 + at * 26


def _nic_labels(node: Node, x: int, bars: Mapping[str, int], impaired: _Impaired) -> Iterator[str]:
    """Beside the line of each NIC that differs, under its network's bar and within the node's width."""
    for at, nic in enumerate(node.nics):
        if text := impaired.nics.get((node.name, nic.network)):
            left = min(_line_x(x, at) + 8, x + _NODE_WIDTH - len(text) * LETTER)
            yield f'<text class="dim halo" x="{left}" y="{bars[nic.network] + _LINE}">{text}</text>'


def _node(
    node: Node,
    x: int,
    y: int,
    height: int,
    bars: Mapping[str, int],
    colours: Mapping[str, str],
    marks: Mapping[str, str],
) -> list[str]:
    parts = [f'<g class="node{marks.get("", "")}" data-node="{node.name}">']
    for at, nic in enumerate(node.nics):
        line_x, colour = _line_x(x, at), colours[nic.network]
        top, mark = (
            bars[nic.network],
            f' class="{marks[nic.network].strip()}"' if nic.network in marks else "",
        )
        parts.append(
            f'<line{mark} x1="{line_x}" y1="{top}" x2="{line_x}" y2="{y}" stroke="{colour}"/>'
        )
        parts.append(f'<circle{mark} cx="{line_x}" cy="{top}" r="5" fill="{colour}"/>')
    parts.append(
        f'<rect class="{_ROLE_FILL[node.role]}" x="{x}" y="{y}" width="{_NODE_WIDTH}" height="{height}" rx="6"/>'
    )
    lines = [("text title", node.name), ("dim", f"{node.role}, {node.cpus} cpu, {node.memory}")]
    for at, (style, text) in enumerate(lines):
        parts.append(
            f'<text class="{style}" x="{x + _PAD}" y="{y + (at + 1) * _LINE}">{escape(text)}</text>'
        )
    for at, nic in enumerate(node.nics):
        place, mark = y + (at + 3) * _LINE, marks.get(nic.network, "")
        parts.append(
            f'<circle cx="{x + _PAD + 4}" cy="{place - 4}" r="4" fill="{colours[nic.network]}"/>'
        )
        parts.append(
            f'<text class="text{mark}" x="{x + _PAD + 14}" y="{place}">{nic.device} {nic.address.ip}</text>'
        )
    return [*parts, "</g>"]


def mermaid(lab: Lab) -> str:
    """A flowchart for Markdown: GitHub and GitLab draw it."""
    impaired = _Impaired.of(lab)
    lines = ["flowchart TB"]
    for network in lab.networks:
        label = "<br>".join(_network_lines(network, impaired))
        lines.append(f'  {_id("net", network.name)}(["{label}"])')
    for node in lab.nodes:
        lines.append(f'  {_id("node", node.name)}["{node.name}<br>{node.role}, {node.memory}"]')
        ends = ((nic, "<br>".join(_nic_lines(node, nic, impaired))) for nic in node.nics)
        lines += [
            f'  {_id("net", nic.network)} ---|"{end}"| {_id("node", node.name)}'
            for nic, end in ends
        ]
    return "\n".join([*lines, ""])


def dot(lab: Lab) -> str:
    """A graph for Graphviz: dot -Tsvg."""
    impaired = _Impaired.of(lab)
    lines = [
        f'graph "{lab.name}" {{',
        "  node [fontname=monospace]; edge [fontname=monospace, fontsize=10];",
    ]
    for network in lab.networks:
        label = "\\n".join(_network_lines(network, impaired))
        lines.append(f'  {_id("net", network.name)} [shape=oval, label="{label}"];')
    for node in lab.nodes:
        lines.append(
            f'  {_id("node", node.name)} [shape=box, label="{node.name}\\n{node.role}, {node.memory}"];'
        )
        ends = ((nic, "\\n".join(_nic_lines(node, nic, impaired))) for nic in node.nics)
        lines += [
            f'  {_id("net", nic.network)} -- {_id("node", node.name)} [label="{end}"];'
            for nic, end in ends
        ]
    return "\n".join([*lines, "}", ""])


def _network_lines(network: Network, impaired: _Impaired) -> Iterator[str]:
    yield network.name
    yield f"{network.cidr} {_mode(network)}"
    if text := impaired.networks[network.name]:
        yield text


def _nic_lines(node: Node, nic: NIC, impaired: _Impaired) -> Iterator[str]:
    yield f"{nic.device} {nic.address.ip}"
    if text := impaired.nics.get((node.name, nic.network)):
        yield text


def _id(kind: str, name: str) -> str:
    """A name as both languages take it; `_` is in no name, so no two can meet."""
    return f"{kind}_{name.replace('-', '_')}"


FORMATS: Mapping[str, Callable[[Lab], str]] = MappingProxyType(
    {"svg": svg, "mermaid": mermaid, "dot": dot}
)


def draw(lab: Lab, form: str) -> str:
    """The picture in one of FORMATS; raises LabError naming them."""
    if form not in FORMATS:
        raise LabError(
            f"no format {form!r} ({suggest(form, FORMATS, label='known')})", hint="--format svg"
        )
    return FORMATS[form](lab)


def write(drawn: str, path: Path) -> None:
    """Write a picture; raises LabError naming a path that can't be written."""
    report.save(str(path), (drawn,))
