"""Record what exists of a lab on this host: from before it is made until it is gone.

Names and handles are recorded whole and compared whole, so that only what is ours is
ever destroyed. There is one record per lab and host, so two checkouts can't fight over
one lab. Handles belong to the provider: workflows read records through
stacklab.providers.registry, which refuses a record whose handles are not this lab's.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stacklab import files
from stacklab.errors import AlreadyRunning, LabError
from stacklab.model.lab import Lab, NodeKind
from stacklab.paths import HostPaths, LabPaths
from stacklab.paths.names import is_lab_name
from stacklab.paths.project import PROJECT

_VERSION = 2
_MOMENTS = ("expires_at", "answered_at")
# What `lab.up` has still to do to a node; seldom anything.
_MARKS = ("is_outdated", "lacks_names", "has_nics")
# Version 1 knew libvirt alone, and had the handles' fields beside the others.
_PROVIDER_OF_V1 = "libvirt"
_NOT_HANDLE = ("name", "is_created", "answers")

Handle = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecord:
    """A node; by `handle` its provider knows what exists of it on the host."""

    name: str
    handle: Handle
    is_created: bool = False  # the provider has finished making it
    answers: str = ""  # digest of the answer files that the node has
    # Of another spec than the lab's: it is to be defined anew, on its own disk.
    is_outdated: bool = False
    # It runs, and does not know the names and host keys of all nodes of today.
    lacks_names: bool = False
    # It has its first so many NICs, and the others are to be plugged in; 0: it has all.
    has_nics: int = 0

    @property
    def is_interrupted(self) -> bool:
        """Return True if it is to be made, or defined, anew, whatever it does now."""
        return not self.is_created or self.is_outdated

    def as_booted(self) -> NodeRecord:
        """Return the same node once it has booted from what its lab is today."""
        return dataclasses.replace(
            self, is_created=True, is_outdated=False, lacks_names=False, has_nics=0
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRecord:
    """A network that we made; `handle` belongs to its provider."""

    name: str
    handle: Handle


@dataclass(frozen=True, slots=True, kw_only=True)
class Handles:
    """The handles of a new lab, by the names of its nodes and of the networks that we make."""

    nodes: Mapping[str, Handle]
    networks: Mapping[str, Handle]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabRecord:
    """All that exists of a lab on this host; `image` is the key of the base under its disks."""

    name: str
    provider: str  # the word in stacklab.providers.registry
    checkout: Path
    created_at: float
    image: str
    # Preferred image -> why it was not taken.
    passed_over: Mapping[str, str] = field(default_factory=dict)
    nodes: tuple[NodeRecord, ...]
    networks: tuple[NetworkRecord, ...]
    expires_at: float | None = None  # when lab.reap may destroy it; None: never
    all_as: str = ""  # the kind that `--as` gave all nodes; "": each has that of the spec
    answered_at: float | None = None  # when lab.up last saw all nodes answer
    # Compute nodes that are gone, and that the lab's cloud still lists.
    departed: tuple[str, ...] = ()

    def node(self, name: str) -> NodeRecord | None:
        """Return what is recorded of a node, if anything is."""
        return next((node for node in self.nodes if node.name == name), None)

    def network(self, name: str) -> NetworkRecord | None:
        """Return what is recorded of a network, if anything is."""
        return next((network for network in self.networks if network.name == name), None)

    def is_outdated(self, node: str) -> bool:
        """Return True if a node is to be defined anew."""
        recorded = self.node(node)
        return recorded is not None and recorded.is_outdated

    def with_node(self, changed: NodeRecord) -> LabRecord:
        """Return the same record with one node's entry replaced."""
        nodes = tuple(changed if node.name == changed.name else node for node in self.nodes)
        return dataclasses.replace(self, nodes=nodes)

    def without(self, *, nodes: Collection[str] = (), networks: Collection[str] = ()) -> LabRecord:
        """Return the same record without these nodes and networks, which are gone."""
        return dataclasses.replace(
            self,
            nodes=tuple(node for node in self.nodes if node.name not in nodes),
            networks=tuple(one for one in self.networks if one.name not in networks),
        )

    @property
    def handles(self) -> Handles:
        """Return by what the provider knows the lab's nodes and networks."""
        return Handles(
            nodes={node.name: node.handle for node in self.nodes},
            networks={network.name: network.handle for network in self.networks},
        )

    @property
    def is_ours(self) -> bool:
        """True if this checkout made it."""
        return self.checkout == PROJECT


