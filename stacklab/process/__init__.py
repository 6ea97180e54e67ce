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
from typing import BinaryIO, Protocol

from stacklab.errors import CommandFailed, CommandTimedOut, ToolNotFound
from stacklab.process import signals
from stacklab.process.streams import Beginning, End, LineCutter, send
from stacklab.words import without

_GRACE_S = 5.0
_ASK_EVERY_S = 0.25
_KEPT_MAX = 1_000_000  # bytes of one line, and of stderr: a babbler must not fill our memory
MOST_BYTES = 64 * 1024 * 1024  # of a program of this host; what runs on a node is given less
_TAIL_LINES = 10
_MASK = "***"
# shlex would quote the stars: this stands for them until the words are joined.
_UNQUOTED_MASK = "xxMASKEDxx"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program to run; `what` begins the message of its error."""

    argv: tuple[str, ...]
    what: str = ""
    cwd: Path | None = None
    env: Mapping[str, str | None] = field(default_factory=dict)  # None unsets
    stdin: bytes | None = field(default=None, repr=False)
    timeout_s: float | None = None
    ok_codes: tuple[int, ...] = (0,)
    # Masked in every message, but not in `log`.
    secrets: tuple[str, ...] = field(default=(), repr=False)
    log: Path | None = None  # both streams are appended to it as they come
    interactive: bool = False  # keeps the terminal (ssh, console)
    most_bytes: int = MOST_BYTES  # of stdout are kept by `run`; Result.left_out counts the rest

    def __str__(self) -> str:
        # Masked before quoting: quoting would split a secret that holds a quote.
        masked = (without(word, self.secrets, _UNQUOTED_MASK) for word in self.argv)
        return shlex.join(masked).replace(_UNQUOTED_MASK, _MASK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of a command; with a log, stdout and stderr are in the log instead.

    Of a long stdout the beginning is kept, of a long stderr the end. The last line of stderr
    then says how much was left out.
    """

    exit_code: int
    stdout: str = ""
    stderr: str = ""
    elapsed_s: float = 0.0
    left_out: int = 0  # bytes of stdout that were more than Command.most_bytes


def as_root(argv: Sequence[str]) -> tuple[str, ...]:
    """Return the command line as run by root; sudo must not ask, for nobody may be there."""
    return tuple(argv) if os.geteuid() == 0 else ("sudo", "-n", *argv)


class Runner(Protocol):
    """Anything that can run a Command."""

    def run(self, command: Command) -> Result:
        """Run it to its end; raises ToolNotFound, CommandFailed or CommandTimedOut."""
        ...


class Conversing(Runner, Protocol):
    """A runner that hands out what a command writes while it writes it."""

    def converse(
        self,
        command: Command,
        *,
        heard: Callable[[str, float], None],
        why_stop: Callable[[], str] = lambda: "",
    ) -> Result:
        """Run it to its end; `heard` gets each line of stdout, and when it came (time.time()).

        A last line without a newline was cut off, and is dropped.
        `why_stop` is called several times a second; any result but "" ends the command
        with CommandFailed of those words. Raises what Runner.run does; the Result's
        stdout is "".
        """
        ...

    def stream(
        self, command: Command, *, out: Callable[[bytes], None], err: Callable[[bytes], None]
    ) -> Result:
        """Run it to its end, and hand out each line of both streams as bytes, when it comes.

        A line keeps its newline; the last line may lack it. Of a line that never ends, the
        beginning is handed out. Nothing is kept: the Result's stdout and stderr are "".
        Raises what Runner.run does.
        """
        ...


