"""The client of debuggers, against others that speak badly: each ends with a DapError, in time."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from stacklab.tools import dap
from stacklab.tools.dap import DapError, Debugger

Answer = Callable[[socket.socket], None]


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], int]]:
    """Start a debugger that does what a function does with its connection; returns its port."""
    listeners: list[socket.socket] = []

    def start(answer: Answer) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def accept() -> None:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                answer(connection)
                while connection.recv(65536):
                    pass

        threading.Thread(target=accept, daemon=True).start()
        return int(listener.getsockname()[1])

    yield start
    for listener in listeners:
        listener.close()


def message(**fields: object) -> bytes:
    data = json.dumps(fields).encode()
    return b"Content-Length: %d\r\n\r\n" % len(data) + data


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (b"SSH-2.0-OpenSSH\r\n\r\n", "not a debugger"),
        (b"x" * 10_000, "not a debugger"),
        (b"Content-Length: 99999999999\r\n\r\n", "not a debugger, or says too much"),
        (b"Content-Length: -1\r\n\r\n", "not a debugger"),
        (b"Content-Length: 5000000\r\n\r\n", "says too much"),
        (b"Content-Length: 3\r\n\r\n{{{", "not JSON"),
        (b"Content-Length: 2\r\n\r\n[]", "not a message"),
        (b"Content-Length: 60000\r\n\r\n" + b"[" * 60000, "not JSON"),
        (message(type="response", request_seq=1, success=False, message="no"), "no"),
        (message(type="response", request_seq=1), "refuses"),
    ],
)
def test_what_is_no_answer_is_told(serve: Callable[[Answer], int], sent: bytes, why: str) -> None:
    port = serve(lambda connection: connection.sendall(sent))
    with pytest.raises(DapError, match=why), Debugger(port, limit_s=1) as debugger:
        debugger.attach()


def test_silence_ends_with_the_limit(serve: Callable[[Answer], int]) -> None:
    port = serve(lambda connection: None)
    with (
        pytest.raises(DapError, match="does not answer within"),
        Debugger(port, limit_s=0.3) as debugger,
    ):
        debugger.attach()


def test_events_without_end_are_not_kept(
    serve: Callable[[Answer], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dap, "_MOST_STOPS", 3)

    def flood(connection: socket.socket) -> None:
        for _ in range(1000):
            connection.sendall(message(type="event", event="stopped", body={}))
            connection.sendall(message(type="event", event="output", body={}))
        connection.sendall(message(type="response", request_seq=1, success=True))
        connection.sendall(message(type="event", event="initialized"))

    with Debugger(serve(flood), limit_s=1) as debugger:
        debugger.attach()
        with pytest.raises(DapError, match="threadId"):
            debugger.stopped(1)


@pytest.mark.parametrize(
    "body",
    [{}, {"stackFrames": []}, {"stackFrames": "x"}, {"stackFrames": [{"id": "x"}]}, []],
)
def test_a_stack_that_is_none_is_told(serve: Callable[[Answer], int], body: object) -> None:
    port = serve(
        lambda connection: connection.sendall(
            message(type="response", request_seq=1, success=True, body=body)
        )
    )
    with Debugger(port, limit_s=1) as debugger, pytest.raises(DapError):
        debugger.look(1, ["x"])


def test_of_an_expression_that_fails_the_last_line_is_the_value(
    serve: Callable[[Answer], int],
) -> None:
    frame = {"id": 3, "name": "index", "line": "x", "source": None}

    def answer(connection: socket.socket) -> None:
        connection.sendall(
            message(type="response", request_seq=1, success=True, body={"stackFrames": [frame]})
        )
        traceback = "Traceback:\n  File x\nNameError: name 'x' is not defined\n"
        connection.sendall(
            message(type="response", request_seq=2, success=False, message=traceback)
        )

    with Debugger(serve(answer), limit_s=1) as debugger:
        stop = debugger.look(1, ["x"])
    assert stop.values == (("x", "(NameError: name 'x' is not defined)"),)
    assert stop.frames[0].line == 0