class RecordDamaged(LabError):
    """A record that can't be its lab's; `look` is the command that shows what is left."""

    def __init__(self, paths: LabPaths, why: object, *, look: str) -> None:
        super().__init__(
            f"the record of lab {paths.name} is damaged: {paths.record}: {why}",
            hint=f"{look} shows what is left; remove it by hand, then rm -r {paths.root}",
        )
        self.why = why


def new(
    lab: Lab,
    paths: LabPaths,
    *,
    provider: str,
    handles: Handles,
    image: str,
    passed_over: Mapping[str, str],
    now: float,
    all_as: str = "",
) -> LabRecord:
    """Make up a record for a lab of which nothing exists yet."""
    nodes: list[NodeRecord] = []
    for node in lab.nodes:
        nodes.append(NodeRecord(name=node.name, handle=handles.nodes[node.name]))
    networks: list[NetworkRecord] = []
    for network in lab.networks:
        if network.is_made_by_us:
            handle = handles.networks[network.name]
            networks.append(NetworkRecord(name=network.name, handle=handle))
    return LabRecord(
        name=paths.name,
        provider=provider,
        checkout=PROJECT,
        created_at=now,
        image=image,
        passed_over=passed_over,
        nodes=tuple(nodes),
        networks=tuple(networks),
        all_as=all_as,
    )


def grown(lab_record: LabRecord, lab: Lab, handles: Handles) -> LabRecord:
    """Return the record with what a lab has more than it; what is on record stays on it.

    `handles` are new ones of the whole lab: nodes that are to be made or defined anew get them,
    too. So they differ from those in a snapshot of before, which is never restored onto them.
    """
    nodes: list[NodeRecord] = []
    for node in lab.nodes:
        handle = handles.nodes[node.name]
        known = lab_record.node(node.name)
        if known is None:
            known = NodeRecord(name=node.name, handle=handle)
        elif known.is_interrupted:
            known = dataclasses.replace(known, handle=handle)
        nodes.append(known)
    in_lab = {node.name for node in nodes}
    nodes += [node for node in lab_record.nodes if node.name not in in_lab]
    networks: list[NetworkRecord] = []
    for network in lab.networks:
        recorded = lab_record.network(network.name)
        if recorded is None and network.is_made_by_us:
            handle = handles.networks[network.name]
            recorded = NetworkRecord(name=network.name, handle=handle)
        if recorded is not None:
            networks.append(recorded)
    networks += [network for network in lab_record.networks if network not in networks]
    return dataclasses.replace(lab_record, nodes=tuple(nodes), networks=tuple(networks))


def read(paths: LabPaths) -> LabRecord | None:
    """Return the lab's record; None where nothing exists.

    Its handles are not looked at: see stacklab.providers.registry.read. Raises
    RecordDamaged when it can't be understood, LabError when it can't be read, and HostError
    when every user of this host could have written it.
    """
    files.refuse_open((paths.host.root, paths.host.labs, paths.root))
    try:
        text = paths.record.read_text()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise RecordDamaged(paths, error, look="") from error
    except OSError as error:
        raise LabError(
            f"the record of lab {paths.name} can't be read: {paths.record}: {error.strerror}",
            hint=f"ls -l {paths.record}",
        ) from error
    return parse(text, paths)


def parse(text: str, paths: LabPaths) -> LabRecord:
    """Return the record of a lab from its text; raises RecordDamaged."""
    try:
        record = _parse(json.loads(text))
        if record.name != paths.name:
            raise ValueError(f"it is of lab {record.name}")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RecordDamaged(paths, error, look="") from error
    return record


