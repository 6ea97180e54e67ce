"""Venvs of the programs that really read answer files: Packstack, kolla-ansible, Ansible.

They are not dependencies of stacklab, so they stay out of its venv. Each consumer has a venv below
`.consumers/`, made from requirements/consumers-<name>.txt, and made again when that file changes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from stacklab.errors import LabError
from stacklab.paths.project import PROJECT
from stacklab.process.command import Runner
from stacklab.tools.venvs import Venv


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
    venv = Venv(
        name=f".consumers/{name}", directory=project / ".consumers" / name, requirements=source
    )
    venv.prepare(runner, tell=tell)
    return venv.python
