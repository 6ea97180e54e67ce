"""Run commands for real, and end them when time is over or somebody presses Ctrl-C."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from typing import BinaryIO, TypeAlias

from stacklab.errors import CommandFailed, ToolNotFound
from stacklab.process import messages, signals
from stacklab.process.command import Command, Result
from stacklab.process.reader import StreamReader
from stacklab.process.streams import Beginning, End, LineCutter

_KEPT_MAX = 1_000_000  # bytes of one line, and of stderr: a babbler must not fill our memory
_Stream: TypeAlias = BinaryIO | int | None  # as Popen takes it


class SubprocessRunner:
    """Runs commands for real. Ctrl-C and time-outs: SIGINT, grace, SIGTERM, grace, SIGKILL."""

    def __init__(self) -> None:
        self._running: dict[subprocess.Popen[bytes], Command] = {}

    def stop_all(self) -> None:
        """End the commands of other threads: Ctrl-C raises in the main thread only."""
        # A copy: threads take their commands out of it as these end.
        for process, command in list(self._running.items()):
            if process.poll() is None:
                signals.stop_process(process, group=not command.interactive)

    def run(self, command: Command) -> Result:
        """See Runner.run."""
        if command.interactive or command.log:
            return self._run_attached(command)
        output = Beginning(command.most_bytes)
        return self._run_piped(command, output.take, keeps_streams=True, output=output)

    def converse(
        self,
        command: Command,
        *,
        heard: Callable[[str, float], None],
        why_stop: Callable[[], str] = lambda: "",
    ) -> Result:
        """See Conversing.converse."""

        def hear_line(line: bytes) -> None:
            if line.endswith(b"\n"):
                heard(line[:-1].decode("utf-8", "replace"), time.time())

        lines = LineCutter(hear_line, _KEPT_MAX)
        return self._run_piped(command, lines.take, why_stop=why_stop)

    def stream(
        self, command: Command, *, out: Callable[[bytes], None], err: Callable[[bytes], None]
    ) -> Result:
        """See Conversing.stream."""
        lines = LineCutter(out, _KEPT_MAX)
        error_lines = LineCutter(err, _KEPT_MAX)
        result = self._run_piped(command, lines.take, take_error=error_lines.take)
        lines.end()
        error_lines.end()
        return result

    def pipe(
        self, command: Command, *, feed: Iterable[bytes], take: Callable[[bytes], None]
    ) -> Result:
        """See Piping.pipe."""
        # An stdin of its own, which `feed` goes on with.
        fed = dataclasses.replace(command, stdin=command.stdin or b"")
        return self._run_piped(fed, take, keeps_streams=True, feed=feed)

    def _run_attached(self, command: Command) -> Result:
        """Run what writes to the terminal or to a log: nothing is kept here."""
        started = time.monotonic()
        stdin = None if command.interactive else command.stdin

        def attend(process: subprocess.Popen[bytes]) -> None:
            process.communicate(stdin, timeout=command.timeout_s)

        with contextlib.ExitStack() as opened:
            log = opened.enter_context(command.log.open("ab")) if command.log else None
            log_start = log.tell() if log else 0
            try:
                exit_code = self._run_process(command, log, attend)
            except subprocess.TimeoutExpired:
                raise messages.timed_out(command, log_start, "") from None
        result = Result(exit_code=exit_code, elapsed_s=time.monotonic() - started)
        messages.raise_for_code(command, result, log_start)
        return result

    def _run_piped(
        self,
        command: Command,
        take: Callable[[bytes], None],
        *,
        take_error: Callable[[bytes], None] | None = None,
        why_stop: Callable[[], str] = lambda: "",
        keeps_streams: bool = False,
        output: Beginning | None = None,
        feed: Iterable[bytes] = (),
    ) -> Result:
        """Run a command whose streams are read here, piece by piece."""
        started = time.monotonic()
        errors = End(_KEPT_MAX)
        output = output or Beginning(0)

        def written() -> str:
            return errors.text.strip() or output.text

        def attend(process: subprocess.Popen[bytes]) -> None:
            reader = StreamReader(process, command, take, take_error or errors.take, iter(feed))
            reader.read_streams(why_stop, written, keeps_streams=keeps_streams)

        exit_code = self._run_process(command, None, attend)
        result = Result(
            exit_code=exit_code,
            stdout=output.text,
            stderr=errors.text + output.left_out_words,
            elapsed_s=time.monotonic() - started,
            left_out=output.left_out,
        )
        messages.raise_for_code(command, result, 0)
        return result

    def _run_process(
        self,
        command: Command,
        log: BinaryIO | None,
        attend: Callable[[subprocess.Popen[bytes]], None],
    ) -> int:
        """Start a process, let `attend` follow it to its end, and return its exit code.

        This is the one place that ends a process early: whatever `attend` raises, and Ctrl-C.
        """
        process: subprocess.Popen[bytes] | None = None
        # `attend` is a function, not the block of a context manager of ours: Ctrl-C between its
        # beginning and the block would leave the process running.
        with contextlib.ExitStack() as opened:
            try:
                with signals.interrupts_held():
                    process = opened.enter_context(_start_process(command, log))
                    self._running[process] = command
                    opened.callback(self._running.pop, process)
                attend(process)
            except BaseException:
                if process is not None:
                    signals.stop_process(process, group=not command.interactive)
                raise
        return process.returncode


def _start_process(command: Command, log: BinaryIO | None) -> subprocess.Popen[bytes]:
    environment = _merge_environment(command.env)
    if shutil.which(command.argv[0], path=environment.get("PATH")) is None:
        raise ToolNotFound(command.argv[0])
    stdin, stdout, stderr = _choose_streams(command, log)
    try:
        return subprocess.Popen(
            command.argv,
            cwd=command.cwd,
            env=environment,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            # A group of its own, so that its children can be ended with it.
            start_new_session=not command.interactive,
        )
    except OSError as error:  # no such cwd, wrong architecture, argument list too long
        ending = f"cannot be started: {error}"
        raise CommandFailed(messages.headline(command, ending)) from error


def _choose_streams(command: Command, log: BinaryIO | None) -> tuple[_Stream, _Stream, _Stream]:
    """Return a process's stdin, stdout and stderr; None is our own, the terminal."""
    if command.interactive:
        return None, None, None
    stdin = subprocess.DEVNULL if command.stdin is None else subprocess.PIPE
    if log:
        return stdin, log, subprocess.STDOUT
    return stdin, subprocess.PIPE, subprocess.PIPE


def _merge_environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    """Return our own environment with a command's changes; None takes a variable out."""
    merged = {**os.environ, **changes}
    return {name: value for name, value in merged.items() if value is not None}
