"""The device that has a NIC's address: one rule for all that look at a node.

A cloud makes a bridge or a vrouter of a NIC (br-ex, vhost0). It has the NIC's address and
its MAC, and it takes the NIC's place. Another device with the address does not.
`reach.transit` has the same rule in shell, since it runs on the node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stacklab.model.lab import NIC, Node


def holders(nic: NIC, addresses: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the devices that have the NIC's address, the NIC's own one first.

    `addresses` are each device's, written like `10.0.0.2/24`.
    """
    wanted = str(nic.address)
    having = [name for name, held in addresses.items() if wanted in held]
    # False comes before True, and sorting keeps the order of all others.
    return sorted(having, key=lambda name: name != nic.device)


def is_made_of(nic: NIC, mac: str) -> bool:
    """Return True if a device with that MAC is the NIC, or was made of it."""
    return mac.lower() == nic.mac.lower()


def holder(nic: NIC, addresses: Mapping[str, Sequence[str]], macs: Mapping[str, str]) -> str:
    """Return the device that stands for the NIC: what has its address and its MAC, or itself."""
    for name in holders(nic, addresses):
        mac = macs.get(name, "")
        if name == nic.device or is_made_of(nic, mac):
            return name
    return nic.device


def nic_by_device(node: Node, device: str) -> NIC | None:
    """Return the NIC of a node that has that device; None if none has."""
    for nic in node.nics:
        if nic.device == device:
            return nic
    return None
