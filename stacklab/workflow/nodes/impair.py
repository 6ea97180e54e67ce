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
from stacklab.tools.network import tc
from stacklab.workflow.context import Context

_LIMIT_S = 60.0
_SET = "impair.set"
_SHOW = "impair.show"


def impair(context: Context, lab: Lab, paths: LabPaths, nodes: Collection[str] = ()) -> None:
    """Give every NIC of these nodes (all, if none is named) its impairments.

    One session to each node that has any. Idempotent, for nodes that just booted and for
    those that ran. Raises CommandFailed naming every node that can't.
    """
    # Nodes that may have netem from an earlier run, whatever the spec said then.
    before = _read_impaired(paths)
    declared = {node.name for node in lab.nodes if any(nic.impairment for nic in node.nics)}
    # A node of which an impairment was taken out of the spec has still to lose it.
    concerned = declared | before
    chosen = concerned & set(nodes) if nodes else concerned
    todo = [node for node in lab.nodes if node.name in chosen]
    if not todo:
        return
    # Before they are impaired: a run that is cut off must not forget a node that has netem.
    _write_impaired(paths, concerned)
    with (
        context.progress.stage("host", "impairments"),
        ThreadPoolExecutor(max_workers=len(todo)) as pool,
    ):
        problems = list(pool.map(lambda node: _impair_node(context, paths, node), todo))
    wrong = [problem for problem in problems if problem]
    if wrong:
        raise CommandFailed("\n".join(wrong), hint=_hint_of_modules(lab))
    # Those of which nothing is declared any more have lost it now.
    cleared = {node.name for node in todo} - declared
    _write_impaired(paths, concerned - cleared)


def _impair_node(context: Context, paths: LabPaths, node: Node) -> str:
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
    # tc's exit code would tell less: some kernels take a qdisc and ignore half of it.
    wrong = []
    for nic in node.nics:
        actual = impairments.get(nic.device)
        if nic.impairment and not tc.is_same(nic.impairment, actual):
            both = f"{tc.words(actual)}, declared: {tc.words(nic.impairment)}"
            wrong.append(f"{nic.device} ({nic.network}) has {both}")
    if not wrong:
        return ""
    setting = reply.answer.of(_SET)
    output = setting.text or shown.text or f"tc ended with {setting.code}"
    return (
        f"node {node.name} does not take its impairments: {'; '.join(wrong)}\n"
        f"  tc says: {printable(output)}"
    )


def _hint_of_modules(lab: Lab) -> str:
    return (
        f"./invoke lab.exec {lab.name} -- sudo modprobe sch_netem; if the kernel lacks it, "
        "install the rest of its modules there (Ubuntu: linux-modules-extra-$(uname -r), "
        "CentOS: kernel-modules-extra), or take delay, loss and rate out of the spec"
    )


def _read_impaired(paths: LabPaths) -> set[str]:
    """Return the nodes that may be impaired; none where the list of them can't be read."""
    try:
        names = json.loads(paths.impaired.read_text())
        return {name for name in names if isinstance(name, str)}
    except (OSError, ValueError, TypeError):
        return set()


def _write_impaired(paths: LabPaths, names: Collection[str]) -> None:
    if names:
        files.write(paths.impaired, json.dumps(sorted(names)) + "\n")
    else:
        paths.impaired.unlink(missing_ok=True)
