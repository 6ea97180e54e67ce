"""Run a project's own unit tests on a node, with the packages that are there.

Runs on the node as root, in one piece with `node_units`, with nothing but Python's own library:

    python3 - PROJECT [--regex REGEX] [--workers NUMBER] [--install PACKAGE]...

The project's source lies below SOURCES. Packages that the tests need and the node has not are
installed first. The tests run as the user `stack`, by stestr. Writes lines of JSON: {"passed": ids
and seconds} for some that succeeded, since there may be ten thousand; and one for each other test,
with its id, how it ended (fail, error, skip, xfail), how long it took, and what it said. A last
line {"ran": NUMBER} says how many there were; {"failed": WORDS}, with exit code 1, what went wrong
beside the tests.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stacklab.drivers.node_calls import WORDS_MAX, NodeError, call, write
from stacklab.drivers.node_units import SOURCES

_COPIES = "/var/tmp/stacklab-tests"
_USER = "stack"
_INSTALL_S = 1800
_DETAIL_MAX = 2500
_LINE_MAX = 3300  # characters; a longer line is cut on its way to the host
_PASSED_MAX = 2500
# Runs as the user, reads subunit from its stdin: the node's own library for that.
_READ = """\
import json, subunit, sys
from testtools import StreamToDict


most = int(sys.argv[1])

def told(test):
    if test["status"] == "exists":
        return  # it was listed
    began, ended = test["timestamps"]
    took = (ended - began).total_seconds() if began and ended else 0.0
    line = {"test": test["id"], "status": test["status"], "seconds": took}
    if test["status"] not in ("success", "xfail"):
        named = sorted(test["details"].items(), key=lambda each: "traceback" in each[0])
        details = [detail.as_text() for _, detail in named]
        line["detail"] = "\\n".join(details)[-most:]
    print(json.dumps(line), flush=True)

class Result(StreamToDict):
    # What is not subunit is a program's own words: why it could not begin.
    def status(self, test_id=None, file_bytes=None, **more):
        if test_id is None and file_bytes is not None:
            sys.stderr.buffer.write(file_bytes)
        else:
            super().status(test_id=test_id, file_bytes=file_bytes, **more)

result = Result(told)
result.startTestRun()
subunit.ByteStreamToStreamResult(sys.stdin.buffer, non_subunit_name="words").run(result)
result.stopTestRun()
"""


def install(packages: list[str]) -> None:
    """Install the packages that are not there."""
    missing = [name for name in packages if not _is_installed(name)]
    if not missing:
        return
    apt = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q")
    call(*apt, "update", limit_s=_INSTALL_S)
    call(*apt, "install", "-y", "--no-install-recommends", *missing, limit_s=_INSTALL_S)


def _is_installed(package: str) -> bool:
    argv = ("dpkg-query", "-W", "-f", "${db:Status-Status}", package)
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout == "installed"


def run(project: str, regex: str, workers: int) -> Iterator[dict[str, Any]]:
    """Yield each test that has ended; raises NodeError if they can't be run."""
    tree = Path(SOURCES, project)
    if not (tree / ".stestr.conf").is_file():
        raise NodeError(f"{tree} has no .stestr.conf")
    # A copy: tests write into their own tree.
    copy = Path(_COPIES, project)
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(tree, copy, symlinks=True)
    subprocess.run(("chown", "-R", _USER, str(copy)), check=True)
    try:
        yield from _run_copy(copy, regex, workers)
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def _run_copy(tree: Path, regex: str, workers: int) -> Iterator[dict[str, Any]]:
    as_user = ("runuser", "-u", _USER, "--", "env", "-C", str(tree), "HOME=/tmp")
    stestr = (sys.executable, "-m", "stestr", "run", "--subunit", "--concurrency", str(workers))
    words = tempfile.TemporaryFile()  # noqa: SIM115  both programs write to it
    testing = subprocess.Popen(
        (*as_user, *stestr, *((regex,) if regex else ())),
        stdout=subprocess.PIPE,
        stderr=words,
    )
    reading = subprocess.Popen(
        (*as_user, sys.executable, "-c", _READ, str(_DETAIL_MAX)),
        stdin=testing.stdout,
        stdout=subprocess.PIPE,
        stderr=words,
        text=True,
    )
    assert testing.stdout is not None
    assert reading.stdout is not None
    testing.stdout.close()  # the reader's alone
    count = 0
    for line in reading.stdout:
        count += 1
        yield json.loads(line)
    testing.wait()
    reading.wait()
    words.seek(0)
    said = words.read().decode(errors="replace").strip()[-WORDS_MAX:]
    if count == 0:
        raise NodeError(f"no test has run: {said or 'none fits the expression'}")
    if testing.returncode not in (0, 1) or reading.returncode != 0:
        raise NodeError(f"stestr ended with {testing.returncode} after {count} tests: {said}")


def shortened(test: dict[str, Any]) -> dict[str, Any]:
    """Return a test whose line is not cut on its way: of its detail the end is kept."""
    while len(json.dumps(test)) > _LINE_MAX and test.get("detail"):
        detail = test["detail"]
        test = {**test, "detail": detail[len(detail) // 4 + 1 :]}
    return test


def main(argv: list[str]) -> int:
    """Do what the command line says; returns the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("project")
    parser.add_argument("--regex", default="")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--install", action="append", default=[])
    chosen = parser.parse_args(argv)
    count = 0
    passed: list[tuple[str, float]] = []
    try:
        install(chosen.install)
        for test in run(chosen.project, chosen.regex, chosen.workers):
            count += 1
            if test["status"] != "success":
                write(**shortened(test))
                continue
            passed.append((test["test"], test["seconds"]))
            if len(json.dumps(passed)) > _PASSED_MAX:
                write(passed=passed)
                passed = []
        write(passed=passed)
    except (NodeError, OSError, ValueError, subprocess.TimeoutExpired) as error:
        write(failed=str(error)[:WORDS_MAX])
        return 1
    write(ran=count)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
