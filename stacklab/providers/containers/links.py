"""This host's ends of containers' NICs, read from /sys: each is there while its container runs."""

from __future__ import annotations

from pathlib import Path

_LINKS = Path("/sys/class/net")
_IFF_UP = 1  # of /usr/include/linux/if.h


def is_there(end: str) -> bool:
    """Return True if this host has that interface."""
    return (_LINKS / end).exists()


def is_up(end: str) -> bool:
    """Return True if that interface is switched on: then the container's NIC has a carrier."""
    try:
        flags = int((_LINKS / end / "flags").read_text(), 16)
    except (OSError, ValueError):
        return False
    return bool(flags & _IFF_UP)
