"""Command lines of zstd, which packs and unpacks bundles. Pure: nothing is run here."""

from __future__ import annotations

from stacklab.process.command import Command

# A window that is wider than this costs whoever unpacks it as much memory. zstd's own limit is
# the same today; a bundle may come from anybody, so it is not left to a default.
_MOST_MEMORY = "--memory=128MB"
# zstd alone does a hundred times as much; a disk that is slower than this is broken.
_SLOWEST_BYTES_PER_S = 2_000_000
_START_S = 60.0


def pack(what: str, size: int) -> Command:
    """Pack stdin to stdout, with a checksum, by all processors."""
    argv = ("zstd", "-q", "-c", "-T0", "--check")
    return Command(argv=argv, what=what, timeout_s=_limit_s(size))


def unpack(what: str, size: int) -> Command:
    """Unpack stdin to stdout; anything that zstd has not packed, or not whole, is an error.

    Without -f, which would hand out what is not packed as it is.
    """
    argv = ("zstd", "-q", "-d", "-c", _MOST_MEMORY)
    return Command(argv=argv, what=what, timeout_s=_limit_s(size))


def _limit_s(size: int) -> float:
    return _START_S + size / _SLOWEST_BYTES_PER_S
