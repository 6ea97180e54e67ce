"""A bundle: a snapshot of a lab in one file, as the index at its beginning describes it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from stacklab.codec import JSON, Codec
from stacklab.model import lab_json
from stacklab.model.lab import Lab
from stacklab.model.snapshot import Hardware, SnapshotManifest

FORMAT = 1
_KEY_DIGITS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedFile:
    """A file of the bundle."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BundledImage:
    """The base image below all disks; `is_inside` says if the bundle has it."""

    key: str
    sha256: str
    bytes: int
    is_inside: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleIndex:
    """The first member: what the others are, in their order."""

    format: int
    key: str  # for the caches of a CI system
    home: str  # of stacklab where the bundle was made: paths in its members begin with it
    image: BundledImage
    manifest: SnapshotManifest
    # Of each node: file names of its frozen disk and of those below it, down to the base image.
    chains: Mapping[str, tuple[str, ...]]
    members: tuple[PackedFile, ...]

    @property
    def bytes(self) -> int:
        """Return what the members take, unpacked."""
        return sum(member.bytes for member in self.members)


CODEC = Codec(BundleIndex, left_out_empty=frozenset({"further_disks"}))
_HARDWARE = Codec(Hardware)


def cache_key(lab: Lab, snapshot: str, *, image: str, hardware: Hardware) -> str:
    """Return a key that changes when a bundle that was made before would not fit any more.

    It is made of the resolved lab, the base image and what memory can be restored on.
    """
    # Read back first, as it is from a snapshot: 60 and 60.0 are two texts, but one number.
    read_back = lab_json.from_dict(lab_json.to_dict(lab))
    resolved: dict[str, JSON] = lab_json.to_dict(read_back)
    # Where the spec is on a host is not what the lab is.
    del resolved["source"]
    data = {
        "format": FORMAT,
        "lab": resolved,
        "snapshot": snapshot,
        "image": image,
        "hardware": _HARDWARE.encode(hardware),
    }
    digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
    return f"stacklab-{lab.name}-{snapshot}-{digest[:_KEY_DIGITS]}"


def member_names(index: BundleIndex) -> tuple[str, ...]:
    """Return the names that the members of such a bundle have, in their order."""
    names = ["files.tar"]
    for node in index.manifest.nodes:
        names += [domain_member(node), seed_member(node), memory_member(node)]
        names += [disk_member(node, position) for position in range(len(index.chains[node]))]
    if index.image.is_inside:
        names.append("image.qcow2")
    return tuple(names)


def domain_member(node: str) -> str:
    """Return the name of a node's domain."""
    return f"nodes/{node}/domain.xml"


def seed_member(node: str) -> str:
    """Return the name of a node's seed."""
    return f"nodes/{node}/seed.img"


def memory_member(node: str) -> str:
    """Return the name of a node's memory."""
    return f"nodes/{node}/memory"


def disk_member(node: str, position: int) -> str:
    """Return the name of a node's disk; 0 is the highest one, the others lie below it in turn."""
    return f"nodes/{node}/disk{position}.qcow2"
