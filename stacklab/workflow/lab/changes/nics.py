"""Plug NICs that a spec has got since into nodes that go on, and into nodes that are off.

A node that lacks NICs is marked in the record, by how many it has. What is off gets them before it
starts, and finds their addresses in its seed, as at its first boot. What runs gets them one after
another, because its kernel names them as they come, and then the same addresses by ssh.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from stacklab import record
from stacklab.errors import CommandFailed
from stacklab.foreign import printable
from stacklab.model.lab import NIC, Lab, NetworkStyle, Node
from stacklab.nodes import new_nic, protocol, session
from stacklab.nodes.protocol import Part
from stacklab.paths import LabPaths
from stacklab.providers.contract import lacking
from stacklab.providers.nic_plug import NicPlug, PlugsNics
from stacklab.record import LabRecord
from stacklab.workflow.context import Context
from stacklab.workflow.lab.changes import fields

_TAG = "nics.take-up"
# For an emulated node under load; see the tries in nodes.new_nic.
_TAKE_UP_S = 180.0


def whys_no_plug(
    context: Context, made: Lab | None, lab: Lab, lab_record: LabRecord | None
) -> Mapping[str, str]:
    """Return the nodes that are to get NICs and can't as they are, each with the reason.

    Asks the provider only where a node gets NICs; starts nothing for that.
    """
    if made is None or lab_record is None:
        return {}
    names = _getting_more(made, lab, lab_record)
    if not names:
        return {}
    provider = context.provider(lab_record)
    if not isinstance(provider, PlugsNics):
        return dict.fromkeys(names, f"the provider {provider.name} can't plug it in")
    if provider.why_unreachable() is not None:
        return {}  # `lab.up` will ask again, once it can
    plug = provider.nic_plug(lab, lab_record)
    whys = {name: plug.why_not(name) for name in names}
    return {name: why for name, why in whys.items() if why}


def _getting_more(made: Lab, lab: Lab, lab_record: LabRecord) -> Sequence[str]:
    before = {node.name: node for node in made.nodes}
    names: list[str] = []
    for node in lab.nodes:
        recorded = lab_record.node(node.name)
        is_kept = recorded is not None and not recorded.is_interrupted
        if is_kept and node.name in before and fields.gets_more_nics(before[node.name], node):
            names.append(node.name)
    return names


def plug_into_off(
    context: Context, lab: Lab, lab_record: LabRecord, booting: Sequence[Node]
) -> None:
    """Give nodes that are off, and are about to start, the NICs that they lack."""
    for node in booting:
        lacked = _lacked(node, lab_record)
        if lacked:
            plug = _plug(context, lab, lab_record)
            for nic in lacked:
                plug.plug(node.name, nic)


def plug_into_running(
    context: Context, lab: Lab, paths: LabPaths, lab_record: LabRecord, style: NetworkStyle
) -> LabRecord:
    """Give nodes that run the NICs that they lack; returns the record as it is then.

    Raises ProviderError where a NIC can't be plugged in, CommandFailed where the node does not
    take it up. The next call goes on from there.
    """
    for node in lab.nodes:
        recorded = lab_record.node(node.name)
        if recorded is None or not recorded.has_nics:
            continue
        for nic in _lacked(node, lab_record):
            with context.progress.stage(node.name, f"plug in {nic.device}"):
                _plug(context, lab, lab_record).plug(node.name, nic)
                _take_up(context, paths, lab, node, nic, style)
        # Recorded one by one: a run that is cut off here goes on with the next node.
        lab_record = lab_record.with_node(dataclasses.replace(recorded, has_nics=0))
        record.write(paths, lab_record)
    return lab_record


def _lacked(node: Node, lab_record: LabRecord) -> Sequence[NIC]:
    recorded = lab_record.node(node.name)
    if recorded is None or not recorded.has_nics or recorded.is_interrupted:
        return ()  # one that is made or defined anew gets all its NICs by that
    return node.nics[recorded.has_nics :]


def _plug(context: Context, lab: Lab, lab_record: LabRecord) -> NicPlug:
    provider = context.provider(lab_record)
    if not isinstance(provider, PlugsNics):
        raise lacking(
            provider,
            lab.name,
            "NICs that are plugged in",
            hint=f"./invoke lab.rebuild {lab.name}",
        )
    return provider.nic_plug(lab, lab_record)


def _take_up(
    context: Context, paths: LabPaths, lab: Lab, node: Node, nic: NIC, style: NetworkStyle
) -> None:
    """Have the node configure the NIC; returns once it has its address."""
    shell = protocol.as_root(new_nic.script(lab, node, nic, style))
    part = Part(tag=_TAG, shell=shell, limit_s=_TAKE_UP_S)
    reply = session.ask(context.runner, paths, node.name, [part], limit_s=_TAKE_UP_S)
    taken = reply.answer.of(part.tag)
    if taken.code == 0:
        return
    why = reply.missing(part.tag) or taken.text or f"ended with {taken.code}"
    raise CommandFailed(
        f"{node.name} has got {nic.device}, but can't configure it: {printable(why)}",
        hint=f"./invoke lab.up {lab.name} tries again, "
        f"./invoke lab.rebuild {lab.name} --node {node.name} makes the node anew",
    )
