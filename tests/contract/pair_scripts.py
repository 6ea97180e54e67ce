"""A node's script of pair checks, run in a real shell on a PATH of the test's making."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from stacklab.checks.family import Facts
from stacklab.checks.pairs import family as pairs
from stacklab.checks.result import Check, CheckKind, CheckResult
from stacklab.model.lab import Lab
from stacklab.nodes import protocol

MARK = "stacklab-contract"
OLD_FPING = """\
#!/bin/sh
case "$*" in
*-M*) echo "fping: invalid option -- 'M'" >&2; echo "see 'fping -h' for usage information" >&2; \
exit 1 ;;
esac
exec REAL "$@"
"""


def run(line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", line], capture_output=True, text=True, timeout=30, check=False
    )


def write_programs(directory: Path, programs: dict[str, str]) -> dict[str, str]:
    """A PATH on which these stand in for the node's, and a home with the peers' keys."""
    directory.mkdir()
    for name, text in programs.items():
        (directory / name).write_text(text, encoding="utf-8")
        (directory / name).chmod(0o755)
    (directory / ".ssh").mkdir()
    known = "compute1,127.1.0.12,127.2.0.12 ssh-ed25519 AAAAcompute1\n"
    (directory / ".ssh" / "known_hosts").write_text(known, encoding="utf-8")
    return {**os.environ, "PATH": f"{directory}:{os.environ['PATH']}", "HOME": str(directory)}


def script(checks: Sequence[Check], lab: Lab) -> str:
    return protocol.render(tuple(pairs.parts(lab, lab.node(checks[0].node), checks, Facts())), MARK)


def run_script(
    checks: Sequence[Check], lab: Lab, env: dict[str, str], *, shell: Sequence[str] = ("sh",)
) -> dict[tuple[CheckKind, str, str], CheckResult]:
    done = subprocess.run(
        [*shell, "-s"],
        input=script(checks, lab),
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{MARK} begin\n")
    assert done.stdout.endswith(f"\n{MARK} end\n")
    found = pairs.judge(lab, checks, protocol.read(done.stdout, MARK), Facts())
    return {(each.check.kind, each.check.target, each.check.network): each for each in found}


def of_controller(lab: Lab) -> list[Check]:
    return [check for check in pairs.expected(lab) if check.node == "controller"]


def only(lab: Lab, *kinds: CheckKind) -> list[Check]:
    return [check for check in of_controller(lab) if check.kind in kinds]
