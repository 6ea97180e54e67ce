"""What exists of a lab on this host: written before it is made, removed after it is gone.

Names, UUIDs and paths are recorded whole and compared whole, so that only what is
ours is ever destroyed. There is one record per lab and host, so two checkouts can't
fight over one.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stacklab import files
from stacklab.errors import AlreadyRunning, LabError
from stacklab.model.lab import Lab
from stacklab.paths import PROJECT, HostPaths, LabPaths, is_lab_name

_VERSION = 1
_MOMENTS = ("expires_at", "answered_at")
_BRIDGE = re.compile(r"sl-[A-Za-z0-9._-]{1,12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecord:
    """A node's things on the host; `is_created` once Vagrant has finished making its domain."""

    name: str
    domain: str
    uuid: str
    overlay: Path
    seed: Path
    is_created: bool = False
    answers: str = ""  # digest of the answer files that the node has


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRecord:
    """A network that we made."""

    name: str
    libvirt_name: str
    uuid: str
    bridge: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LabRecord:
    """All that a lab has on this host; `image` is the key of the base under its overlays."""

    name: str
    checkout: Path
    created_at: float
    image: str
    passed_over: Mapping[str, str] = field(
        default_factory=dict
    )  # preferred image -> why it was not taken
    nodes: tuple[NodeRecord, ...]
    networks: tuple[NetworkRecord, ...]
    expires_at: float | None = None  # when lab.reap may destroy it; None: never
    answered_at: float | None = None  # when lab.up last saw all nodes answer

    def node(self, name: str) -> NodeRecord | None:
        """What is recorded of a node, if anything is."""
        return next((node for node in self.nodes if node.name == name), None)

    def with_node(self, changed: NodeRecord) -> LabRecord:
        """The same record with one node's entry replaced."""
        nodes = tuple(changed if node.name == changed.name else node for node in self.nodes)
        return dataclasses.replace(self, nodes=nodes)

    @property
    def is_ours(self) -> bool:
        """Whether this checkout made it."""
        return self.checkout == PROJECT


def new(
    lab: Lab, paths: LabPaths, *, image: str, passed_over: Mapping[str, str], now: float
) -> LabRecord:
    """Make up a record for a lab of which nothing exists; its UUIDs have never been used before."""
    nodes = tuple(
        NodeRecord(
            name=node.name,
            domain=lab.domain_name(node.name),
            uuid=str(uuid.uuid4()),
            overlay=paths.overlay(node.name),
            seed=paths.seed(node.name),
        )
        for node in lab.nodes
    )
    networks = tuple(
        NetworkRecord(
            name=network.name,
            libvirt_name=lab.network_name(network.name),
            uuid=str(uuid.uuid4()),
            bridge=network.bridge,
        )
        for network in lab.networks
        if network.is_made_by_us
    )
    return LabRecord(
        name=lab.name,
        checkout=PROJECT,
        created_at=now,
        image=image,
        passed_over=passed_over,
        nodes=nodes,
        networks=networks,
    )


def read(paths: LabPaths) -> LabRecord | None:
    """The lab's record; None where nothing exists. Raises LabError when it can't be understood."""
    try:
        data = json.loads(paths.record.read_text())
        if data.pop("version") != _VERSION:
            raise ValueError("made by another version of stacklab")
        nodes = tuple(
            NodeRecord(**{**node, "overlay": Path(node["overlay"]), "seed": Path(node["seed"])})
            for node in data.pop("nodes")
        )
        networks = tuple(NetworkRecord(**network) for network in data.pop("networks"))
        for moment in (*_MOMENTS, "created_at"):
            if not _is_moment(data.get(moment)) or (
                moment == "created_at" and data[moment] is None
            ):
                raise ValueError(f"{moment} is {data[moment]!r}")
        found = LabRecord(
            **{**data, "checkout": Path(data["checkout"]), "nodes": nodes, "networks": networks}
        )
        _refuse_others(paths, found)
        return found
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LabError(
            f"the record of lab {paths.name} can't be read: {paths.record}: {error.strerror}",
            hint=f"ls -l {paths.record}",
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LabError(
            f"the record of lab {paths.name} is damaged: {paths.record}: {error}",
            hint=f"virsh list --all shows what is left; remove it by hand, then rm -r {paths.root}",
        ) from error


def _refuse_others(paths: LabPaths, found: LabRecord) -> None:
    """Raise ValueError where it names what no record of this lab can: who destroys the lab, often root, obeys it."""
    if found.name != paths.name:
        raise ValueError(f"it is of lab {found.name}")
    for node in found.nodes:
        if not is_lab_name(node.name) or node.domain != f"{paths.name}_{node.name}":
            raise ValueError(f"no node of this lab: {node.name!a}, domain {node.domain!a}")
        for file, ours in (
            (node.overlay, paths.overlay(node.name)),
            (node.seed, paths.seed(node.name)),
        ):
            # The home may have another name today than when the lab was made, by a link.
            is_same_place = file == ours or os.path.realpath(file.parent) == os.path.realpath(
                ours.parent
            )
            if file.name != ours.name or not is_same_place:
                raise ValueError(f"no disk of this lab: {file}")
    for network in found.networks:
        if network.libvirt_name != f"{paths.name}_{network.name}" or not _BRIDGE.fullmatch(
            network.bridge
        ):
            raise ValueError(
                f"no network of this lab: {network.libvirt_name!a}, bridge {network.bridge!a}"
            )
    for text in (
        *(node.uuid for node in found.nodes),
        *(network.uuid for network in found.networks),
    ):
        uuid.UUID(text)


def _is_moment(value: object) -> bool:
    """Whether it is None, or a time that can be reckoned with: JSON has NaN, and what destroys by it must not guess."""
    if value is None:
        return True
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def write(paths: LabPaths, record: LabRecord) -> None:
    """Keep a record; the whole of it or, after a crash, the one before."""
    data = {"version": _VERSION, **dataclasses.asdict(record)}
    for moment in _MOMENTS:
        if data[moment] is None:
            del data[moment]  # a checkout from before there was one can read it
    # It holds no secret, and whoever uses this host has to see what is taken: 0644.
    files.write(paths.record, json.dumps(data, indent=2, default=str) + "\n")


def names(host: HostPaths) -> tuple[str, ...]:
    """Return the name of every lab that has a record on this host, sorted."""
    return host.recorded_labs()


def refuse_foreign(record: LabRecord) -> None:
    """Raise AlreadyRunning when another checkout, which still exists, holds the lab."""
    if record.is_ours or not (record.checkout / "tasks.py").exists():
        return
    raise AlreadyRunning(
        f"lab {record.name} belongs to another checkout: {record.checkout}",
        hint=f"work there, or end it there first: cd {record.checkout} && ./invoke lab.destroy {record.name}",
    )