class SubprocessRunner:
    """Runs commands for real. Ctrl-C and time-outs: SIGINT, grace, SIGTERM, grace, SIGKILL."""

    def __init__(self) -> None:
        self._running: dict[subprocess.Popen[bytes], Command] = {}

    def stop_all(self) -> None:
        """End the commands of other threads: Ctrl-C raises in the main thread only."""
        # A copy: threads take their commands out of it as these end.
        for process, command in list(self._running.items()):
            if process.poll() is None:
                _stop(process, group=not command.interactive)

    def run(self, command: Command) -> Result:
        """See Runner.run."""
        if command.interactive or command.log:
            return self._run_attached(command)
        output = Beginning(command.most_bytes)
        return self._piped(command, output.take, keeps_streams=True, output=output)

    def converse(
        self,
        command: Command,
        *,
        heard: Callable[[str, float], None],
        why_stop: Callable[[], str] = lambda: "",
    ) -> Result:
        """See Conversing.converse."""

        def hear(line: bytes) -> None:
            if line.endswith(b"\n"):
                heard(line[:-1].decode("utf-8", "replace"), time.time())

        return self._piped(command, LineCutter(hear, _KEPT_MAX).take, why_stop=why_stop)

    def stream(
        self, command: Command, *, out: Callable[[bytes], None], err: Callable[[bytes], None]
    ) -> Result:
        """See Conversing.stream."""
        lines, error_lines = LineCutter(out, _KEPT_MAX), LineCutter(err, _KEPT_MAX)
        result = self._piped(command, lines.take, take_error=error_lines.take)
        lines.end()
        error_lines.end()
        return result

    def _run_attached(self, command: Command) -> Result:
        """Run what writes to the terminal or to a log: nothing is kept here."""
        started = time.monotonic()
        process: subprocess.Popen[bytes] | None = None
        with contextlib.ExitStack() as opened:
            log = opened.enter_context(command.log.open("ab")) if command.log else None
            log_start = log.tell() if log else 0
            try:
                with signals.interrupts_held():
                    process = opened.enter_context(_start(command, log))
                    self._running[process] = command
                    opened.callback(self._running.pop, process)
                _communicate(process, command, log_start)
            except KeyboardInterrupt:
                if process is not None and process.returncode is None:
                    _stop(process, group=not command.interactive)
                raise
        result = Result(exit_code=process.returncode, elapsed_s=time.monotonic() - started)
        _raise_for_code(command, result, log_start)
        return result

    def _piped(
        self,
        command: Command,
        take: Callable[[bytes], None],
        *,
        take_error: Callable[[bytes], None] | None = None,
        why_stop: Callable[[], str] = lambda: "",
        keeps_streams: bool = False,
        output: Beginning | None = None,
    ) -> Result:
        """Run a command whose streams are read here, piece by piece."""
        started = time.monotonic()
        errors = End(_KEPT_MAX)
        output = output or Beginning(0)

        def written() -> str:
            return errors.text.strip() or output.text

        process: subprocess.Popen[bytes] | None = None
        try:
            with signals.interrupts_held():
                process = _start(command, None)
                self._running[process] = command
            reading = _StreamReader(process, command, take, take_error or errors.take)
            reading.run(why_stop, written, keeps_streams=keeps_streams)
        except BaseException:
            if process is not None:
                _stop(process, group=True)
            raise
        finally:
            if process is not None:
                self._running.pop(process, None)
                process.__exit__(None, None, None)  # closes its pipes
        result = Result(
            exit_code=process.returncode,
            stdout=output.text,
            stderr=errors.text + output.left_out_words,
            elapsed_s=time.monotonic() - started,
            left_out=output.left_out,
        )
        _raise_for_code(command, result, 0)
        return result


