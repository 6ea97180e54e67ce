"""Venvs of the programs that read answer files for real: Packstack, kolla-ansible, Ansible.

They are no part of the program, so none is in its own venv: each has one below
`.consumers/`, made from requirements/consumers-<name>.txt, and made anew when that changes.
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

_WAIT_S = 1800.0  # another worker's pip may be at it
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
    """Every consumer that has its requirements."""
    found = (project / "requirements").glob("consumers-*.txt")
    return tuple(sorted(path.stem.removeprefix("consumers-") for path in found))


def requirements(name: str, project: Path = PROJECT) -> Path:
    """What a consumer's venv is made from; it need not exist."""
    return project / "requirements" / f"consumers-{name}.txt"


def python(name: str, project: Path = PROJECT) -> Path:
    """Where a consumer's Python is, once its venv is made."""
    return project / ".consumers" / name / "bin" / "python"


def prepare(
    name: str,
    runner: Runner,
    *,
    project: Path = PROJECT,
    tell: Callable[[str], None] = lambda _text: None,
) -> Path:
    """Make a consumer's venv unless it is there, whole and of today's requirements; returns its Python.

    Several processes may ask at once: one makes it, the others wait. Raises LabError
    for a consumer without requirements, and ToolError where pip fails.
    """
    wanted = requirements(name, project)
    if not wanted.is_file():
        known = ", ".join(names(project)) or "none"
        raise LabError(
            f"consumer {name}: no {wanted.relative_to(project)} (there are: {known})",
            hint=f"the head of requirements/consumers-{name}.in says how it is made",
        )
    venv = project / ".consumers" / name
    stamp, key = venv / ".stacklab", _key(wanted)
    with locks.held(
        venv.with_name(f"{name}.lock"), f"consumer {name}", wait_s=_WAIT_S, waiting=tell
    ):
        if not (python(name, project).exists() and stamp.is_file() and stamp.read_text() == key):
            tell(f"making .consumers/{name} from {wanted.relative_to(project)}")
            _make(name, venv, wanted, runner)
            stamp.write_text(key)  # last: a venv that was cut short has none, and is made anew
    return python(name, project)


def _make(name: str, venv: Path, wanted: Path, runner: Runner) -> None:
    if venv.exists():
        shutil.rmtree(venv)
    what = f"making .consumers/{name}"
    runner.run(Command(argv=(sys.executable, "-m", "venv", str(venv)), what=what, timeout_s=300))
    runner.run(
        Command(
            argv=(str(venv / "bin" / "python"), *_PIP, str(wanted)), what=what, timeout_s=_WAIT_S
        )
    )


def _key(wanted: Path) -> str:
    """A venv does not survive being moved, nor another Python: both are in its key."""
    parts = (str(wanted), sys.version, wanted.read_text())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
