"""Feed a running process its stdin, and read what it writes piece by piece."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import time
from collections.abc import Callable, Iterator

from stacklab.errors import CommandFailed, CommandTimedOut
from stacklab.process import messages, signals
from stacklab.process.command import Command
from stacklab.process.streams import send_piece

_ASK_EVERY_S = 0.25
_PIECE_BYTES = 65536  # as much as a pipe of Linux holds
_FOREVER = float("inf")


class StreamReader:
    """Feeds a process its stdin and reads both its streams until they end."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        command: Command,
        take: Callable[[bytes], None],
        take_error: Callable[[bytes], None],
        feed: Iterator[bytes],
    ) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._command = command
        self._takers = {process.stdout.fileno(): take, process.stderr.fileno(): take_error}
        self._unsent = memoryview(command.stdin or b"")
        # What comes behind that. An empty piece is not its end.
        self._feed = filter(None, feed)

    def read_streams(
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
        deadline = time.monotonic() + (_FOREVER if limit_s is None else limit_s)
        with selectors.DefaultSelector() as selector:
            self._register_streams(selector)
            while selector.get_map():
                why = why_stop()
                if why:
                    raise CommandFailed(messages.headline(self._command, f"was ended: {why}"))
                left_s = deadline - time.monotonic()
                if left_s < 0:
                    raise messages.timed_out(self._command, 0, written())
                ready = selector.select(min(_ASK_EVERY_S, left_s))
                if not ready and not keeps_streams and self._process.poll() is not None:
                    # A daemon that it started holds our streams open. What the process itself
                    # wrote has been read.
                    break
                for key, _ in ready:
                    self._serve_stream(selector, key.fd)
        self._wait_for_end(deadline, keeps_streams=keeps_streams)

    def _register_streams(self, selector: selectors.BaseSelector) -> None:
        for descriptor in self._takers:
            selector.register(descriptor, selectors.EVENT_READ)
        if self._process.stdin is not None:
            descriptor = self._process.stdin.fileno()
            # A program that does not read its stdin must not keep us from reading its output.
            os.set_blocking(descriptor, False)
            selector.register(descriptor, selectors.EVENT_WRITE)

    def _serve_stream(self, selector: selectors.BaseSelector, descriptor: int) -> None:
        """Do what one stream is ready for."""
        if descriptor not in self._takers:
            self._feed_stdin(selector, descriptor)
            return
        data = os.read(descriptor, _PIECE_BYTES)
        if data:
            self._takers[descriptor](data)
        else:
            selector.unregister(descriptor)

    def _feed_stdin(self, selector: selectors.BaseSelector, descriptor: int) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        self._unsent = send_piece(stdin, self._unsent)
        if not self._unsent:
            self._unsent = memoryview(next(self._feed, b""))
        if self._unsent:
            return
        # Closed at once: many programs begin only at the end of their stdin.
        selector.unregister(descriptor)
        with contextlib.suppress(BrokenPipeError):
            stdin.close()

    def _wait_for_end(self, deadline: float, *, keeps_streams: bool) -> None:
        """Wait for the end of a process that has closed its streams."""
        limit_s = signals.GRACE_S
        if keeps_streams:
            limit_s = max(deadline - time.monotonic(), limit_s)
        try:
            self._process.wait(None if limit_s == _FOREVER else limit_s)
        except subprocess.TimeoutExpired:
            ending = "closed its streams but did not end"
            raise CommandTimedOut(messages.headline(self._command, ending)) from None
