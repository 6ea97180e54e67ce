"""Run programs: argv only, one result type, secrets masked, no shell.

Source: shape after mkosi's `run` and multipass's ProcessSpec.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from stacklab.errors import CommandFailed, CommandTimedOut, ToolNotFound

_GRACE_S = 5.0
_TAIL_LINES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program to run. `what` completes the sentence "while ..." in an error."""

    argv: tuple[str, ...]
    what: str = ""
    cwd: Path | None = None
    env: Mapping[str, str | None] = field(default_factory=dict)  # None unsets
    stdin: bytes | None = None
    timeout_s: float | None = None
    ok_codes: tuple[int, ...] = (0,)
    secrets: tuple[str, ...] = ()
    log: Path | None = None  # both streams are appended to it as they come
    interactive: bool = False  # keeps the terminal (ssh, console)

    def __str__(self) -> str:
        line = shlex.join(self.argv)
        for secret in self.secrets:
            line = line.replace(secret, "***")
        return line


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a command left behind; with a log, stdout and stderr are in there instead."""

    exit_code: int
    stdout: str = ""
    stderr: str = ""
    elapsed_s: float = 0.0


class Runner(Protocol):
    """Anything that can run a Command."""

    def run(self, command: Command) -> Result:
        """Run it to its end; raises ToolNotFound, CommandFailed or CommandTimedOut."""
        ...


class SubprocessRunner:
    """Runs commands for real. Ctrl-C and time-outs: SIGINT, grace, SIGTERM, SIGKILL."""

    def run(self, command: Command) -> Result:
        """See Runner.run."""
        if shutil.which(command.argv[0]) is None:
            raise ToolNotFound(command.argv[0])
        started = time.monotonic()
        log = command.log.open("ab") if command.log else None
        try:
            stream = None if command.interactive else (log or subprocess.PIPE)
            process = subprocess.Popen(
                command.argv,
                cwd=command.cwd,
                env=_environment(command.env),
                stdin=_stdin(command),
                stdout=stream,
                stderr=subprocess.STDOUT if log else stream,
                start_new_session=not command.interactive,
            )
            out, err = _communicate(process, command)
        finally:
            if log:
                log.close()
        result = Result(
            exit_code=process.returncode,
            stdout=(out or b"").decode("utf-8", "replace"),
            stderr=(err or b"").decode("utf-8", "replace"),
            elapsed_s=time.monotonic() - started,
        )
        if result.exit_code not in command.ok_codes:
            raise CommandFailed(_describe(command, result))
        return result


def _environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    merged = {**os.environ, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def _stdin(command: Command) -> int | None:
    if command.interactive:
        return None
    return subprocess.DEVNULL if command.stdin is None else subprocess.PIPE


def _communicate(process: subprocess.Popen[bytes], command: Command) -> tuple[bytes | None, bytes | None]:
    try:
        return process.communicate(command.stdin, timeout=command.timeout_s)
    except subprocess.TimeoutExpired:
        _stop(process)
        while_ = f" while {command.what}" if command.what else ""
        raise CommandTimedOut(f"no end after {command.timeout_s:g} s{while_}: {command}") from None
    except BaseException:
        _stop(process)
        raise


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End it and its children, kindly first; only ever a process that we started."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        try:
            if process.poll() is None:
                os.killpg(process.pid, number)
            process.wait(_GRACE_S)
            return
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def _describe(command: Command, result: Result) -> str:
    code = result.exit_code
    ended = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
    lines = [f"{command.what or 'command'}: {command.argv[0]} {ended}", f"  {command}"]
    text = command.log.read_text(errors="replace") if command.log else result.stderr or result.stdout
    for secret in command.secrets:
        text = text.replace(secret, "***")
    lines += [f"  | {line}" for line in text.rstrip().splitlines()[-_TAIL_LINES:]]
    if command.log:
        lines.append(f"  log: {command.log}")
    return "\n".join(lines)
