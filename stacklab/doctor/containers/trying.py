"""Try what only root may do, by running a program."""

from __future__ import annotations

from stacklab.doctor.machine import Machine
from stacklab.errors import LabError
from stacklab.process.command import Command

_LIMIT_S = 10.0
_ANY_CODE = tuple(range(256))


def why_not_as_root(machine: Machine, *argv: str) -> str:
    """Run a program as root; returns why it failed, "" if it did not."""
    command = Command(
        argv=argv if machine.is_root else ("sudo", "-n", *argv),
        what=f"trying {argv[0]} as root",
        timeout_s=_LIMIT_S,
        ok_codes=_ANY_CODE,
    )
    try:
        result = machine.runner.run(command)
    except LabError as error:
        return error.message.partition("\n")[0]
    if result.exit_code == 0:
        return ""
    # Of two lines, the second is where to look for more.
    lines = result.stderr.strip().splitlines()
    return lines[0] if lines else f"{argv[0]} ended with {result.exit_code}"
