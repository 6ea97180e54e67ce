"""Run programs: argv only, one result type, secrets masked, no shell.

Source: shape after mkosi's `run` and multipass's ProcessSpec.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, BinaryIO, Protocol

from stacklab.errors import CommandFailed, CommandTimedOut, ToolNotFound

_GRACE_S = 5.0
_ASK_EVERY_S = 0.25
_KEPT_MAX = 1_000_000  # bytes of one line, and of stderr: what says more must not fill our memory
_TAIL_LINES = 10
_UNQUOTED_MASK = "xxMASKEDxx"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program to run. `what` completes the sentence "while ..." in an error."""

    argv: tuple[str, ...]
    what: str = ""
    cwd: Path | None = None
    env: Mapping[str, str | None] = field(default_factory=dict)  # None unsets
    stdin: bytes | None = field(default=None, repr=False)
    timeout_s: float | None = None
    ok_codes: tuple[int, ...] = (0,)
    secrets: tuple[str, ...] = field(
        default=(), repr=False
    )  # masked in every message; a log has them as printed
    log: Path | None = None  # both streams are appended to it as they come
    interactive: bool = False  # keeps the terminal (ssh, console)

    def __str__(self) -> str:
        # Masked before quoting (quoting splits a secret that holds a quote); the mask itself needs none.
        masked = (_mask(word, self.secrets, _UNQUOTED_MASK) for word in self.argv)
        return shlex.join(masked).replace(_UNQUOTED_MASK, "***")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a command left behind; with a log, stdout and stderr are in there instead."""

    exit_code: int
    stdout: str = ""
    stderr: str = ""
    elapsed_s: float = 0.0


def as_root(argv: Sequence[str]) -> tuple[str, ...]:
    """The same command line with root's rights; sudo must not ask, for nobody may be there to answer."""
    return tuple(argv) if os.geteuid() == 0 else ("sudo", "-n", *argv)


class Runner(Protocol):
    """Anything that can run a Command."""

    def run(self, command: Command) -> Result:
        """Run it to its end; raises ToolNotFound, CommandFailed or CommandTimedOut."""
        ...


class Conversing(Runner, Protocol):
    """A runner that tells what a command says while it says it."""

    def converse(
        self,
        command: Command,
        *,
        heard: Callable[[str, float], None],
        why_stop: Callable[[], str] = lambda: "",
    ) -> Result:
        """Run it to its end; `heard` gets each line of stdout with the moment (time.time()) it came.

        A last line without a newline was cut off, and is not heard.
        `why_stop` is asked several times a second; any answer but "" ends the command
        with CommandFailed of those words. Raises what Runner.run does; the Result's
        stdout is "".
        """
        ...


class SubprocessRunner:
    """Runs commands for real. Ctrl-C and time-outs: SIGINT, grace, SIGTERM, grace, SIGKILL."""

    def __init__(self) -> None:
        self._running: dict[subprocess.Popen[bytes], Command] = {}

    def stop_all(self) -> None:
        """End what other threads still run: Ctrl-C reaches the main thread alone."""
        for process, command in list(self._running.items()):
            if process.poll() is None:
                _stop(process, group=not command.interactive)

    def run(self, command: Command) -> Result:
        """See Runner.run."""
        environment = _environment(command.env)
        if shutil.which(command.argv[0], path=environment.get("PATH")) is None:
            raise ToolNotFound(command.argv[0])
        started = time.monotonic()
        with contextlib.ExitStack() as opened:
            log = opened.enter_context(command.log.open("ab")) if command.log else None
            log_start = log.tell() if log else 0
            process = opened.enter_context(_start(command, environment, log))
            self._running[process] = command
            opened.callback(self._running.pop, process)
            out, err = _communicate(process, command, log_start)
        result = Result(
            exit_code=process.returncode,
            stdout=out.decode("utf-8", "replace"),
            stderr=err.decode("utf-8", "replace"),
            elapsed_s=time.monotonic() - started,
        )
        if result.exit_code not in command.ok_codes:
            told = _told(command, log_start, result.stderr.strip() or result.stdout)
            raise CommandFailed(f"{_headline(command, _ending(result.exit_code))}{told}")
        return result

    def converse(
        self,
        command: Command,
        *,
        heard: Callable[[str, float], None],
        why_stop: Callable[[], str] = lambda: "",
    ) -> Result:
        """See Conversing.converse."""
        environment = _environment(command.env)
        if shutil.which(command.argv[0], path=environment.get("PATH")) is None:
            raise ToolNotFound(command.argv[0])
        started = time.monotonic()
        with _start(command, environment, None) as process:
            self._running[process] = command
            try:
                err = _converse(process, command, heard, why_stop)
            except BaseException:
                _stop(process, group=True)
                raise
            finally:
                self._running.pop(process, None)
        result = Result(
            exit_code=process.returncode,
            stderr=err.decode("utf-8", "replace"),
            elapsed_s=time.monotonic() - started,
        )
        if result.exit_code not in command.ok_codes:
            raise CommandFailed(
                f"{_headline(command, _ending(result.exit_code))}{_told(command, 0, result.stderr)}"
            )
        return result


