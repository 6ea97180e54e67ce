"""The task `test`: everything that CI runs, the cheapest first.

The reason of each skipped test is printed, then where each part's time went. What failed is
repeated at the end.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from stacklab.dev import consumers as venvs
from stacklab.paths.project import PROJECT
from stacklab.process.command import Runner
from stacklab.process.runner import SubprocessRunner
from stacklab.words import plural

_SHOWN_FAILURES = 20  # the report has the others
_SHOWN_FILES = 15  # the slowest
_LONG_S = 10.0  # for a file of tests
_SHOWN_LINES = 30  # the last ones of each failure: pytest puts the reason there


@dataclass(frozen=True)
class _TestRun:
    """A call of Python: its arguments and, for pytest, the file name of its report."""

    name: str
    argv: tuple[str, ...]
    report: str = ""


# One more than there are cores: tests also wait, for programs and for time limits.
_WORKERS = (os.cpu_count() or 1) + 1

_STEPS = (
    _TestRun("lint", ("-m", "ruff", "check", ".")),
    _TestRun("format", ("-m", "ruff", "format", "--check", ".")),
    _TestRun("types", ("-m", "mypy")),
    _TestRun(
        "unit, spec, shim, hostile, contract and browser tests",
        ("-m", "pytest", "-q", "-n", str(_WORKERS), "--dist", "worksteal", "-rs"),
        report="unit.xml",
    ),
)
_LIVE = _TestRun(
    "live tests: real image, real containers and VMs",
    ("-m", "pytest", "-m", "live", "-v", "-rs", "tests/live"),
    report="live.xml",
)
_CONSUMERS = _TestRun(
    "answer files, read by those they are for",
    ("-m", "pytest", "-m", "consumers", "-v", "-rs", "tests/consumers"),
    report="consumers.xml",
)


def run(*, live: bool) -> int:
    """Run every step, the cheapest first, and return 0 only if all of them passed."""
    if live:
        return _run((*_STEPS, _LIVE))
    code = _run(_STEPS)
    print("not run, as you asked: live tests", flush=True)
    return code


def consumers(runner: Runner | None = None) -> int:
    """Run the consumers' tests in their venvs, and return 0 only if all of them passed.

    Raises ToolError if a venv cannot be made: the tests were asked for by name, so none is skipped.
    """

    def tell(text: str) -> None:
        print(f"== {text}", flush=True)

    for name in venvs.names():
        venvs.prepare(name, runner or SubprocessRunner(), tell=tell)
    return _run((_CONSUMERS,))


def _run(steps: Sequence[_TestRun], reports: Path = PROJECT / "reports") -> int:
    failed = [step for step in steps if not _passes(step, reports)]
    for step in failed:
        print(f"== failed: {step.name}", flush=True)
        if step.report:
            print("\n".join(_failures(reports / step.report)), flush=True)
    return 1 if failed else 0


def _passes(step: _TestRun, reports: Path) -> bool:
    print(f"== {step.name}", flush=True)
    argv = (sys.executable, *step.argv)
    if step.report:
        report = reports / step.report
        # The one of an earlier run must not be read: pytest may fail before it writes its own.
        report.unlink(missing_ok=True)
        argv += (f"--junit-xml={report}", "-o", "junit_family=xunit1")  # xunit1 tells a test's file
    started = time.monotonic()
    code = subprocess.run(argv, cwd=PROJECT, check=False).returncode
    elapsed_s = time.monotonic() - started
    ended = "passed" if code == 0 else f"failed ({code})"
    print(f"== {step.name}: {ended} in {elapsed_s:.0f} s", flush=True)
    if step.report:
        print("".join(f"{line}\n" for line in _slowest_files(report)), end="", flush=True)
    return code == 0


def _cases(report: Path) -> list[ElementTree.Element] | None:
    """Return the tests of pytest's report; None if pytest ended before it wrote that."""
    try:
        return list(ElementTree.parse(report).iter("testcase"))
    except (OSError, ElementTree.ParseError):
        return None


def _slowest_files(report: Path) -> Iterator[str]:
    """Yield a line for each file of tests that took long, from pytest's report."""
    files: dict[str, list[tuple[float, str]]] = {}
    for case in _cases(report) or ():  # None: pytest has said why
        name = case.get("file") or case.get("classname") or ""
        test_s = float(case.get("time", 0))
        files.setdefault(name, []).append((test_s, case.get("name", "")))
    sums: list[tuple[float, str]] = []
    for name, tests in files.items():
        sum_s = sum(test_s for test_s, _ in tests)
        if sum_s >= _LONG_S:
            sums.append((sum_s, name))
    sums.sort(reverse=True)
    for sum_s, name in sums[:_SHOWN_FILES]:
        slowest_s, slowest = max(files[name])
        count = plural(len(files[name]), "test")
        yield f"   {sum_s:5.0f} s  {name}, {count}, longest {slowest_s:.0f} s: {slowest}"


def _failures(report: Path) -> Iterator[str]:
    """Yield lines from pytest's report: the name of each failed test, and how it ended."""
    cases = _cases(report)
    if cases is None:
        yield "  pytest ended before it wrote its report: see above"
        return
    failures: list[tuple[ElementTree.Element, ElementTree.Element]] = []
    for case in cases:
        for end in case:
            # Both, if a test failed and its fixture could not be torn down.
            if end.tag in ("failure", "error"):
                failures.append((case, end))
    if not failures:
        # Warnings that are errors, or a plug-in: pytest says that outside of any test.
        yield "  no test failed, but pytest did: see above"
    for case, end in failures[:_SHOWN_FAILURES]:
        yield f"  {case.get('file') or case.get('classname')}::{case.get('name')}"
        text_lines = (end.text or "").splitlines()
        for line in text_lines[-_SHOWN_LINES:]:
            yield f"      {line}".rstrip()
    hidden = len(failures) - _SHOWN_FAILURES
    if hidden > 0:
        yield f"  and {hidden} more: {report}"
