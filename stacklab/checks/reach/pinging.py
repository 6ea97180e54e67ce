"""The host's own pings to nodes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from stacklab.checks.impairments import ways
from stacklab.errors import ToolError
from stacklab.model.lab import Lab
from stacklab.process.command import Command, Runner
from stacklab.tools.network import fping

_PATIENCE_MS = 800


def fping_argv(lab: Lab, addresses: Iterable[str]) -> tuple[str, ...]:
    """Return fping's command line; two pings, as a busy node is late with its first answer."""
    patience_ms = math.ceil(_PATIENCE_MS + ways.slower_ms(lab))
    # -p: 400 ms between the two to one address; -i: 1 ms between two addresses.
    return ("fping", "-q", "-C", "2", "-p", "400", "-t", f"{patience_ms}", "-i", "1", *addresses)


def ping_addresses(
    lab: Lab, addresses: Sequence[str], runner: Runner
) -> tuple[Mapping[str, fping.Ping], str]:
    """Ping these addresses from the host; returns {} and the reason where fping could not run."""
    if not addresses:
        return {}, ""
    command = Command(
        argv=fping_argv(lab, addresses),
        what="pinging nodes from the host",
        ok_codes=(0, 1, 2),  # 1: some did not answer; 2: some addresses were not found
        timeout_s=20 + ways.slower_s(lab),
    )
    try:
        result = runner.run(command)
    except ToolError as error:
        return {}, error.message
    # With -q, fping writes its summary to stderr.
    return fping.parse(result.stderr), ""
