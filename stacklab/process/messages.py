"""Word the errors of commands: what was run, how it ended, and the last lines that it wrote."""

from __future__ import annotations

import os

from stacklab.errors import CommandFailed, CommandTimedOut
from stacklab.process import signals
from stacklab.process.command import MASK, Command, Result
from stacklab.words import without

_TAIL_LINES = 10
_TAIL_BYTES = 1_000_000  # of a log that are read for its last lines: it may hold gigabytes


def headline(command: Command, ending: str) -> str:
    """Return the first two lines of an error: what happened, and the whole command."""
    what = command.what or "command"
    return f"{what}: {command.argv[0]} {ending}\n  {command}"


def timed_out(command: Command, log_start: int, output: str) -> CommandTimedOut:
    """Return the error of a command that was ended at its time limit."""
    # ssh.classify knows "no end after": an ssh that we ended is one that timed out.
    ending = f"had no end after {command.timeout_s:g} s"
    first_lines = headline(command, ending)
    last_lines = _last_lines(command, log_start, output)
    return CommandTimedOut(f"{first_lines}{last_lines}")


def raise_for_code(command: Command, result: Result, log_start: int) -> None:
    """Raise CommandFailed unless the command ended with one of its `ok_codes`."""
    if result.exit_code in command.ok_codes:
        return
    # Most programs say on stderr why they failed; some, only on stdout.
    output = result.stderr.strip() or result.stdout
    first_lines = headline(command, signals.ending(result.exit_code))
    last_lines = _last_lines(command, log_start, output)
    raise CommandFailed(f"{first_lines}{last_lines}")


def _last_lines(command: Command, log_start: int, output: str) -> str:
    """Return the last lines that this command wrote, each behind a mark of ours."""
    if command.log:
        output = _read_own_part(command, log_start)
    # Masked before it is cut into lines: a secret may have several.
    tail = without(output, command.secrets, MASK).rstrip().splitlines()[-_TAIL_LINES:]
    lines = [f"\n  | {line}" for line in tail]
    if command.log:
        lines.append(f"\n  log: {command.log}")
    return "".join(lines)


def _read_own_part(command: Command, log_start: int) -> str:
    """Return the end of a log; it may hold earlier commands' lines, too, which are left out."""
    assert command.log is not None
    with command.log.open("rb") as log:
        size = log.seek(0, os.SEEK_END)
        log.seek(max(log_start, size - _TAIL_BYTES))
        return log.read().decode("utf-8", "replace")
