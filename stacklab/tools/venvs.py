"""Venvs of programs that are not stacklab's own, each made from a requirements file with hashes.

A venv is made when it is first asked for, and again when its requirements change.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stacklab import files, locks
from stacklab.paths.project import IS_CHECKOUT, PROJECT
from stacklab.process.command import Command, Runner

_WAIT_S = 1800.0  # another process's pip may be running
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


def venvs_directory() -> Path:
    """Return where venvs of other programs are made: the checkout, or the user's cache."""
    if IS_CHECKOUT:
        return PROJECT
    return files.expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "stacklab"


@dataclass(frozen=True, slots=True, kw_only=True)
class Venv:
    """A venv in a directory of its own; `name` is how messages call it."""

    name: str
    directory: Path
    requirements: Path

    def program(self, name: str) -> Path:
        """Return the path that one of its programs has once it is made."""
        return self.directory / "bin" / name

    @property
    def python(self) -> Path:
        """Return the path that its Python has once it is made."""
        return self.program("python")

    def prepare(self, runner: Runner, *, tell: Callable[[str], None]) -> None:
        """Make it unless it is complete and up to date.

        Several processes may call this at once: one makes it, the others wait.
        Raises ToolError if pip fails.
        """
        stamp = self.directory / ".stacklab"
        key = self._hash_inputs()
        # Beside the venv, which is removed to make it again.
        lock = self.directory.with_name(f"{self.directory.name}.lock")
        with locks.held(lock, self.name, wait_s=_WAIT_S, waiting=tell):
            is_complete = self.python.exists() and stamp.is_file()
            if not is_complete or stamp.read_text() != key:
                tell(f"making {self.name} from requirements/{self.requirements.name}")
                self._make(runner)
                # Last: a venv that was cut short has no stamp, and is made again.
                stamp.write_text(key)

    def _make(self, runner: Runner) -> None:
        if self.directory.exists():
            shutil.rmtree(self.directory)
        what = f"making {self.name}"
        argv = (sys.executable, "-m", "venv", str(self.directory))
        runner.run(Command(argv=argv, what=what, timeout_s=300))
        pip_argv = (str(self.python), *_PIP, str(self.requirements))
        runner.run(Command(argv=pip_argv, what=what, timeout_s=_WAIT_S))

    def _hash_inputs(self) -> str:
        """Return a hash of all that it depends on: its place, its Python, its requirements."""
        parts = (str(self.requirements), sys.version, self.requirements.read_text())
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()
