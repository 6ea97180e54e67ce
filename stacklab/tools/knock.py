"""Knock at an sshd's port: what answers, told apart."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from enum import StrEnum

PORT = 22
_CONNECT_S = 1.0
_SPEAK_S = 5.0


class Door(StrEnum):
    """How a port answered."""

    OPEN = "open"  # an sshd said its name
    REFUSED = "refused"
    SILENT = "silent"  # it took the connection, and said nothing
    OTHER = "other"  # something else than sshd
    NO_ANSWER = "no answer"  # to TCP; ARP may have been answered
    UNREACHABLE = "unreachable"  # no route, or nobody has the address


@dataclass(frozen=True, slots=True, kw_only=True)
class Knock:
    """What came of knocking once."""

    door: Door
    said: str


def knock(address: str, port: int = PORT) -> Knock:
    """Connect, and listen for sshd's name."""
    try:
        connection = socket.create_connection((address, port), timeout=_CONNECT_S)
    except ConnectionRefusedError as error:
        return Knock(door=Door.REFUSED, said=str(error))
    except TimeoutError:
        return Knock(door=Door.NO_ANSWER, said=f"no answer within {_CONNECT_S:g} s")
    except OSError as error:
        is_unreachable = error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN)
        return Knock(door=Door.UNREACHABLE if is_unreachable else Door.NO_ANSWER, said=str(error))
    with connection:
        try:
            connection.settimeout(_SPEAK_S)
            said = connection.recv(64)
        except TimeoutError:
            return Knock(
                door=Door.SILENT, said=f"connected, but nothing was said for {_SPEAK_S:g} s"
            )
        except OSError as error:
            return Knock(door=Door.OTHER, said=str(error))
    if said.startswith(b"SSH-"):
        return Knock(door=Door.OPEN, said=said.decode("ascii", "replace").strip())
    return Knock(
        door=Door.OTHER, said="something else than sshd answers" if said else "closed at once"
    )
