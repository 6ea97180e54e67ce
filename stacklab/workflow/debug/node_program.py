"""Run `drivers/debug_node.py` on nodes, and put there what it works with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from stacklab import drivers
from stacklab.drivers.node_units import DIRECTORY
from stacklab.errors import LabError
from stacklab.nodes import programs, session
from stacklab.nodes.archive import Entry
from stacklab.nodes.protocol import Part
from stacklab.paths import LabPaths
from stacklab.workflow.context import Context
from stacklab.workflow.copying import copy_to_node
from stacklab.workflow.debug.debuggers import DebuggerKind

_DRIVERS = Path(drivers.__file__).parent
_TAG = "debug"
_PLACE_LIMIT_S = 300.0
_OWN = PurePosixPath(DIRECTORY).relative_to("/")
_START = b"import stacklab_debug\n\nstacklab_debug.start()\n"


def run(
    context: Context, paths: LabPaths, node: str, words: tuple[str, ...], *, limit_s: float
) -> Sequence[Mapping[str, Any]]:
    """Run the program on a node, and return its lines; raises LabError for what it says failed."""
    program = programs.source_of("debug_node")
    argv = ("python3", "-", *words)
    ended = programs.run(context.runner, paths, node, argv, program, tag=_TAG, limit_s=limit_s)
    if ended.failed:
        raise LabError(f"{node}: {ended.failed}", hint=_hint(paths, node, words))
    if ended.why:
        raise LabError(
            f"{node}: {words[0]} of services failed: {ended.why}",
            hint=f"./invoke lab.check {paths.name} --node {node}",
        )
    return ended.objects


def place_hook(
    context: Context, paths: LabPaths, node: str, kind: DebuggerKind, files: Mapping[str, bytes]
) -> None:
    """Copy the hook and a debugger with these files to a node, unless it has them."""
    content = entries(kind, files)
    mark = content[_mark(kind)].text
    part = Part(tag=_TAG, shell=f"cat /{_mark(kind)} 2>/dev/null || true")
    reply = session.ask(context.runner, paths, node, [part], limit_s=programs.LATE_S)
    if "\n".join(reply.answer.of(_TAG).lines).encode() == mark:
        return
    # What was compiled of other files would be taken for theirs: all files have the same time.
    old = Part(
        tag=_TAG,
        shell=f"sudo -n rm -rf {DIRECTORY}/with-{kind.name} {DIRECTORY}/__pycache__",
    )
    session.ask(context.runner, paths, node, [old], limit_s=programs.LATE_S)
    copy_to_node(context, paths, node, content, what="debugger", limit_s=_PLACE_LIMIT_S)


def entries(kind: DebuggerKind, files: Mapping[str, bytes]) -> Mapping[str, Entry]:
    """Return the hook, what imports it, and a debugger's files, as they lie on a node."""
    content: dict[str, bytes] = {
        "stacklab_debug.py": (_DRIVERS / "debug_hook.py").read_bytes(),
        # Imported by each Python that has the directory on its path.
        "sitecustomize.py": _START,
        # Imported by uWSGI where it is told to.
        "stacklab_debug_worker.py": _START,
    }
    content |= {f"with-{kind.name}/{name}": data for name, data in files.items()}
    whole = hashlib.sha256()
    for name, data in content.items():
        whole.update(f"{name} {len(data)}\n".encode() + data)
    placed = {str(_OWN / name): Entry(text=data) for name, data in content.items()}
    folders = {parent for name in placed for parent in PurePosixPath(name).parents}
    directories = {
        str(folder): Entry(text=None, mode=0o755)
        for folder in sorted(folders)
        if folder.is_relative_to(_OWN)
    }
    # The mark comes last: without it all is placed again.
    return {**directories, **placed, _mark(kind): Entry(text=whole.hexdigest().encode())}


def _mark(kind: DebuggerKind) -> str:
    """Return the path of the file that holds the digest of what was placed."""
    return str(_OWN / f"placed-{kind.name}")


def _hint(paths: LabPaths, node: str, words: tuple[str, ...]) -> str:
    if words[0] == "attach":
        return f"./invoke lab.exec {paths.name} --node {node} -- systemctl status {words[1]}"
    return f"./invoke debug.status {paths.name}"
