"""Rules for the further disks of nodes, and the disks that they resolve to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from stacklab.model.lab import Disk, DiskBus, NodeKind
from stacklab.spec.defaults import kind_of, members
from stacklab.spec.form.schema import MOST_DISKS, DiskSpec, LabSpec, NodeSpec
from stacklab.spec.mistakes import Keys, SpecMistake

# The machine has two channels with two places each.
MOST_IDE = 4


class _SharedBy(NamedTuple):
    """One node's entry of a shared disk."""

    path: Keys
    node: str
    disk: DiskSpec


def resolve_disks(node: NodeSpec) -> tuple[Disk, ...]:
    """Return a node's further disks with every default filled in."""
    return tuple(_resolve(disk, number) for number, disk in enumerate(node.disks or (), start=1))


def _resolve(disk: DiskSpec, number: int) -> Disk:
    name = disk.shared or f"disk{number}"
    return Disk(
        name=name,
        size=disk.size,
        bus=disk.bus or DiskBus.VIRTIO,
        serial=disk.serial or name,
        is_shared=disk.shared is not None,
    )


def check_disks(spec: LabSpec, *, is_whole: bool) -> Iterator[SpecMistake]:
    """Yield all that is wrong with further disks; if not `is_whole`, parts of the spec are gone."""
    for key, node in spec.nodes.items():
        path: Keys = ("nodes", key, "disks")
        if not node.disks:
            continue
        if kind_of(node, spec) is NodeKind.CONTAINER:
            yield SpecMistake(
                path=path,
                wrong="a container has no disks of its own",
                right="remove it, or say kind: vm",
            )
        yield from _check_numbers(path, node.disks)
        yield from _check_serials(path, resolve_disks(node))
        yield from _check_shared_twice(path, node.disks)
    yield from _check_shared(spec, is_whole=is_whole)


def _check_numbers(path: Keys, disks: tuple[DiskSpec, ...]) -> Iterator[SpecMistake]:
    if len(disks) > MOST_DISKS:
        yield SpecMistake(path=path, wrong=f"{len(disks)} disks", right=f"{MOST_DISKS} at most")
    ide = sum(disk.bus is DiskBus.IDE for disk in disks)
    if ide > MOST_IDE:
        yield SpecMistake(
            path=path,
            wrong=f"{ide} disks on ide",
            right=f"{MOST_IDE} at most: two channels with two places each",
        )


def _check_serials(path: Keys, disks: tuple[Disk, ...]) -> Iterator[SpecMistake]:
    first: dict[str, int] = {}
    for index, disk in enumerate(disks):
        # A shared disk that is there twice is a finding of its own.
        is_same_disk = disk.is_shared and disk.name in {one.name for one in disks[:index]}
        if disk.serial in first and not is_same_disk:
            yield SpecMistake(
                path=(*path, index),
                wrong=f"the serial {disk.serial} is that of disks[{first[disk.serial]}], too",
                right="write another serial: by it the node knows the disk",
            )
        first.setdefault(disk.serial, index)


def _check_shared_twice(path: Keys, disks: tuple[DiskSpec, ...]) -> Iterator[SpecMistake]:
    first: dict[str, int] = {}
    for index, disk in enumerate(disks):
        if disk.shared is None:
            continue
        if disk.shared in first:
            yield SpecMistake(
                path=(*path, index, "shared"),
                wrong=f"the node has {disk.shared} already",
                right=f"the first is disks[{first[disk.shared]}]",
            )
        first.setdefault(disk.shared, index)


def _check_shared(spec: LabSpec, *, is_whole: bool) -> Iterator[SpecMistake]:
    """Yield what is wrong with a shared disk as all of its nodes have it."""
    for name, uses in _shared(spec).items():
        first = uses[0]
        reported: set[Keys] = set()  # a node with a count has one entry for all of its nodes
        for other in uses[1:]:
            if other.disk.size == first.disk.size or other.path in reported:
                continue
            reported.add(other.path)
            yield SpecMistake(
                path=(*other.path, "size"),
                wrong=f"{name} has {other.disk.size} here and {first.disk.size} on {first.node}",
                right="it is one disk: write the same size",
            )
        # The other node may be among what was left out.
        if is_whole and len({use.node for use in uses}) == 1:
            yield SpecMistake(
                path=(*first.path, "shared"),
                wrong=f"no other node has {name}",
                right="write it on a second node, too, or remove `shared`",
            )


def _shared(spec: LabSpec) -> dict[str, list[_SharedBy]]:
    uses: dict[str, list[_SharedBy]] = {}
    for member in members(spec):
        for index, disk in enumerate(member.spec.disks or ()):
            if disk.shared is not None:
                path: Keys = ("nodes", member.key, "disks", index)
                use = _SharedBy(path=path, node=member.name, disk=disk)
                uses.setdefault(disk.shared, []).append(use)
    return uses
