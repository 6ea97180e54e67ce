"""A client of the Debug Adapter Protocol, as debugpy speaks it: one breakpoint, one look, and on.

Source: microsoft.github.io/debug-adapter-protocol/specification; debugpy's `attach`. The other end
is a node: what comes is foreign, its size is bounded, and each answer is waited for with a limit.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

_MOST_BYTES = 4 * 1024 * 1024  # of one message
_HEADER_MAX = 4096
_MOST_STOPS = 100
_ANSWER_S = 60.0  # an emulated node's debugger takes its time
_MOST_FRAMES = 50


class DapError(Exception):
    """The other end does not speak as it should, or not in time; its text may be foreign."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One call of a stack; foreign text."""

    function: str
    path: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """What was seen where a process stopped, the innermost frame first; foreign text.

    `values` has each expression that was asked for, and what it came to.
    """

    frames: tuple[Frame, ...]
    values: tuple[tuple[str, str], ...]


class Debugger:
    """A connection to the debugger of one process."""

    def __init__(self, port: int, *, limit_s: float = _ANSWER_S) -> None:
        """Connect to a port of this host; raises DapError."""
        self._limit_s = limit_s
        self._sequence = 0
        self._buffer = b""
        self._events: list[dict[str, Any]] = []
        try:
            self._socket = socket.create_connection(("127.0.0.1", port), timeout=limit_s)
        except OSError as error:
            raise DapError(f"nobody answers at port {port}: {error}") from error

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Have the process go on without us, whatever happened."""
        self.close()

    def attach(self) -> None:
        """Begin to debug: all code, that of packages too."""
        self._ask(
            "initialize",
            adapterID="stacklab",
            clientID="stacklab",
            linesStartAt1=True,
            columnsStartAt1=True,
            pathFormat="path",
        )
        # Its answer comes when all is configured.
        attached = self._send("attach", justMyCode=False)
        try:
            self._wait_for_event("initialized", time.monotonic() + self._limit_s)
        except TimeoutError as error:
            raise DapError("the debugger does not begin") from error
        self._attached = attached

    def set_breakpoint(self, path: str, line: int) -> None:
        """Set the only breakpoint, and let the debugger begin; raises DapError if it can't be."""
        body = self._ask("setBreakpoints", source={"path": path}, breakpoints=[{"line": line}])
        listed = body.get("breakpoints")
        first = listed[0] if isinstance(listed, list) and listed else {}
        if not isinstance(first, dict) or first.get("verified") is not True:
            raise DapError(f"no breakpoint can be set at {path}:{line}")
        self._ask("configurationDone")
        self._answer_to(self._attached, time.monotonic() + self._limit_s)

    def stopped(self, wait_s: float) -> int | None:
        """Return the thread that has stopped within these seconds; None: none has."""
        try:
            event = self._wait_for_event("stopped", time.monotonic() + wait_s)
        except TimeoutError:
            return None
        return _number(event, "threadId")

    def look(self, thread: int, expressions: Sequence[str]) -> Stop:
        """Return the stack of a thread that has stopped, and what these expressions come to."""
        body = self._ask("stackTrace", threadId=thread, levels=_MOST_FRAMES)
        listed = body.get("stackFrames")
        frames = (
            [frame for frame in listed if isinstance(frame, dict)]
            if isinstance(listed, list)
            else []
        )
        if not frames:
            raise DapError("the thread that has stopped has no stack")
        innermost = _number(frames[0], "id")
        values = tuple((each, self._evaluate(each, innermost)) for each in expressions)
        return Stop(frames=tuple(_frame(frame) for frame in frames[:_MOST_FRAMES]), values=values)

    def go_on(self, thread: int) -> None:
        """Let a process that has stopped go on."""
        self._ask("continue", threadId=thread)

    def close(self) -> None:
        """Take the breakpoint away and let go; the process runs on."""
        with contextlib.suppress(DapError, OSError):
            self._ask("disconnect", terminateDebuggee=False, limit_s=min(self._limit_s, 5.0))
        self._socket.close()

    def _evaluate(self, expression: str, frame: int) -> str:
        try:
            body = self._ask("evaluate", expression=expression, frameId=frame, context="repl")
        except DapError as error:
            # A traceback, of which the last line is the error.
            lines = [line for line in str(error).splitlines() if line.strip(" )")]
            return f"({lines[-1].strip()})" if lines else "(no value)"
        return str(body.get("result", ""))

    # --- messages

    def _ask(self, command: str, *, limit_s: float = 0.0, **arguments: object) -> dict[str, Any]:
        """Send a request, and return the body of its answer."""
        number = self._send(command, **arguments)
        return self._answer_to(number, time.monotonic() + (limit_s or self._limit_s))

    def _send(self, command: str, **arguments: object) -> int:
        self._sequence += 1
        request = {
            "seq": self._sequence,
            "type": "request",
            "command": command,
            "arguments": arguments,
        }
        data = json.dumps(request).encode()
        try:
            self._socket.sendall(b"Content-Length: %d\r\n\r\n" % len(data) + data)
        except OSError as error:
            raise DapError(f"the debugger has gone: {error}") from error
        return self._sequence

    def _answer_to(self, number: int, deadline: float) -> dict[str, Any]:
        while True:
            try:
                message = self._receive(deadline)
            except TimeoutError as error:
                raise DapError(
                    f"the debugger does not answer within {self._limit_s:.0f} s"
                ) from error
            if message.get("type") == "event":
                self._keep(message)
            elif message.get("request_seq") == number:
                body = message.get("body")
                if message.get("success") is not True:
                    raise DapError(str(message.get("message") or "the debugger refuses"))
                return body if isinstance(body, dict) else {}

    def _wait_for_event(self, name: str, deadline: float) -> dict[str, Any]:
        """Return the body of an event; raises TimeoutError if it does not come."""
        while True:
            for event in self._events:
                if event.get("event") == name:
                    self._events.remove(event)
                    body = event.get("body")
                    return body if isinstance(body, dict) else {}
            message = self._receive(deadline)
            if message.get("type") == "event":
                self._keep(message)

    def _keep(self, event: dict[str, Any]) -> None:
        # Output and modules come by the thousand, and nobody asks for them.
        name = event.get("event")
        most = (
            {"initialized": 1, "stopped": _MOST_STOPS}.get(name, 0) if isinstance(name, str) else 0
        )
        if sum(kept.get("event") == name for kept in self._events) < most:
            self._events.append(event)

    def _receive(self, deadline: float) -> dict[str, Any]:
        """Return the next message; raises TimeoutError, and DapError for what is none."""
        while b"\r\n\r\n" not in self._buffer:
            if len(self._buffer) > _HEADER_MAX:
                raise DapError("what answers there is not a debugger")
            self._fill(deadline)
        header, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        size = _content_length(header)
        while len(self._buffer) < size:
            self._fill(deadline)
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        try:
            message = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise DapError("the debugger sends what is not JSON") from error
        if not isinstance(message, dict):
            raise DapError("the debugger sends what is not a message")
        return message

    def _fill(self, deadline: float) -> None:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        self._socket.settimeout(left_s)
        try:
            data = self._socket.recv(65536)
        except TimeoutError:
            raise
        except OSError as error:
            raise DapError(f"the debugger has gone: {error}") from error
        if not data:
            raise DapError("the debugger has closed the connection")
        self._buffer += data


def _content_length(header: bytes) -> int:
    for line in header.split(b"\r\n"):
        name, _, value = line.partition(b":")
        digits = value.strip()
        if name.strip().lower() == b"content-length" and digits.isdigit() and len(digits) < 10:
            size = int(digits)
            if size <= _MOST_BYTES:
                return size
    raise DapError("what answers there is not a debugger, or says too much at once")


def _number(fields: dict[str, Any], name: str) -> int:
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise DapError(f"the debugger does not say {name}")
    return value


def _frame(fields: dict[str, Any]) -> Frame:
    source = fields.get("source")
    path = source.get("path") if isinstance(source, dict) else ""
    line = fields.get("line")
    return Frame(
        function=str(fields.get("name", "")),
        path=str(path or ""),
        line=line if isinstance(line, int) else 0,
    )
