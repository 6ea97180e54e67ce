"""What a provider does that can add NICs to nodes as they are: a capability, see `contract`."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from stacklab.model.lab import NIC, Lab
from stacklab.record import LabRecord


# Not a capability itself: a provider that has PlugsNics hands it out.
class NicPlug(Protocol):
    """Adds NICs to one lab's nodes: to what runs, and to what starts the next time."""

    def why_not(self, node: str) -> str:
        """Return why a NIC can't be added to this node as it is; "" if it can."""
        ...

    def plug(self, node: str, nic: NIC) -> None:
        """Add a NIC of the lab's spec to a node; one that the node has already is success.

        The NIC's network has to run if the node does. Raises ProviderError.
        """
        ...


@runtime_checkable
class PlugsNics(Protocol):
    """NICs that are added to nodes while they run, or while they are off."""

    def nic_plug(self, lab: Lab, record: LabRecord) -> NicPlug:
        """Return who adds NICs to that lab's nodes."""
        ...