def _parse(data: dict[str, Any]) -> LabRecord:
    """Read either version; anything that is wrong raises one of the errors that `read` expects."""
    version = data.pop("version")
    if version == 1:
        data = _from_v1(data)
    elif version != _VERSION:
        raise ValueError("made by another version of stacklab")
    nodes = tuple(NodeRecord(**node) for node in data.pop("nodes"))
    networks = tuple(NetworkRecord(**network) for network in data.pop("networks"))
    for node in nodes:
        _refuse_odd_thing(node.name, node.handle)
        if not isinstance(node.has_nics, int) or node.has_nics < 0:
            raise ValueError(f"has_nics of {node.name} is {node.has_nics!r}")
    for network in networks:
        _refuse_odd_thing(network.name, network.handle)
    for moment in _MOMENTS:
        _refuse_odd_moment(moment, data.get(moment), is_needed=False)
    _refuse_odd_moment("created_at", data.get("created_at"), is_needed=True)
    if not isinstance(data["provider"], str):
        raise ValueError(f"provider is {data['provider']!r}")
    NodeKind(data.get("all_as") or NodeKind.VM)  # raises ValueError
    departed = data.get("departed", [])
    if not isinstance(departed, list):
        raise ValueError(f"departed is {departed!r}")
    data["departed"] = tuple(departed)
    for name in departed:
        _refuse_odd_thing(name, {})
    data["checkout"] = Path(data["checkout"])
    # An unknown field is a TypeError here: the record is of a later version, or damaged.
    return LabRecord(**data, nodes=nodes, networks=networks)


def _from_v1(data: dict[str, Any]) -> dict[str, Any]:
    """Migrate: all that version 1 had beside the known fields is the handle of today."""
    things: dict[str, list[dict[str, Any]]] = {}
    for kind in ("nodes", "networks"):
        things[kind] = []
        for thing in data[kind]:
            migrated: dict[str, Any] = {}
            handle: dict[str, Any] = {}
            for key, value in thing.items():
                fields = migrated if key in _NOT_HANDLE else handle
                fields[key] = value
            migrated["handle"] = handle
            things[kind].append(migrated)
    return {**data, **things, "provider": _PROVIDER_OF_V1}


def _refuse_odd_thing(name: str, handle: Handle) -> None:
    """Raise ValueError unless the name can be a name and the handle maps words to words."""
    if not is_lab_name(name):
        raise ValueError(f"{name!a} is not a name")
    for key, value in handle.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise ValueError(f"{key!a} of {name} is {value!a}")


def _refuse_odd_moment(name: str, value: object, *, is_needed: bool) -> None:
    """Raise ValueError unless it is a time, or None where a time is not needed.

    Python reads NaN from JSON, and `lab.reap` destroys labs by these times.
    """
    if value is None and not is_needed:
        return
    # bool is an int for Python.
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value):  # type: ignore[arg-type]
        raise ValueError(f"{name} is {value!r}")


def write(paths: LabPaths, record: LabRecord) -> None:
    """Write a record as a whole; after a crash, the record before is still there."""
    # It holds no secret, and whoever uses this host has to see what is taken: 0644.
    files.write(paths.record, as_text(record))


def as_text(record: LabRecord) -> str:
    """Return the text of a record's file."""
    data = {"version": _VERSION, **dataclasses.asdict(record)}
    # Left out where it is not set: a checkout from before does not know these fields.
    for moment in _MOMENTS:
        if data[moment] is None:
            del data[moment]
    for name in ("all_as", "departed"):
        if not data[name]:
            del data[name]
    for node in data["nodes"]:
        for mark in _MARKS:
            if not node[mark]:
                del node[mark]
    return json.dumps(data, indent=2, default=str) + "\n"


def source(paths: LabPaths) -> Path | None:
    """Return the file that a lab on this host was made from; None if it or the lab is gone."""
    try:
        path = Path(json.loads(paths.resolved.read_text())["source"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # whoever needs the rest of it says what is wrong
    return path if path.is_file() else None


def names(host: HostPaths) -> tuple[str, ...]:
    """Return the name of every lab that has a record on this host, sorted."""
    return host.recorded_labs()


def refuse_foreign(record: LabRecord) -> None:
    """Raise AlreadyRunning when another checkout, which still exists, holds the lab."""
    if record.is_ours or not (record.checkout / "tasks.py").exists():
        return
    raise AlreadyRunning(
        f"lab {record.name} belongs to another checkout: {record.checkout}",
        hint=f"work there, or end it there first: "
        f"cd {record.checkout} && ./invoke lab.destroy {record.name}",
    )
