"""A lab's own checks, tried as a node's sh, bash and Python try them."""

from __future__ import annotations

import dataclasses
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from stacklab.checks.custom import family as custom
from stacklab.checks.family import Facts
from stacklab.checks.result import CheckResult, CheckStatus, Reason
from stacklab.model.checks import CustomCheck, CustomKind
from stacklab.model.lab import Lab
from stacklab.nodes import protocol
from tests.unit.checks.fake_lab import make_lab

MARK = "stacklab-contract"
FOR_EVER_S = 500
BASH_STARTS_S = 3.0  # and writes its first line, on the busiest of machines
SHELLS = [shell for shell in (["dash"], ["bash", "--posix"]) if shutil.which(shell[0])]
PASSED, WARNED, FAILED, ERROR = (
    CheckStatus.PASSED,
    CheckStatus.WARNED,
    CheckStatus.FAILED,
    CheckStatus.ERROR,
)

runs_bash = [
    pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed"),
    pytest.mark.filterwarnings("error"),
]


def lab_with(*checks: CustomCheck) -> Lab:
    lab = make_lab(nodes=("one",))
    return dataclasses.replace(lab, checks=dataclasses.replace(lab.checks, custom=checks))


def command(line: str, **keys: object) -> CustomCheck:
    made = CustomCheck(
        name="own", kind=CustomKind.COMMAND, nodes=("one",), command=line, interval_s=0.0
    )
    return dataclasses.replace(made, **keys)  # type: ignore[arg-type]


def run(shell: list[str], *checks: CustomCheck, cwd: Path | None = None) -> list[CheckResult]:
    """Try these as a node would: its whole script on stdin.

    What waits for something that takes FOR_EVER_S is killed here, and fails its test.
    """
    lab = lab_with(*checks)
    asked = list(custom.expected(lab))
    script = protocol.render(list(custom.parts(lab, lab.nodes[0], asked, Facts())), MARK)
    done = subprocess.run(
        [*shell, "-s"],
        input=script.encode(),
        capture_output=True,
        timeout=FOR_EVER_S / 5,
        check=False,
        cwd=cwd,
    )
    assert done.stderr == b""
    answer = protocol.read(done.stdout.decode("utf-8", "replace"), MARK)
    assert answer.is_complete
    return list(custom.judge(lab, asked, answer, Facts()))


def one(
    shell: list[str], check: CustomCheck, cwd: Path | None = None
) -> tuple[CheckStatus, Reason]:
    """Its outcome; a test of its words is in tests/unit/checks/test_custom.py."""
    (result,) = run(shell, check, cwd=cwd)
    return result.status, result.reason


def detail(shell: list[str], check: CustomCheck, cwd: Path | None = None) -> str:
    (result,) = run(shell, check, cwd=cwd)
    return result.detail


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        number: int = server.getsockname()[1]
    return number