class _StreamReader:
    """Feeds a process its stdin and reads both its streams until they end."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        command: Command,
        take: Callable[[bytes], None],
        take_error: Callable[[bytes], None],
    ) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._command = command
        self._takers = {process.stdout.fileno(): take, process.stderr.fileno(): take_error}
        self._unsent = memoryview(command.stdin or b"")

    def run(
        self,
        why_stop: Callable[[], str],
        written: Callable[[], str],
        *,
        keeps_streams: bool,
    ) -> None:
        """Read to the end; raises CommandFailed for a reason to stop, and CommandTimedOut.

        `keeps_streams`: wait for what the process left behind, as long as it holds them.
        """
        limit_s = self._command.timeout_s
        deadline = time.monotonic() + (float("inf") if limit_s is None else limit_s)
        with selectors.DefaultSelector() as selector:
            self._register(selector)
            while selector.get_map():
                why = why_stop()
                if why:
                    raise CommandFailed(_headline(self._command, f"was ended: {why}"))
                left_s = deadline - time.monotonic()
                if left_s < 0:
                    raise _timed_out(self._command, 0, written())
                ready = selector.select(min(_ASK_EVERY_S, left_s))
                if not ready and not keeps_streams and self._process.poll() is not None:
                    # A daemon that it started holds our streams open. What the process itself
                    # wrote has been read.
                    break
                for key, _ in ready:
                    self._serve(selector, key.fd)
        self._wait(deadline, keeps_streams=keeps_streams)

    def _register(self, selector: selectors.BaseSelector) -> None:
        for descriptor in self._takers:
            selector.register(descriptor, selectors.EVENT_READ)
        if self._process.stdin is not None:
            descriptor = self._process.stdin.fileno()
            # A program that does not read its stdin must not keep us from reading its output.
            os.set_blocking(descriptor, False)
            selector.register(descriptor, selectors.EVENT_WRITE)

    def _serve(self, selector: selectors.BaseSelector, descriptor: int) -> None:
        """Do what one stream is ready for."""
        stdin = self._process.stdin
        if descriptor not in self._takers:
            assert stdin is not None
            self._unsent = send(stdin, self._unsent)
            if not self._unsent:
                selector.unregister(descriptor)
                with contextlib.suppress(BrokenPipeError):
                    stdin.close()
            return
        data = os.read(descriptor, 65536)
        if data:
            self._takers[descriptor](data)
        else:
            selector.unregister(descriptor)

    def _wait(self, deadline: float, *, keeps_streams: bool) -> None:
        """Wait for the end of a process that has closed its streams."""
        limit_s = max(deadline - time.monotonic(), _GRACE_S) if keeps_streams else _GRACE_S
        try:
            self._process.wait(None if limit_s == float("inf") else limit_s)
        except subprocess.TimeoutExpired:
            words = "closed its streams but did not end"
            raise CommandTimedOut(_headline(self._command, words)) from None


def _timed_out(command: Command, log_start: int, output: str) -> CommandTimedOut:
    # ssh.classify knows "no end after": an ssh that we ended is one that timed out.
    ending = f"had no end after {command.timeout_s:g} s"
    headline = _headline(command, ending)
    return CommandTimedOut(f"{headline}{_last_lines(command, log_start, output)}")


def _raise_for_code(command: Command, result: Result, log_start: int) -> None:
    if result.exit_code in command.ok_codes:
        return
    last_lines = _last_lines(command, log_start, result.stderr.strip() or result.stdout)
    raise CommandFailed(f"{_headline(command, signals.ending(result.exit_code))}{last_lines}")


def _start(command: Command, log: BinaryIO | None) -> subprocess.Popen[bytes]:
    environment = _environment(command.env)
    if shutil.which(command.argv[0], path=environment.get("PATH")) is None:
        raise ToolNotFound(command.argv[0])
    stream = None if command.interactive else (log or subprocess.PIPE)
    stdin = subprocess.DEVNULL if command.stdin is None else subprocess.PIPE
    try:
        return subprocess.Popen(
            command.argv,
            cwd=command.cwd,
            env=environment,
            stdin=None if command.interactive else stdin,
            stdout=stream,
            stderr=subprocess.STDOUT if log and not command.interactive else stream,
            # A group of its own, so that its children can be ended with it.
            start_new_session=not command.interactive,
        )
    except OSError as error:  # no such cwd, wrong architecture, argument list too long
        raise CommandFailed(_headline(command, f"cannot be started: {error}")) from error


def _environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    merged = {**os.environ, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def _communicate(process: subprocess.Popen[bytes], command: Command, log_start: int) -> None:
    try:
        stdin = None if command.interactive else command.stdin
        process.communicate(stdin, timeout=command.timeout_s)
    except subprocess.TimeoutExpired:
        _stop(process, group=not command.interactive)
        raise _timed_out(command, log_start, "") from None
    except BaseException:
        _stop(process, group=not command.interactive)
        raise


def _stop(process: subprocess.Popen[bytes], *, group: bool) -> None:
    """End a process that we started, and its children: SIGINT first, SIGKILL last.

    An interactive process shares our group (it needs the terminal), so it is signalled alone.
    A second Ctrl-C cuts the grace short.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            signals.send(process, number, group=group)
            process.wait(_GRACE_S)
            break
    if group:
        # Children that outlived their parent. Daemons have left the group by setsid.
        signals.send(process, signal.SIGKILL, group=True)


def _headline(command: Command, ending: str) -> str:
    return f"{command.what or 'command'}: {command.argv[0]} {ending}\n  {command}"


def _last_lines(command: Command, log_start: int, output: str) -> str:
    """Return the last lines that this command wrote, each behind a mark of ours."""
    if command.log:
        with command.log.open("rb") as log:
            # A log may hold earlier commands' lines, too.
            log.seek(max(log_start, log.seek(0, os.SEEK_END) - _KEPT_MAX))
            output = log.read().decode("utf-8", "replace")
    tail = without(output, command.secrets, _MASK).rstrip().splitlines()[-_TAIL_LINES:]
    where = [f"  log: {command.log}"] if command.log else []
    return "".join(f"\n{line}" for line in [*(f"  | {line}" for line in tail), *where])
