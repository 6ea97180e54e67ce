"""Run `drivers/debug_node.py` on nodes, and put there what it works with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from stacklab import drivers
from stacklab.drivers.debug_node import DIRECTORY
from stacklab.errors import LabError
from stacklab.nodes import programs, session
from stacklab.nodes.archive import Entry
from stacklab.nodes.protocol import Part
from stacklab.paths import PROJECT, LabPaths
from stacklab.tools.venvs import Venv, venvs_directory
from stacklab.workflow import placing
from stacklab.workflow.context import Context

_DRIVERS = Path(drivers.__file__).parent
_TAG = "debug"
_PLACE_LIMIT_S = 300.0
_MARK = "placed"  # a file that holds the digest of what was placed
_START = b"import stacklab_debug\n\nstacklab_debug.start()\n"

VENV = Venv(
    name=".cloud/debug",
    directory=venvs_directory() / ".cloud" / "debug",
    requirements=PROJECT / "requirements" / "debug.txt",
)


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


def place_hook(context: Context, paths: LabPaths, node: str) -> None:
    """Copy the hook and debugpy to a node, unless it has them."""
    VENV.prepare(context.runner, tell=lambda text: context.progress.note("host", text))
    content = entries()
    mark = content[f"{DIRECTORY[1:]}/{_MARK}"].text
    part = Part(tag=_TAG, shell=f"cat {DIRECTORY}/{_MARK} 2>/dev/null || true")
    reply = session.ask(context.runner, paths, node, [part], limit_s=programs.LATE_S)
    if "\n".join(reply.answer.of(_TAG).lines).encode() == mark:
        return
    placing.place(context, paths, node, content, what="debugger", limit_s=_PLACE_LIMIT_S)


def entries() -> Mapping[str, Entry]:
    """Return all files that lie beside the hook; debugpy as Python, for a node of any release."""
    (packages,) = VENV.directory.glob("lib/python*/site-packages")
    debugpy = packages / "debugpy"
    content: dict[str, bytes] = {
        "stacklab_debug.py": (_DRIVERS / "debug_hook.py").read_bytes(),
        # Imported by each Python that has the directory on its path.
        "sitecustomize.py": _START,
        # Imported by uWSGI where it is told to.
        "stacklab_debug_worker.py": _START,
    }
    # The library of the second pattern has threads traced that are there already.
    for path in sorted([*debugpy.rglob("*.py"), *debugpy.rglob("attach_linux_*.so")]):
        content[str(path.relative_to(packages))] = path.read_bytes()
    whole = hashlib.sha256()
    for name, data in content.items():
        whole.update(f"{name} {len(data)}\n".encode() + data)
    content[_MARK] = whole.hexdigest().encode()
    own = PurePosixPath(DIRECTORY).relative_to("/")
    folders = {parent for name in content for parent in PurePosixPath(name).parents}
    directories = {str(own / folder): Entry(text=None, mode=0o755) for folder in sorted(folders)}
    # The mark comes last: without it all is placed again.
    return {**directories, **{str(own / name): Entry(text=data) for name, data in content.items()}}


def _hint(paths: LabPaths, node: str, words: tuple[str, ...]) -> str:
    if words[0] == "attach":
        return f"./invoke lab.exec {paths.name} --node {node} -- systemctl status {words[1]}"
    return f"./invoke debug.status {paths.name}"
