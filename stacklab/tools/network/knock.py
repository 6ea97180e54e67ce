"""A connection to a node's ssh port that tells sshd, other services and silence apart."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from enum import StrEnum

PORT = 22
_CONNECT_S = 1.0
_SPEAK_S = 5.0
_ENOUGH_BYTES = 64  # of `SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u7`
_UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN)


class Door(StrEnum):
    """The ways in which a port can answer."""

    OPEN = "open"  # sshd sent its version
    REFUSED = "refused"
    SILENT = "silent"  # the connection was accepted, but nothing was sent
    OTHER = "other"  # a service that is not sshd
    NO_ANSWER = "no answer"  # to TCP; ARP may be answered
    UNREACHABLE = "unreachable"  # there is no route, or nobody has the address


@dataclass(frozen=True, slots=True, kw_only=True)
class Knock:
    """The result of one connection; `said` is the answer or the error, as text."""

    door: Door
    said: str


def knock(address: str, port: int = PORT) -> Knock:
    """Connect to a port, and wait for the version that sshd sends first."""
    try:
        connection = socket.create_connection((address, port), timeout=_CONNECT_S)
    except ConnectionRefusedError as error:
        return Knock(door=Door.REFUSED, said=str(error))
    except TimeoutError:
        return Knock(door=Door.NO_ANSWER, said=f"no answer within {_CONNECT_S:g} s")
    except OSError as error:
        door = Door.UNREACHABLE if error.errno in _UNREACHABLE else Door.NO_ANSWER
        return Knock(door=door, said=str(error))
    with connection:
        return _read_version(connection)


def _read_version(connection: socket.socket) -> Knock:
    connection.settimeout(_SPEAK_S)
    try:
        answer = connection.recv(_ENOUGH_BYTES)
    except TimeoutError:
        said = f"connected, but nothing was said for {_SPEAK_S:g} s"
        return Knock(door=Door.SILENT, said=said)
    except OSError as error:
        return Knock(door=Door.OTHER, said=str(error))
    if answer.startswith(b"SSH-"):
        return Knock(door=Door.OPEN, said=answer.decode("ascii", "replace").strip())
    if answer:
        return Knock(door=Door.OTHER, said="something else than sshd answers")
    return Knock(door=Door.OTHER, said="closed at once")
