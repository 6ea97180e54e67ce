"""Drawings of a lab as text for other programs to lay out: Mermaid and Graphviz.

Also the words of a network and of its impairments, which every drawing uses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from stacklab.model.lab import NIC, NO_IMPAIRMENT, Impairment, Lab, Network, Node


@dataclass(frozen=True, slots=True)
class Impaired:
    """The declared delay, loss and rate as text, for each network and for the NICs that differ.

    A lab declares them for each NIC. What most NICs of a network have is shown at the network.
    """

    networks: Mapping[str, str]  # by name; "" if nothing is declared
    nics: Mapping[tuple[str, str], str]  # by node and network

    @classmethod
    def from_lab(cls, lab: Lab) -> Impaired:
        """Collect what a lab declares."""
        networks: dict[str, str] = {}
        nics: dict[tuple[str, str], str] = {}
        for network in lab.networks:
            members = lab.members(network.name)
            usual = _usual_impairment(nic.impairment for _, nic in members)
            networks[network.name] = impairment_text(usual) if usual else ""
            for node, nic in members:
                if nic.impairment != usual:
                    nics[node.name, network.name] = impairment_text(nic.impairment)
        return cls(networks, nics)


def _usual_impairment(impairments: Iterable[Impairment]) -> Impairment:
    """Return what most NICs of a network have."""
    counts = Counter(impairments)

    def rank(impairment: Impairment) -> tuple[int, bool]:
        # Of two that are equally frequent, "unimpaired" wins; else the first one.
        return counts[impairment], not impairment

    return max(counts, key=rank, default=NO_IMPAIRMENT)


def impairment_text(impairment: Impairment) -> str:
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


def mode_text(network: Network) -> str:
    """Return the mode of a network, and say if the host is not on it."""
    if network.has_host:
        return network.mode
    return f"{network.mode}, without the host"


def disk_texts(node: Node) -> Iterator[str]:
    """Yield a text for each disk that a node has beside the one it boots from."""
    for disk in node.disks:
        # As narrow as a node is drawn.
        yield f"shared {disk.name}" if disk.is_shared else f"{disk.serial} {disk.size}"


def mermaid(lab: Lab) -> str:
    """Return a flowchart for Markdown, which GitHub and GitLab draw."""
    impaired = Impaired.from_lab(lab)
    lines = ["flowchart TB"]
    for network in lab.networks:
        label = "<br>".join(_network_texts(network, impaired))
        lines.append(f'  {_identifier("net", network.name)}(["{label}"])')
    for node in lab.nodes:
        node_id = _identifier("node", node.name)
        label = "<br>".join(_node_texts(node))
        lines.append(f'  {node_id}["{label}"]')
        for nic in node.nics:
            label = "<br>".join(_nic_texts(node, nic, impaired))
            lines.append(f'  {_identifier("net", nic.network)} ---|"{label}"| {node_id}')
    return "\n".join([*lines, ""])


def dot(lab: Lab) -> str:
    """Return a graph for Graphviz: dot -Tsvg."""
    impaired = Impaired.from_lab(lab)
    lines = [
        f'graph "{lab.name}" {{',
        "  node [fontname=monospace]; edge [fontname=monospace, fontsize=10];",
    ]
    for network in lab.networks:
        label = "\\n".join(_network_texts(network, impaired))
        lines.append(f'  {_identifier("net", network.name)} [shape=oval, label="{label}"];')
    for node in lab.nodes:
        node_id = _identifier("node", node.name)
        label = "\\n".join(_node_texts(node))
        lines.append(f'  {node_id} [shape=box, label="{label}"];')
        for nic in node.nics:
            label = "\\n".join(_nic_texts(node, nic, impaired))
            lines.append(f'  {_identifier("net", nic.network)} -- {node_id} [label="{label}"];')
    return "\n".join([*lines, "}", ""])


def _network_texts(network: Network, impaired: Impaired) -> Iterator[str]:
    yield network.name
    yield f"{network.cidr} {mode_text(network)}"
    impairment = impaired.networks[network.name]
    if impairment:
        yield impairment


def _node_texts(node: Node) -> Iterator[str]:
    yield node.name
    yield f"{node.role}, {node.memory}"
    yield from disk_texts(node)


def _nic_texts(node: Node, nic: NIC, impaired: Impaired) -> Iterator[str]:
    yield f"{nic.device} {nic.address.ip}"
    impairment = impaired.nics.get((node.name, nic.network))
    if impairment:
        yield impairment


def _identifier(kind: str, name: str) -> str:
    """Return an identifier for both languages, which don't take a `-` in it."""
    # Names of nodes and networks don't contain `_`, so it stays unique.
    return f"{kind}_{name.replace('-', '_')}"
