"""Put declared impairments on running nodes, and take away what is declared no more.

netem is the nodes' own: one that boots again has lost it, and `lab.check` says so
until the next `lab.up`. `L/impaired.json` names the nodes that were ever given any,
so that a lab without costs no session.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

from stacklab import files
from stacklab.errors import CommandFailed, LabError
from stacklab.model.lab import Lab, Node
from stacklab.paths import LabPaths
from stacklab.tools import ssh, tc
from stacklab.workflow.context import Context

_LIMIT_S = 60.0
_SUDO = ("sudo", "-n", "sh", "-s")


def impair(context: Context, lab: Lab, paths: LabPaths, nodes: Collection[str] = ()) -> None:
    """Give every NIC of these nodes (all, if none is named) its impairments; one session to each node that has any.

    Idempotent, for nodes that just booted and for those that ran. Raises CommandFailed
    naming every node that can't.
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
        why = [
            text for text in pool.map(lambda node: _one(context, lab, paths, node), todo) if text
        ]
    if why:
        raise CommandFailed("\n".join(why), hint=_hint(lab))
    _keep(paths, (declared | before) - ({node.name for node in todo} - declared))


def _one(context: Context, lab: Lab, paths: LabPaths, node: Node) -> str:
    """Impair one node; returns why it could not be done."""
    command = ssh.exec_command(paths, node.name, _SUDO, timeout_s=_LIMIT_S)
    try:
        result = context.runner.run(
            dataclasses.replace(command, stdin=tc.script(node.nics).encode())
        )
    except LabError as error:
        return f"{node.name} can't be reached to impair its NICs: {error.message}"
    if result.exit_code == ssh.UNREACHED:
        return f"{node.name} can't be reached to impair its NICs: {result.stderr.strip()}"
    found = tc.parse(result.stdout)
    wrong = [
        f"{nic.device} ({nic.network}) has {tc.words(found.get(nic.device))}, declared: {tc.words(nic.impairment)}"
        for nic in node.nics
        if nic.impairment and not tc.is_same(nic.impairment, found.get(nic.device))
    ]
    if not wrong:
        return ""
    said = result.stderr.strip() or result.stdout.strip() or f"tc ended with {result.exit_code}"
    return f"node {node.name} does not take its impairments: {'; '.join(wrong)}\n  tc says: {said}"


def _hint(lab: Lab) -> str:
    return (
        f"./invoke lab.exec {lab.name} -- sudo modprobe sch_netem; where the kernel has none, install the rest of its "
        "modules there (Ubuntu: linux-modules-extra-$(uname -r), CentOS: kernel-modules-extra), or take delay, loss "
        "and rate out of the spec"
    )


def _impaired(paths: LabPaths) -> set[str]:
    """The nodes that may have been impaired; a file that can't be read counts for none."""
    try:
        return {name for name in json.loads(paths.impaired.read_text()) if isinstance(name, str)}
    except (OSError, ValueError, TypeError):
        return set()


def _keep(paths: LabPaths, names: Collection[str]) -> None:
    if names:
        files.write(paths.impaired, json.dumps(sorted(names)) + "\n")
    else:
        paths.impaired.unlink(missing_ok=True)
