"""Put declared impairments on running nodes, and take away what is no longer declared.

netem lives in the node: a node that boots again has lost it, and `lab.check` says so
until the next `lab.up`. `L/impaired.json` names the nodes that were ever given any,
so that a lab without impairments costs no session.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

from stacklab import files
from stacklab.errors import CommandFailed, LabError
from stacklab.foreign import printable
from stacklab.model.lab import Lab, Node
from stacklab.nodes import protocol, session
from stacklab.nodes.protocol import Part, Phase
from stacklab.paths import LabPaths
from stacklab.tools import tc
from stacklab.workflow.context import Context

_LIMIT_S = 60.0
_SET = "impair.set"
_SHOW = "impair.show"


def impair(context: Context, lab: Lab, paths: LabPaths, nodes: Collection[str] = ()) -> None:
    """Give every NIC of these nodes (all, if none is named) its impairments.

    One session to each node that has any. Idempotent, for nodes that just booted and for
    those that ran. Raises CommandFailed naming every node that can't.
    """
    before = _impaired(paths)
    declared = {node.name for node in lab.nodes if any(nic.impairment for nic in node.nics)}
    todo = [n for n in lab.nodes if n.name in declared | before and (not nodes or n.name in nodes)]
    if not todo:
        return
    _keep(paths, declared | before)
    with (
        context.progress.stage("host", "impairments"),
        ThreadPoolExecutor(max_workers=len(todo)) as pool,
    ):
        problems = list(pool.map(lambda node: _one(context, paths, node), todo))
    wrong = [problem for problem in problems if problem]
    if wrong:
        raise CommandFailed("\n".join(wrong), hint=_hint(lab))
    _keep(paths, (declared | before) - ({node.name for node in todo} - declared))


def _one(context: Context, paths: LabPaths, node: Node) -> str:
    """Impair one node; returns why that failed, "" if it did not."""
    parts = (
        Part(
            tag=_SET,
            shell=protocol.as_root(tc.script(node.nics)),
            phase=Phase.FACTS,
            limit_s=_LIMIT_S,
        ),
        Part(tag=_SHOW, shell=tc.SHOW, phase=Phase.FACTS),
    )
    try:
        reply = session.ask(context.runner, paths, node.name, parts, limit_s=_LIMIT_S)
    except LabError as error:
        return f"{node.name} can't be reached to impair its NICs: {error.message}"
    why = reply.missing(_SHOW)
    if why:
        return f"{node.name} can't be reached to impair its NICs: {why}"
    shown = reply.answer.of(_SHOW)
    impairments = tc.parse("\n".join(shown.lines))
    wrong = [
        f"{nic.device} ({nic.network}) has {tc.words(impairments.get(nic.device))}, "
        f"declared: {tc.words(nic.impairment)}"
        for nic in node.nics
        if nic.impairment and not tc.is_same(nic.impairment, impairments.get(nic.device))
    ]
    if not wrong:
        return ""
    setting = reply.answer.of(_SET)
    said = setting.text or shown.text or f"tc ended with {setting.code}"
    return (
        f"node {node.name} does not take its impairments: {'; '.join(wrong)}\n"
        f"  tc says: {printable(said)}"
    )


def _hint(lab: Lab) -> str:
    return (
        f"./invoke lab.exec {lab.name} -- sudo modprobe sch_netem; where the kernel has none, "
        "install the rest of its modules there (Ubuntu: linux-modules-extra-$(uname -r), "
        "CentOS: kernel-modules-extra), or take delay, loss and rate out of the spec"
    )


def _impaired(paths: LabPaths) -> set[str]:
    """Return the nodes that may be impaired; none where the list of them can't be read."""
    try:
        return {name for name in json.loads(paths.impaired.read_text()) if isinstance(name, str)}
    except (OSError, ValueError, TypeError):
        return set()


def _keep(paths: LabPaths, names: Collection[str]) -> None:
    if names:
        files.write(paths.impaired, json.dumps(sorted(names)) + "\n")
    else:
        paths.impaired.unlink(missing_ok=True)
