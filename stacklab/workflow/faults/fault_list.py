"""The faults of a lab, as people write them and as they are kept: `L/faults.json`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from typing import Any

from stacklab import files
from stacklab.checks.expect import Fault, FaultKind
from stacklab.errors import LabError
from stacklab.model.lab import Lab, NetworkMode
from stacklab.paths import LabPaths

_USAGE = """\
./invoke lab.fault {lab} link-down NODE NIC | unplug NODE NIC | pause NODE | power-off NODE | \
partition NETWORK NODE,NODE [NODE,...], --undo before it (or alone: all) undoes it"""


def parse(lab: Lab, words: Sequence[str]) -> Fault:
    """Read `link-down compute1 eth1`, `pause compute1`, `partition fabric controller,compute1`.

    Raises LabError saying what is wrong and how it is written.
    """
    kind, rest = (words[0], list(words[1:])) if words else ("", [])
    if kind not in tuple(FaultKind):
        raise _wrong(lab, f"{kind!r} is not a fault (there are: {', '.join(FaultKind)})")
    if kind == FaultKind.PARTITION:
        return _partition(lab, rest)
    names = "NODE" if kind in (FaultKind.PAUSE, FaultKind.POWER_OFF) else "NODE NIC"
    if len(rest) != len(names.split()):
        raise _wrong(lab, f"{kind} takes {names}, not {' '.join(rest) or 'nothing'}")
    found = next((node for node in lab.nodes if node.name == rest[0]), None)
    if found is None:
        raise _wrong(lab, f"lab {lab.name} has no node {rest[0]!r} (it has: {_names(lab.nodes)})")
    if len(rest) == 1:
        return Fault(kind=FaultKind(kind), node=found.name)
    nic = next((nic for nic in found.nics if rest[1] in (nic.device, nic.network)), None)
    if nic is None:
        has = ", ".join(f"{nic.device} on {nic.network}" for nic in found.nics)
        raise _wrong(lab, f"{found.name} has no NIC {rest[1]!r} (it has: {has})")
    return Fault(kind=FaultKind(kind), node=found.name, device=nic.device, network=nic.network)


def _partition(lab: Lab, words: Sequence[str]) -> Fault:
    if len(words) < 2:
        raise _wrong(lab, f"partition takes NETWORK NODE,NODE, not {' '.join(words) or 'nothing'}")
    network = next((network for network in lab.networks if network.name == words[0]), None)
    if network is None:
        raise _wrong(
            lab, f"lab {lab.name} has no network {words[0]!r} (it has: {_names(lab.networks)})"
        )
    if network.mode is NetworkMode.BRIDGED:
        raise _wrong(
            lab, f"network {network.name} is a bridge of the host's: it is not the lab's to part"
        )
    members = [node.name for node, _ in lab.members(network.name)]
    groups = [tuple(name for name in word.split(",") if name) for word in words[1:]]
    named = [name for group in groups for name in group]
    for name in named:
        if name not in members:
            raise _wrong(
                lab, f"{name!r} is not a node on {network.name} (there are: {', '.join(members)})"
            )
        if named.count(name) > 1:
            raise _wrong(lab, f"{name} is named twice")
    groups = [
        group for group in (*groups, tuple(name for name in members if name not in named)) if group
    ]
    if len(groups) < 2:
        raise _wrong(lab, f"all of {network.name} is in one group: nothing is parted")
    return Fault(kind=FaultKind.PARTITION, network=network.name, groups=tuple(groups))


def _names(things: Iterable[object]) -> str:
    return ", ".join(str(getattr(thing, "name", thing)) for thing in things)


def _wrong(lab: Lab, what: str) -> LabError:
    return LabError(what, hint=_USAGE.format(lab=lab.name))


def listed(paths: LabPaths) -> tuple[Fault, ...]:
    """Return the faults of a lab, the oldest first; raises LabError when the list is damaged."""
    path = paths.faults
    try:
        return tuple(_read(each) for each in json.loads(path.read_text()))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        hint = (
            f"./invoke lab.rebuild {paths.name} makes the nodes again; "
            "ebtables -L shows the rules of a partition"
        )
        raise LabError(
            f"the faults of lab {paths.name} can't be read: {path}: {error}", hint=hint
        ) from error


def _read(data: dict[str, Any]) -> Fault:
    groups = tuple(tuple(map(str, group)) for group in data.pop("groups"))
    return Fault(**{**data, "kind": FaultKind(str(data["kind"])), "groups": groups})


def write(paths: LabPaths, faults: Iterable[Fault]) -> None:
    """Keep the list; without faults there is no file."""
    kept = [dataclasses.asdict(fault) for fault in faults]
    if kept:
        files.write(paths.faults, json.dumps(kept, indent=2) + "\n")
    else:
        paths.faults.unlink(missing_ok=True)
