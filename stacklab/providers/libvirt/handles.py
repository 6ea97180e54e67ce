"""The handles of libvirt's labs in their records, compared whole.

A handle is only ever read by the functions here, which refuse what can't be the lab's:
`lab.destroy`, often run by root, removes whatever the record names. Imports nothing of
libvirt's.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stacklab.model.lab import Disk
from stacklab.paths import LabPaths
from stacklab.paths.names import is_lab_name
from stacklab.record import Handle, NetworkRecord, NodeRecord

# The kernel takes names of 15 bytes. The name ends up in commands that root runs.
_BRIDGE = re.compile(r"sl-[A-Za-z0-9._-]{1,12}")
_NODE_KEYS = {"domain", "uuid", "overlay", "seed"}
# Names of further disks, with blanks between them; only nodes that have such disks have these.
_DISKS, _SHARED = "disks", "shared_disks"
_DISK = re.compile(r"disk[1-9][0-9]?")
_NETWORK_KEYS = {"libvirt_name", "uuid", "bridge"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LibvirtNode:
    """A node's domain and disks on this host."""

    name: str
    domain: str
    uuid: str
    overlay: Path
    seed: Path
    disks: Mapping[str, Path]  # further ones by name, of this node alone
    shared_disks: Mapping[str, Path]  # further ones that other nodes have, too


@dataclass(frozen=True, slots=True, kw_only=True)
class LibvirtNetwork:
    """A network that we made."""

    name: str
    libvirt_name: str
    uuid: str
    bridge: str


def domain_name(lab: str, node: str) -> str:
    """Return libvirt's name for a node; `_` is in no lab's and no node's name."""
    return f"{lab}_{node}"


def network_name(lab: str, network: str) -> str:
    """Return libvirt's name for a network that we make."""
    return f"{lab}_{network}"


def of_disks(disks: Iterable[Disk]) -> Handle:
    """Return the part of a node's handle that names its further disks; none of a node without."""
    own: list[str] = []
    shared: list[str] = []
    for disk in disks:
        (shared if disk.is_shared else own).append(disk.name)
    named = {_DISKS: " ".join(own), _SHARED: " ".join(shared)}
    return {key: names for key, names in named.items() if names}


def node_of(paths: LabPaths, node: NodeRecord) -> LibvirtNode:
    """Read a node's handle; raises ValueError where it is not a node of this lab."""
    handle = node.handle
    known = {key: value for key, value in handle.items() if key not in (_DISKS, _SHARED)}
    _refuse_odd_keys(node.name, known, _NODE_KEYS)
    domain = handle["domain"]
    if domain != domain_name(paths.name, node.name):
        raise ValueError(f"not a node of this lab: {node.name!a}, domain {domain!a}")
    _refuse_odd_uuid(handle)
    return LibvirtNode(
        name=node.name,
        domain=domain,
        uuid=handle["uuid"],
        overlay=_own_disk(handle["overlay"], paths.overlay(node.name)),
        seed=_own_disk(handle["seed"], paths.seed(node.name)),
        disks={
            disk: paths.further_disk(node.name, disk)
            for disk in _disk_names(handle.get(_DISKS, ""), is_shared=False)
        },
        shared_disks={
            disk: paths.shared_disk(disk)
            for disk in _disk_names(handle.get(_SHARED, ""), is_shared=True)
        },
    )


def _disk_names(names: str, *, is_shared: bool) -> list[str]:
    """Return the names in a handle; raises ValueError for one that could lead elsewhere."""
    found = names.split()
    for name in found:
        if not (is_lab_name(name) if is_shared else _DISK.fullmatch(name)):
            raise ValueError(f"not a disk's name: {name!a}")
    return found


def network_of(lab: str, network: NetworkRecord) -> LibvirtNetwork:
    """Read a network's handle; raises ValueError where it is not a network of this lab."""
    handle = network.handle
    _refuse_odd_keys(network.name, handle, _NETWORK_KEYS)
    name = handle["libvirt_name"]
    bridge = handle["bridge"]
    is_of_lab = name == network_name(lab, network.name)
    if not is_of_lab or not _BRIDGE.fullmatch(bridge):
        raise ValueError(f"not a network of this lab: {name!a}, bridge {bridge!a}")
    _refuse_odd_uuid(handle)
    return LibvirtNetwork(
        name=network.name,
        libvirt_name=name,
        uuid=handle["uuid"],
        bridge=bridge,
    )


def _refuse_odd_keys(name: str, handle: Handle, wanted: set[str]) -> None:
    odd_keys = wanted ^ handle.keys()  # missing ones, and unknown ones
    if odd_keys:
        raise ValueError(f"the handle of {name}: {', '.join(sorted(odd_keys))}")


def _refuse_odd_uuid(handle: Handle) -> None:
    uuid.UUID(handle["uuid"])  # raises ValueError: libvirt would say it less clearly


def _own_disk(recorded: str, ours: Path) -> Path:
    """Return a recorded disk; raises ValueError unless it is the lab's own."""
    disk = Path(recorded)
    # The home may have another name today than when the lab was made, by a link.
    is_same_place = os.path.realpath(disk.parent) == os.path.realpath(ours.parent)
    if disk.name != ours.name or not is_same_place:
        raise ValueError(f"not a disk of this lab: {disk}")
    return disk
