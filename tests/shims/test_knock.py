"""Knocking at real sockets of this machine's."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from stacklab.tools.network import knock
from stacklab.tools.network.knock import Door


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def knocked(server: socket.socket, says: bytes | None) -> knock.Knock:
    """Knock at a server that says this; None: nothing, for as long as anybody listens."""

    def serve() -> None:
        connection, _ = server.accept()
        if says is not None:
            connection.sendall(says)
            connection.close()
        else:
            held.append(connection)

    held: list[socket.socket] = []
    thread = threading.Thread(target=serve)
    thread.start()
    found = knock.knock("127.0.0.1", server.getsockname()[1])
    thread.join()
    for each in held:
        each.close()
    return found


def test_an_sshd_is_known_by_its_name(listening: socket.socket) -> None:
    found = knocked(listening, b"SSH-2.0-OpenSSH_9.2\r\n")
    assert (found.door, found.said) == (Door.OPEN, "SSH-2.0-OpenSSH_9.2")


@pytest.mark.parametrize(
    ("says", "said"),
    [(b"HTTP/1.1 400\r\n", "something else than sshd answers"), (b"", "closed at once")],
)
def test_what_is_no_sshd_is_told(listening: socket.socket, says: bytes, said: str) -> None:
    found = knocked(listening, says)
    assert (found.door, found.said) == (Door.OTHER, said)


def test_silence_is_told_from_no_connection(
    listening: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(knock, "_SPEAK_S", 0.2)
    found = knocked(listening, None)
    assert (found.door, found.said) == (Door.SILENT, "connected, but nothing was said for 0.2 s")


def test_a_closed_port_refuses(listening: socket.socket) -> None:
    port = listening.getsockname()[1]
    listening.close()
    found = knock.knock("127.0.0.1", port)
    assert (found.door, found.said) == (Door.REFUSED, "[Errno 111] Connection refused")


@pytest.mark.parametrize(
    ("error", "door"),
    [
        (TimeoutError("timed out"), Door.NO_ANSWER),
        (OSError(113, "No route to host"), Door.UNREACHABLE),
        (OSError(101, "Network is unreachable"), Door.UNREACHABLE),
        (OSError(1, "Operation not permitted"), Door.NO_ANSWER),
    ],
)
def test_who_does_not_connect_says_how(
    monkeypatch: pytest.MonkeyPatch, error: OSError, door: Door
) -> None:
    def connect(*_args: object, **_kwargs: object) -> None:
        raise error

    monkeypatch.setattr(socket, "create_connection", connect)
    assert knock.knock("10.0.0.1").door is door
