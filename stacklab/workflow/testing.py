"""`test`: everything that CI runs, in order of cost; nothing is skipped in silence."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence

from stacklab.paths import PROJECT
from stacklab.process import Runner, SubprocessRunner
from stacklab.workflow import consumers as venvs

_STEPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("lint", ("-m", "ruff", "check", ".")),
    ("types", ("-m", "mypy")),
    ("unit, spec, shim, contract and browser tests", ("-m", "pytest", "-q", "-n", "auto", "-rs")),
)
_LIVE = ("live tests: real image, real VMs", ("-m", "pytest", "-m", "live", "-v", "-rs", "tests/live"))
_CONSUMERS = (
    "answer files, read by those they are for",
    ("-m", "pytest", "-m", "consumers", "-v", "-rs", "tests/consumers"),
)


def run(*, live: bool) -> int:
    """Run every step, the first failure last: returns 0 only if all passed."""
    steps = (*_STEPS, _LIVE) if live else _STEPS
    failed = [name for name, argv in steps if not _step(name, argv)]
    if not live:
        print("not run, as you asked: live tests", flush=True)
    if failed:
        print(f"failed: {', '.join(failed)}", flush=True)
    return 1 if failed else 0


def consumers(runner: Runner | None = None) -> int:
    """Make the consumers' venvs, and have each read what is rendered for it; returns 0 only if all passed.

    Raises ToolError where a venv can't be made: those tests are asked for by name, so none is passed over.
    """
    for name in venvs.names():
        venvs.prepare(name, runner or SubprocessRunner(), tell=lambda text: print(f"== {text}", flush=True))
    return 0 if _step(*_CONSUMERS) else 1


def _step(name: str, argv: Sequence[str]) -> bool:
    print(f"== {name}", flush=True)
    started = time.monotonic()
    code = subprocess.run((sys.executable, *argv), cwd=PROJECT, check=False).returncode
    ended = "passed" if code == 0 else f"failed ({code})"
    print(f"== {name}: {ended} in {time.monotonic() - started:.0f} s", flush=True)
    return code == 0
