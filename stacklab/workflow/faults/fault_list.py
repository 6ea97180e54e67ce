"""The faults of a lab, as people type them and as `L/faults.json` holds them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from typing import Any

from stacklab import files
from stacklab.checks.expect import Fault, FaultKind
from stacklab.errors import LabError
from stacklab.model.lab import NIC, Lab, Network, Node
from stacklab.paths import LabPaths
from stacklab.workflow.node_names import node_named

_USAGE = """\
./invoke lab.fault {lab} link-down NODE NIC | unplug NODE NIC | pause NODE | power-off NODE | \
partition NETWORK NODE,NODE [NODE,...], --undo before it (or alone: all) undoes it"""


def parse(lab: Lab, words: Sequence[str]) -> Fault:
    """Read `link-down compute1 eth1`, `pause compute1`, `partition fabric controller,compute1`.

    Raises LabError saying what is wrong and how it is written.
    """
    word, *rest = words or [""]
    if word not in tuple(FaultKind):
        raise _wrong_words(lab, f"{word!r} is not a fault (there are: {', '.join(FaultKind)})")
    kind = FaultKind(word)
    if kind is FaultKind.PARTITION:
        return _parse_partition(lab, rest)
    is_of_node = kind in (FaultKind.PAUSE, FaultKind.POWER_OFF)
    usage = ("NODE",) if is_of_node else ("NODE", "NIC")
    if len(rest) != len(usage):
        raise _wrong_words(lab, f"{kind} takes {' '.join(usage)}, not {_shown(rest)}")
    node = node_named(lab, rest[0], hint=_usage(lab))
    if is_of_node:
        return Fault(kind=kind, node=node.name)
    nic = _nic_named(lab, node, rest[1])
    return Fault(kind=kind, node=node.name, device=nic.device, network=nic.network)


def _shown(words: Sequence[str]) -> str:
    return " ".join(words) or "nothing"


def _nic_named(lab: Lab, node: Node, name: str) -> NIC:
    """Return a node's NIC by its device or by its network; both are easy to remember."""
    for nic in node.nics:
        if name in (nic.device, nic.network):
            return nic
    known = ", ".join(f"{nic.device} on {nic.network}" for nic in node.nics)
    raise _wrong_words(lab, f"{name!r} is not a NIC of {node.name} (it has: {known})")


def _parse_partition(lab: Lab, words: Sequence[str]) -> Fault:
    if len(words) < 2:
        raise _wrong_words(lab, f"partition takes NETWORK NODE,NODE, not {_shown(words)}")
    network = _network_to_part(lab, words[0])
    members = [node.name for node, _nic in lab.members(network.name)]
    # `a,,b` and `a,` are forgiven: empty names are dropped.
    groups = [tuple(filter(None, word.split(","))) for word in words[1:]]
    named = [name for group in groups for name in group]
    for name in named:
        if name not in members:
            known = ", ".join(members)
            raise _wrong_words(
                lab, f"{name!r} is not a node on {network.name} (there are: {known})"
            )
        if named.count(name) > 1:
            raise _wrong_words(lab, f"{name} is named twice")
    # Nodes that are not named hear each other: they are one more group.
    groups.append(tuple(name for name in members if name not in named))
    nonempty = tuple(filter(None, groups))
    if len(nonempty) < 2:
        raise _wrong_words(lab, f"all of {network.name} is in one group: nothing is parted")
    return Fault(kind=FaultKind.PARTITION, network=network.name, groups=nonempty)


def _network_to_part(lab: Lab, name: str) -> Network:
    for network in lab.networks:
        if network.name != name:
            continue
        if not network.is_made_by_us:
            # Others of the host's machines may be on it.
            where = f"on {network.bridge}, which is the host's own"
            what = f"network {name} is {where}: it is not the lab's to part"
            raise _wrong_words(lab, what)
        return network
    known = ", ".join(network.name for network in lab.networks)
    raise _wrong_words(lab, f"{name!r} is not a network of lab {lab.name} (it has: {known})")


def _usage(lab: Lab) -> str:
    return _USAGE.format(lab=lab.name)


def _wrong_words(lab: Lab, what: str) -> LabError:
    return LabError(what, hint=_usage(lab))


def listed(paths: LabPaths) -> tuple[Fault, ...]:
    """Return the faults of a lab, the oldest first; raises LabError when the list is damaged."""
    path = paths.faults
    try:
        entries = json.loads(path.read_text())
        return tuple(_parse_entry(entry) for entry in entries)
    except FileNotFoundError:
        return ()
    # All that can go wrong with JSON that is not a list of what `write` wrote.
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        rebuild = f"./invoke lab.rebuild {paths.name} makes the nodes again"
        raise LabError(
            f"the faults of lab {paths.name} can't be read: {path}: {error}",
            hint=f"{rebuild}; ebtables -L shows the rules of a partition",
        ) from error


def _parse_entry(data: dict[str, Any]) -> Fault:
    # JSON has neither enums nor tuples; the other fields are as they were.
    kind = FaultKind(str(data.pop("kind")))
    groups = tuple(tuple(map(str, group)) for group in data.pop("groups"))
    return Fault(kind=kind, groups=groups, **data)


def write(paths: LabPaths, faults: Iterable[Fault]) -> None:
    """Write the list; without faults, remove its file."""
    entries = [dataclasses.asdict(fault) for fault in faults]
    if entries:
        files.write(paths.faults, json.dumps(entries, indent=2) + "\n")
    else:
        paths.faults.unlink(missing_ok=True)
