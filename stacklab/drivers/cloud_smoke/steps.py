"""Steps that are reported as lines of JSON, and waiting within a time limit."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable

import openstack

_POLL_S = 1.0
_POLL_MOST_S = 15.0
_POLL_LOOKS = 3.0  # rest as long as so many looks took: a slow API has to do its work as well
_DETAIL_CHARACTERS = 8000


class StepFailed(Exception):
    """A step that did not end as it should; the message is what a person needs to know."""


class StepRunner:
    """Runs steps, and writes two lines for each: one when it begins, one when it ended."""

    def __init__(self, read_clues: Callable[[], str]) -> None:
        self._read_clues = read_clues
        self.failed = 0

    def step(self, name: str, act: Callable[[], str | None]) -> None:
        """Run a step; what it returns is its detail. Raises StepFailed, however it failed."""
        started = time.monotonic()
        print(json.dumps({"begins": name}), flush=True)
        try:
            detail = act()
        except Exception as error:
            self.failed += 1
            words = str(error) if isinstance(error, StepFailed) else words_of(error)
            self._report(name, started, ok=False, detail=f"{words}\n{self._read_clues()}".strip())
            raise StepFailed(name) from error
        self._report(name, started, ok=True, detail=detail or "")

    def _report(self, name: str, started: float, *, ok: bool, detail: str) -> None:
        seconds = round(time.monotonic() - started, 1)
        line = {"name": name, "ok": ok, "seconds": seconds, "detail": detail[:_DETAIL_CHARACTERS]}
        print(json.dumps(line), flush=True)


def wait_until_nothing_is_missing(look: Callable[[], str], limit_s: float) -> None:
    """Look again and again; raises StepFailed with what is still missing at the limit.

    An error of the API is looked at again, too: a service that has just started gives some.
    """
    deadline = time.monotonic() + limit_s
    while True:
        began = time.monotonic()
        try:
            missing = look()
        except openstack.exceptions.SDKException as error:
            missing = words_of(error)
        if not missing:
            return
        if time.monotonic() > deadline:
            raise StepFailed(f"after {limit_s:.0f} s: {missing}")
        rest_s = _POLL_LOOKS * (time.monotonic() - began)
        time.sleep(min(max(rest_s, _POLL_S), _POLL_MOST_S))


def run_program(
    argv: tuple[str, ...], limit_s: float, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; at the limit it ends with 124."""
    try:
        return subprocess.run(
            argv,
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(argv, 124, "", f"no answer for {limit_s:.0f} s")


def words_of(error: BaseException) -> str:
    """Return an error's kind and message."""
    return f"{type(error).__name__}: {error}"
