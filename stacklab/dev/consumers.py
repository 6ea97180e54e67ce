"""Venvs of the programs that really read answer files: Packstack, kolla-ansible, Ansible.

They are not dependencies of stacklab, so they stay out of its venv. Each consumer has a venv below
`.consumers/`, made from requirements/consumers-<name>.txt, and made again when that file changes.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from stacklab import locks
from stacklab.errors import LabError
from stacklab.paths import PROJECT
from stacklab.process import Command, Runner

_WAIT_S = 1800.0  # another worker's pip may be running
_PIP = (
    "-m",
    "pip",
    "--disable-pip-version-check",
    "--no-input",
    "install",
    "--no-deps",
    "--require-hashes",
    "-r",
)


def names(project: Path = PROJECT) -> tuple[str, ...]:
    """Return the name of every consumer that has a requirements file."""
    paths = (project / "requirements").glob("consumers-*.txt")
    return tuple(sorted(path.stem.removeprefix("consumers-") for path in paths))


def requirements(name: str, project: Path = PROJECT) -> Path:
    """Return the path of the file that a consumer's venv is made from; it need not exist."""
    return project / "requirements" / f"consumers-{name}.txt"


def python(name: str, project: Path = PROJECT) -> Path:
    """Return the path that a consumer's Python has once its venv is made."""
    return project / ".consumers" / name / "bin" / "python"


def prepare(
    name: str,
    runner: Runner,
    *,
    project: Path = PROJECT,
    tell: Callable[[str], None] = lambda _text: None,
) -> Path:
    """Make a consumer's venv unless it is complete and up to date, and return its Python.

    Several processes may call this at once: one makes the venv, the others wait for it.
    Raises LabError for a consumer without requirements, and ToolError if pip fails.
    """
    source = requirements(name, project)
    if not source.is_file():
        known = ", ".join(names(project)) or "none"
        raise LabError(
            f"consumer {name}: no {source.relative_to(project)} (there are: {known})",
            hint=f"the head of requirements/consumers-{name}.in says how it is made",
        )
    venv = project / ".consumers" / name
    stamp = venv / ".stacklab"
    key = _hash_inputs(source)
    lock = venv.with_name(f"{name}.lock")  # beside the venv, which is removed to make it again
    with locks.held(lock, f"consumer {name}", wait_s=_WAIT_S, waiting=tell):
        is_complete = python(name, project).exists() and stamp.is_file()
        if not is_complete or stamp.read_text() != key:
            tell(f"making .consumers/{name} from {source.relative_to(project)}")
            _make_venv(name, venv, source, runner)
            stamp.write_text(key)  # last: a venv that was cut short has no stamp, and is made again
    return python(name, project)


def _make_venv(name: str, venv: Path, source: Path, runner: Runner) -> None:
    if venv.exists():
        shutil.rmtree(venv)
    what = f"making .consumers/{name}"
    runner.run(Command(argv=(sys.executable, "-m", "venv", str(venv)), what=what, timeout_s=300))
    pip_argv = (str(venv / "bin" / "python"), *_PIP, str(source))
    runner.run(Command(argv=pip_argv, what=what, timeout_s=_WAIT_S))


def _hash_inputs(source: Path) -> str:
    """Return a hash of all that a venv depends on: its place, its Python, its requirements."""
    parts = (str(source), sys.version, source.read_text())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
