"""The drivers of further disks that a node does not load by itself. Pure.

At boot udev looks at virtio's devices, but not at those on PCI (packer/scripts/30-lean.sh), and so
finds no controller of IDE or SATA.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stacklab.model.lab import DiskBus, Node
from stacklab.nodes.archive import Entry

_MODULES = {DiskBus.IDE: "ata_piix", DiskBus.SATA: "ahci"}
_FILE = "etc/modules-load.d/stacklab-disks.conf"


def modules(node: Node) -> Sequence[str]:
    """Return the modules that a node's further disks need, each once."""
    needed = {_MODULES[disk.bus]: None for disk in node.disks if disk.bus in _MODULES}
    return tuple(needed)


def entries(node: Node) -> Mapping[str, Entry]:
    """Return the file of the seed by which a node loads them at its second boot, and later."""
    # At the first one, systemd has looked for such files before the seed is taken.
    names = modules(node)
    return {_FILE: Entry(text="\n".join((*names, "")))} if names else {}


def script(node: Node) -> str:
    """Return what loads them now; "" for a node that needs none."""
    names = " ".join(modules(node))
    if not names:
        return ""
    # A kernel may have one built in, or lack it: whether the disks are there, the check tells.
    return f"for module in {names}; do modprobe -q $module; done; udevadm settle -t 20; true"
