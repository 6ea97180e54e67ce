"""Tin: a provider whose nodes are files in the lab's directory, with no capability at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from stacklab.model.lab import Lab, Node
from stacklab.model.state import NodeState
from stacklab.nodes.archive import Entry
from stacklab.paths import LabPaths
from stacklab.providers.contract import HostServices, Provider, Unreachable
from stacklab.record import Handles, LabRecord


class TinKind:
    """See ProviderKind."""

    look = "ls tin"

    def new_handles(self, lab: Lab, paths: LabPaths) -> Handles:
        return Handles(
            nodes={node.name: {"tin": f"{lab.name}-{node.name}"} for node in lab.nodes},
            networks={network.name: {} for network in lab.networks},
        )

    def refuse_damaged(self, paths: LabPaths, record: LabRecord) -> None:
        for node in record.nodes:
            if node.handle != {"tin": f"{paths.name}-{node.name}"}:
                raise ValueError(f"not a tin of this lab: {node.handle}")

    def open(self, site: HostServices) -> Provider:
        return Tin(site)


KIND = TinKind()


class Tin:
    """See Provider; a node is a file `tin/NAME` that holds its state."""

    name = "tin"

    def __init__(self, site: HostServices) -> None:
        self._root = site.host.root / "tin"

    def why_unreachable(self, *, start: bool = False) -> Unreachable | None:
        if start:
            self._root.mkdir(exist_ok=True)
        return None

    def files(self, lab: Lab, paths: LabPaths, record: LabRecord) -> Mapping[Path, str]:
        return {paths.root / "tins": " ".join(node.name for node in lab.nodes)}

    def prepare(
        self,
        lab: Lab,
        record: LabRecord,
        nodes: Sequence[str],
        *,
        base: Path,
        identity: Callable[[Node], Mapping[str, Entry]],
    ) -> None:
        for name in nodes:
            assert base.exists()
            assert identity(lab.node(name))

    def make_networks(self, lab: Lab, record: LabRecord) -> None:
        pass

    def up(self, lab: Lab, paths: LabPaths, record: LabRecord, nodes: Sequence[str]) -> None:
        for name in nodes:
            self._tin(record, name).write_text(NodeState.RUNNING)

    def down(self, record: LabRecord, nodes: Sequence[str], *, patience_s: float) -> None:
        for name in nodes:
            self._tin(record, name).write_text(NodeState.OFF)

    def destroy(self, paths: LabPaths, record: LabRecord) -> None:
        for node in record.nodes:
            self.remove_node(paths, record, node.name)

    def remove_node(self, paths: LabPaths, record: LabRecord, node: str) -> None:
        self._tin(record, node).unlink(missing_ok=True)

    def undefine_node(self, paths: LabPaths, record: LabRecord, node: str) -> None:
        pass

    def remove_network(self, record: LabRecord, network: str) -> None:
        pass

    def status(self, record: LabRecord) -> Mapping[str, NodeState]:
        states = {}
        for node in record.nodes:
            tin = self._tin(record, node.name)
            states[node.name] = NodeState(tin.read_text()) if tin.exists() else NodeState.ABSENT
        return states

    def close_down(self) -> None:
        self._root.rmdir()

    def close(self) -> None:
        pass

    def _tin(self, record: LabRecord, name: str) -> Path:
        node = record.node(name)
        assert node is not None
        return self._root / node.handle["tin"]
