"""Put a project's source before the code of its package, for units of a node, and undo that.

Runs on the node as root, in one piece with `node_units`, with nothing but Python's own library:

    python3 - look PROJECT UNIT...            the code that each unit has now
    python3 - prepare PROJECT FILE... [--unit UNIT]   compile these files of the tree that lies
                                              there; entry points are made by that unit's Python
    python3 - remove PROJECT FILE...          remove files of it
    python3 - clear PROJECT                   remove all of it
    python3 - use PROJECT UNIT...             have the units import the tree, and restart them
    python3 - restart PROJECT UNIT...
    python3 - revert PROJECT UNIT...          remove the tree, and restart the units

The tree lies below SOURCES, which `PYTHONPATH` of a drop-in names: unlike what `debug_node` does,
it outlives a boot. `--limit SECONDS` is how long a restart may take. Writes a line of JSON for each
thing; a last line {"failed": WORDS} says what went wrong, and the exit code is 1 then.
"""

from __future__ import annotations

import argparse
import os
import py_compile
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from stacklab.drivers.node_calls import WORDS_MAX, NodeError, call, write
from stacklab.drivers.node_units import (
    GIVEN,
    SOURCES,
    Unit,
    environment_line,
    put,
    restart,
    take,
    unit_of,
    wait_until_active,
)

# Where a package is, for a Python with a unit's environment.
_WHERE = """\
import importlib.util, sys
spec = importlib.util.find_spec(sys.argv[1])
print(spec.origin if spec else "")
"""
_VERSION = """\
import importlib.metadata, sys
print(importlib.metadata.version(sys.argv[1]))
"""
_WITHOUT_HISTORY = ("SKIP_WRITE_GIT_CHANGELOG=1", "SKIP_GENERATE_AUTHORS=1")
# What entry points, and how they are made, stand in.
_DESCRIBING = {"setup.cfg", "setup.py", "pyproject.toml"}
_SETUP_S = 300


def look(project: str, names: Sequence[str]) -> None:
    """Write from where each unit imports the project, by the environment of its main process."""
    for name in names:
        unit = unit_of(name)
        path = _python_path(unit.pid)
        place = unit.run_python("-c", _WHERE, project, path=path).strip()
        write(unit=name, path=place, state=unit.state, is_ours="source" in unit.given)


def prepare(project: str, files: Sequence[str], unit: str = "") -> None:
    """Compile files, and write which can't be: services may not write there themselves."""
    tree = Path(SOURCES, project)
    for name in files:
        if not name.endswith(".py"):
            continue
        path = tree / name
        # Python takes it for that of the new file if both are as long.
        _forget_compiled(path)
        try:
            py_compile.compile(str(path), doraise=True)
        except (py_compile.PyCompileError, OSError, ValueError) as error:
            write(broken=f"{name}: {str(error).strip()[-WORDS_MAX:]}")
    python = unit_of(unit).python if unit else sys.executable
    _make_metadata(project, tree, python, is_changed=bool({*files} & _DESCRIBING))


def _make_metadata(project: str, tree: Path, python: str, *, is_changed: bool) -> None:
    """Write the tree's own entry points beside it, as an installation would."""
    old = list(tree.glob("*.egg-info"))
    if not (tree / "setup.py").exists() or (old and not is_changed):
        return
    for directory in old:
        shutil.rmtree(directory, ignore_errors=True)
    try:
        version = call(python, "-c", _VERSION, project).strip()
        # The tree has no history here, from which its version and authors would come.
        variables = (f"PBR_VERSION={version}", *_WITHOUT_HISTORY)
        setup = (python, "setup.py", "-q", "egg_info")
        call("env", "-C", str(tree), *variables, *setup, limit_s=_SETUP_S)
    except NodeError as error:
        write(note=f"entry points stay those of the package: {str(error)[:200]}")


def remove(project: str, files: Sequence[str]) -> None:
    """Remove files of the tree that are not in the user's any more."""
    tree = Path(SOURCES, project)
    for name in files:
        path = tree / name
        path.unlink(missing_ok=True)
        _forget_compiled(path)


def _forget_compiled(path: Path) -> None:
    for old in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        old.unlink(missing_ok=True)


def clear(project: str) -> None:
    """Remove the whole tree."""
    shutil.rmtree(Path(SOURCES, project), ignore_errors=True)


def use(project: str, names: Sequence[str], limit_s: float) -> None:
    """Have units import the tree, and restart those that did not."""
    tree = Path(SOURCES, project)
    units = [unit_of(name) for name in names]
    debugged = [unit.name for unit in units if unit.is_hooked]
    if debugged:
        # Its own path would hide the tree.
        raise NodeError(f"{', '.join(debugged)} is under a debugger: debug.detach first")
    changed = []
    for unit in units:
        line = environment_line([f"PYTHONPATH={_path_with(unit, tree)}"])
        if put(unit, GIVEN["source"], [line]):
            changed.append(unit.name)
    restart(changed)
    wait_until_active(changed, limit_s)


def _path_with(unit: Unit, tree: Path) -> str:
    """Return a unit's PYTHONPATH with the tree at its beginning."""
    before = [part for part in unit.python_path if part != str(tree)]
    return ":".join([str(tree), *before])


def _python_path(pid: str) -> str:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return ""
    for variable in environment:
        if variable.startswith(b"PYTHONPATH="):
            return os.fsdecode(variable.partition(b"=")[2])
    return ""


def revert(project: str, names: Sequence[str], limit_s: float) -> None:
    """Have units import the package again, and remove the tree."""
    try:
        take(names, [GIVEN["source"]], limit_s)
    finally:
        # Without the drop-ins nobody would find it any more.
        clear(project)


def main(argv: list[str]) -> int:
    """Do what the command line says; returns the exit code."""
    parser = argparse.ArgumentParser()
    orders = ("look", "prepare", "remove", "clear", "use", "restart", "revert")
    parser.add_argument("order", choices=orders)
    parser.add_argument("project")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--unit", default="")
    parser.add_argument("--limit", type=float, default=120.0)
    chosen = parser.parse_args(argv)
    project, names = chosen.project, chosen.names
    try:
        if chosen.order == "look":
            look(project, names)
        elif chosen.order == "prepare":
            prepare(project, names, chosen.unit)
        elif chosen.order == "remove":
            remove(project, names)
        elif chosen.order == "clear":
            clear(project)
        elif chosen.order == "use":
            use(project, names, chosen.limit)
        elif chosen.order == "restart":
            restart(names)
            wait_until_active(names, chosen.limit)
        else:
            revert(project, names, chosen.limit)
    except NodeError as error:
        write(failed=str(error)[:WORDS_MAX])
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
