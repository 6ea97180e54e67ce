"""What a provider of nodes must do. libvirt by Vagrant is the first; others can follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from stacklab.model.lab import Lab, Node
from stacklab.model.state import NodeState
from stacklab.paths import LabPaths
from stacklab.providers.libvirt.evidence import Evidence
from stacklab.record import LabRecord


class Provider(Protocol):
    """Makes, starts, stops and removes a lab's nodes and networks.

    All of it is idempotent: what is there already is left alone, what is absent is
    removed with success. Only what the record names is ever touched.
    """

    name: str

    def files(self, lab: Lab, paths: LabPaths, record: LabRecord) -> Mapping[Path, str]:
        """What it reads: rendered before anything is made."""
        ...

    def up(self, lab: Lab, paths: LabPaths, record: LabRecord, nodes: Sequence[str]) -> None:
        """Have these nodes powered on; returns before they have booted."""
        ...

    def down(self, record: LabRecord, nodes: Sequence[str], *, patience_s: float) -> None:
        """Have these nodes shut down; unplugged when their patience is over."""
        ...

    def destroy(self, paths: LabPaths, record: LabRecord) -> None:
        """Remove all that the record names."""
        ...

    def remove_node(self, paths: LabPaths, record: LabRecord, node: str) -> None:
        """Remove one node, its disks included."""
        ...

    def status(self, record: LabRecord) -> Mapping[str, NodeState]:
        """What each node does, without starting a program."""
        ...

    def reset(self, record: LabRecord, node: str) -> None:
        """Press a node's reset button: it boots again from the same disk."""
        ...

    def evidence(self, paths: LabPaths, record: LabRecord, node: Node) -> Evidence:
        """Why a node may not answer: the likeliest cause; its state, NICs, leases, ARP, sshd, console. Never raises."""
        ...
