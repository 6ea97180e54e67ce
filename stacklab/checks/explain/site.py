"""The nodes that have to do with failures, as they and this host see them at one moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from stacklab.checks.explain import scene
from stacklab.checks.explain.scene import UNSEEN, Scene
from stacklab.checks.holder import nic_by_device
from stacklab.checks.kinds import ExplainedBy
from stacklab.checks.result import Check, CheckKind, CheckResult, CheckStatus, Reason
from stacklab.errors import LabError
from stacklab.model.lab import NIC, Lab, Node
from stacklab.nodes import session
from stacklab.paths import LabPaths
from stacklab.process import Conversing
from stacklab.providers.contract import Looker
from stacklab.providers.node_view import View
from stacklab.tools import bounded

_LIMIT_S = 8.0  # of the session with one node
_MOST_NODES = 12  # are looked at: with more nodes, the causes are few all the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A lab with what its nodes say of themselves (scenes) and what the host sees (views)."""

    lab: Lab
    nodes: Mapping[str, Node]
    unreached: frozenset[str]  # nodes that the host could not log in on, or that went off
    views: Mapping[str, View] = field(default_factory=dict)
    scenes: Mapping[str, Scene] = field(default_factory=dict)

    def scene(self, node: str) -> Scene:
        """Return a node's own words; UNSEEN where it was not asked."""
        return self.scenes.get(node, UNSEEN)

    def nic(self, check: Check) -> NIC | None:
        """Return the NIC by which a node does a check."""
        node = self.nodes[check.node]
        # A check of what is not on a network may still have a device.
        return node.nic_on(check.network) or nic_by_device(node, check.device)


def look(
    lab: Lab,
    paths: LabPaths,
    runner: Conversing,
    bad: Sequence[CheckResult],
    host: Looker | None,
) -> Observation:
    """Ask the nodes and look at them from the host, all at once; never raises."""
    nodes = {node.name: node for node in lab.nodes}
    unreached = frozenset(result.check.node for result in bad if _is_cut_off(result))
    addresses = _addresses_to_ask(bad)
    chosen = _choose_nodes(bad, nodes, unreached)
    if not chosen:
        return Observation(lab=lab, nodes=nodes, unreached=unreached)
    scenes: dict[str, Scene] = {}
    views: dict[str, View] = {}

    def keep_scene(name: str) -> None:
        """Ask a node; one that the host can't log in on is not tried again."""
        if name in unreached:
            scenes[name] = UNSEEN
        else:
            scenes[name] = _ask_node(paths, runner, name, addresses.get(name, []))

    def keep_views() -> None:
        """Look at all nodes from the host, with one snapshot, while they are being asked."""
        if host is None:
            return
        snapshot = host.snapshot()

        def keep_view(name: str) -> None:
            views[name] = host.view(nodes[name], snapshot, is_knocking=name in unreached)

        bounded.together([partial(keep_view, name) for name in chosen], name="view")

    # Daemon threads: where libvirtd hangs, Ctrl-C must not wait for its limit of 10 s.
    work = [partial(keep_scene, name) for name in chosen]
    bounded.together([*work, keep_views], name="explain")
    # In the order of the nodes that were chosen, not in that of the threads' ends.
    return Observation(
        lab=lab,
        nodes=nodes,
        unreached=unreached,
        views={name: views[name] for name in chosen if name in views},
        scenes={name: scenes[name] for name in chosen},
    )


def _ask_node(paths: LabPaths, runner: Conversing, node: str, addresses: Sequence[str]) -> Scene:
    """Ask a node in one session, within seconds; UNSEEN where that fails. Never raises."""
    try:
        reply = session.ask(runner, paths, node, scene.parts(addresses), limit_s=_LIMIT_S)
    except LabError:  # this host lacks ssh
        return UNSEEN
    return scene.read(reply.answer)


def _is_cut_off(result: CheckResult) -> bool:
    """Return True if the host lost the node: no login, or it went off in mid-session."""
    if result.check.kind is CheckKind.LOGIN:
        return True
    return result.status is CheckStatus.ERROR and result.reason is Reason.NODE_OFF


def _is_about_ways(check: Check) -> bool:
    """Return True if a look at the nodes' networks may explain a check."""
    return check.kind.traits.explained_by is not ExplainedBy.NODE


def _addresses_to_ask(bad: Sequence[CheckResult]) -> dict[str, list[str]]:
    """Return the addresses that each node is asked about, each once."""
    addresses: dict[str, dict[str, None]] = {}  # the inner ones are sets that keep their order
    for result in bad:
        check = result.check
        if check.address and _is_about_ways(check):
            addresses.setdefault(check.node, {})[check.address] = None
    return {name: list(asked) for name, asked in addresses.items()}


def _choose_nodes(
    bad: Sequence[CheckResult], nodes: Mapping[str, Node], unreached: frozenset[str]
) -> list[str]:
    """Choose the nodes to look at, those with the most failures first.

    A node that the host could not log in on comes before all others: its failure may
    explain most of theirs.
    """
    count: Counter[str] = Counter()
    for result in bad:
        if _is_about_ways(result.check):
            # The host, and targets outside, are not nodes; one's own target counts once.
            ends = {result.check.node, result.check.target}
            count.update(ends & nodes.keys())

    def rank(name: str) -> tuple[bool, int]:
        return name not in unreached, -count[name]

    return sorted(count, key=rank)[:_MOST_NODES]