def _converse(
    process: subprocess.Popen[bytes],
    command: Command,
    heard: Callable[[str, float], None],
    why_stop: Callable[[], str],
) -> bytes:
    """Feed stdin and read both streams until they end; returns stderr."""
    assert process.stdout is not None
    assert process.stderr is not None
    deadline = time.monotonic() + (
        command.timeout_s if command.timeout_s is not None else float("inf")
    )
    unsent, line, err = memoryview(command.stdin or b""), b"", b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        selector.register(process.stderr, selectors.EVENT_READ)
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE)
        while selector.get_map():
            if why := why_stop():
                raise CommandFailed(f"{_headline(command, f'was ended: {why}')}")
            if time.monotonic() > deadline:
                said = _told(command, 0, err.decode("utf-8", "replace"))
                raise CommandTimedOut(
                    f"{_headline(command, f'had no end after {command.timeout_s:g} s')}{said}"
                )
            ready = selector.select(_ASK_EVERY_S)
            if not ready and process.poll() is not None:
                break  # a daemon that it left has our streams: what it wrote itself has been read
            for key, _ in ready:
                if key.fileobj is process.stdin:
                    unsent = _send(process.stdin, unsent)
                    if not unsent:
                        selector.unregister(process.stdin)
                        with contextlib.suppress(BrokenPipeError):
                            process.stdin.close()
                    continue
                data = os.read(key.fd, 65536)
                if not data:
                    selector.unregister(key.fileobj)
                elif key.fileobj is process.stderr:
                    err = (err + data)[-_KEPT_MAX:]
                else:
                    now = time.time()
                    *lines, line = (line[:_KEPT_MAX] + data).split(b"\n")
                    for each in lines:
                        heard(each.decode("utf-8", "replace"), now)
    try:
        process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        raise CommandTimedOut(_headline(command, "closed its streams and had no end")) from None
    return err


def _send(stdin: IO[bytes], unsent: memoryview) -> memoryview:
    """Write what the pipe takes; nothing is left when nobody reads any more."""
    try:
        return unsent[os.write(stdin.fileno(), unsent[:65536]) :]
    except BlockingIOError:
        return unsent
    except BrokenPipeError:
        return memoryview(b"")


def _start(
    command: Command, environment: Mapping[str, str], log: BinaryIO | None
) -> subprocess.Popen[bytes]:
    stream = None if command.interactive else (log or subprocess.PIPE)
    try:
        return subprocess.Popen(
            command.argv,
            cwd=command.cwd,
            env=environment,
            stdin=_stdin(command),
            stdout=stream,
            stderr=subprocess.STDOUT if log and not command.interactive else stream,
            start_new_session=not command.interactive,
        )
    except OSError as error:  # no such cwd, wrong architecture, argument list too long
        raise CommandFailed(_headline(command, f"cannot be started: {error}")) from error


def _environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    merged = {**os.environ, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def _stdin(command: Command) -> int | None:
    if command.interactive:
        return None
    return subprocess.DEVNULL if command.stdin is None else subprocess.PIPE


def _communicate(
    process: subprocess.Popen[bytes], command: Command, log_start: int
) -> tuple[bytes, bytes]:
    try:
        out, err = process.communicate(
            None if command.interactive else command.stdin, timeout=command.timeout_s
        )
        return out or b"", err or b""
    except subprocess.TimeoutExpired as expired:
        _stop(process, group=not command.interactive)
        said = (expired.stderr or expired.output or b"").decode("utf-8", "replace")
        told = _told(command, log_start, said)
        raise CommandTimedOut(
            f"{_headline(command, f'had no end after {command.timeout_s:g} s')}{told}"
        ) from None
    except BaseException:
        _stop(process, group=not command.interactive)
        raise


def _stop(process: subprocess.Popen[bytes], *, group: bool) -> None:
    """End it and its children, kindly first; only ever a process that we started.

    An interactive process shares our group (it needs the terminal), so it is signalled alone.
    A second Ctrl-C cuts the grace short.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            _signal(process, number, group=group)
            process.wait(_GRACE_S)
            break
    if group:  # what outlived its parent; daemons have left the group by setsid
        _signal(process, signal.SIGKILL, group=True)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals, *, group: bool) -> None:
    if not group:
        process.send_signal(number)
        return
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return
    except PermissionError:  # a child of sudo: only root may signal it
        argv = (
            "sudo",
            "-n",
            "kill",
            f"-{number.name.removeprefix('SIG')}",
            "--",
            f"-{process.pid}",
        )
        subprocess.run(argv, check=False, stdin=subprocess.DEVNULL, capture_output=True)


def _mask(text: str, secrets: tuple[str, ...], mask: str = "***") -> str:
    """Longest first: one secret may hold another. An empty one would be found everywhere."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, mask)
    return text


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:  # most real-time signals have no name
        return f"was ended by signal {-code}"


def _headline(command: Command, ending: str) -> str:
    return f"{command.what or 'command'}: {command.argv[0]} {ending}\n  {command}"


def _told(command: Command, log_start: int, output: str) -> str:
    """The last lines of what this command said; a log may hold earlier commands' lines too."""
    if command.log:
        with command.log.open("rb") as log:
            log.seek(log_start)
            output = log.read().decode("utf-8", "replace")
    tail = _mask(output, command.secrets).rstrip().splitlines()[-_TAIL_LINES:]
    where = [f"  log: {command.log}"] if command.log else []
    return "".join(f"\n{line}" for line in [*(f"  | {line}" for line in tail), *where])
