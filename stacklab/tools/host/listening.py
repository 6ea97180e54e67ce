"""Ports of this host's loopback at which a program listens, found without a connection to it.

Source: proc_pid_net(5): a line of /proc/net/tcp has the address in hexadecimal, and the state.
"""

from __future__ import annotations

from pathlib import Path

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LISTEN = "0A"
# 127.0.0.1 and all addresses; and the same of IPv6, where IPv4 arrives as well.
_LOOPBACK = {"0100007F", "00000000", "0" * 32, "0000000000000000FFFF00000100007F"}


def listens(port: int) -> bool:
    """Return True if a program listens at 127.0.0.1:port."""
    return port in {found for table in _TABLES for found in _ports_in(table)}


def _ports_in(table: Path) -> list[int]:
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return []
    found = []
    for line in lines:
        _, local, _, state, *_ = line.split()
        address, _, port = local.partition(":")
        if state == _LISTEN and address in _LOOPBACK:
            found.append(int(port, 16))
    return found
