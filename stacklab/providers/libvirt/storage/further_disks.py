"""The disks that VMs have beside the one they boot from: made, named for Vagrant, removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_lowercase

from stacklab.errors import ProviderError
from stacklab.model.lab import Disk, DiskBus, Node
from stacklab.paths import LabPaths
from stacklab.process.command import Runner
from stacklab.progress import Progress
from stacklab.providers.libvirt.handles import LibvirtNode, node_of
from stacklab.record import LabRecord
from stacklab.tools import qemu_img

# libvirt wants names that no other disk of the domain has; SCSI and SATA share theirs.
_PREFIXES = {DiskBus.VIRTIO: "vd", DiskBus.SCSI: "sd", DiskBus.SATA: "sd", DiskBus.IDE: "hd"}
# vda and vdb are the node's overlay and its seed.
_TAKEN = {"vd": 2}


def make(runner: Runner, recorded: LibvirtNode, node: Node) -> None:
    """Make a node's further disks, empty, unless they are there."""
    for disk in node.disks:
        path = _path(recorded, disk)
        if not path.exists():
            runner.run(qemu_img.empty(path, disk.size, disk_format=_format(disk)))


def render(recorded: LibvirtNode, node: Node) -> Sequence[Mapping[str, object]]:
    """Render a node's further disks for the Vagrantfile."""
    taken = dict(_TAKEN)
    rendered = []
    for disk in node.disks:
        path = _path(recorded, disk)
        prefix = _PREFIXES[disk.bus]
        place = taken.get(prefix, 0)
        taken[prefix] = place + 1
        rendered.append(
            {
                "file": path.name,
                "device": prefix + ascii_lowercase[place],
                "format": _format(disk),
                "bus": disk.bus,
                "serial": disk.serial,
                # What one node writes, the others must read: nothing may stay in a cache.
                "cache": "none" if disk.is_shared else "unsafe",
                "is_shared": disk.is_shared,
            }
        )
    return rendered


def _path(recorded: LibvirtNode, disk: Disk) -> Path:
    """Return a disk's file by the record: `lab.destroy` knows of no others."""
    path = (recorded.shared_disks if disk.is_shared else recorded.disks).get(disk.name)
    if path is None:
        lab = recorded.domain.partition("_")[0]
        raise ProviderError(
            f"the disk {disk.name} of {recorded.name} is not on record",
            hint=f"./invoke lab.rebuild {lab}",
        )
    return path


def _format(disk: Disk) -> str:
    # Two QEMUs that write one qcow2 would destroy it, and libvirt refuses that.
    return "raw" if disk.is_shared else "qcow2"


def remove_unshared(paths: LabPaths, record: LabRecord, node: str, progress: Progress) -> None:
    """Remove a node's shared disks, but for those that other nodes keep, which is said.

    The nodes that the record has as made keep theirs; all others are made anew, or go.
    """
    recorded = record.node(node)
    if recorded is None:
        return
    for name, path in node_of(paths, recorded).shared_disks.items():
        keepers = [
            other.name
            for other in record.nodes
            if other.name != node
            and other.is_created
            and name in node_of(paths, other).shared_disks
        ]
        if keepers:
            have = "has" if len(keepers) == 1 else "have"
            text = f"the shared disk {name} stays as it is: {', '.join(keepers)} {have} it, too"
            progress.note(node, text)
        else:
            path.unlink(missing_ok=True)


def remove_shared(paths: LabPaths, record: LabRecord) -> None:
    """Remove all shared disks of a lab whose nodes are gone; absent is success."""
    for node in record.nodes:
        for path in node_of(paths, node).shared_disks.values():
            path.unlink(missing_ok=True)


def refuse_snapshots(paths: LabPaths, record: LabRecord) -> None:
    """Raise ProviderError for a lab with shared disks, which no snapshot can hold.

    A node's own disk is frozen below a new qcow2, and QEMU lets several nodes write to raw only.
    """
    sharing: dict[str, list[str]] = {}  # nodes by their shared disk
    for node in record.nodes:
        for name in node_of(paths, node).shared_disks:
            sharing.setdefault(name, []).append(node.name)
    if not sharing:
        return
    shared = "; ".join(f"{name}, shared by {', '.join(nodes)}" for name, nodes in sharing.items())
    raise ProviderError(
        f"lab {record.name} can't have snapshots because of its shared disks ({shared}): a disk "
        "that several nodes write to is raw, and only qcow2 can be frozen, so its nodes would go "
        "back to a disk that went on",
        hint=f"./invoke lab.rebuild {record.name} makes nodes and disks anew; or give each node a "
        "disk of its own in the spec",
    )
