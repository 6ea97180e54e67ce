"""Ports of this host at which a program listens, found without a connection to it.

Source: proc_pid_net(5): a line of /proc/net/tcp has the address in hexadecimal, and the state.
"""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LISTEN = "0A"
# 127.0.0.1 and all addresses; and the same of IPv6, where IPv4 arrives as well.
_ALL = frozenset({"00000000", "0" * 32})
_LOOPBACK = _ALL | {"0100007F", "0000000000000000FFFF00000100007F"}


def listens(port: int) -> bool:
    """Return True if a program listens at 127.0.0.1:port."""
    return port in _ports_at(_LOOPBACK)


def ports_at_all_addresses() -> tuple[int, ...]:
    """Return the ports at which programs listen at all of this host's addresses, sorted."""
    return tuple(sorted(_ports_at(_ALL)))


def _ports_at(addresses: Set[str]) -> set[int]:
    return {found for table in _TABLES for found in _ports_in(table, addresses)}


def _ports_in(table: Path, addresses: Set[str]) -> list[int]:
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return []
    found = []
    for line in lines:
        _, local, _, state, *_ = line.split()
        address, _, port = local.partition(":")
        if state == _LISTEN and address in addresses:
            found.append(int(port, 16))
    return found
