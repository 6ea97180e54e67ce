"""What commands on nodes printed, told apart by node."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TextIO

from stacklab.errors import LabError
from stacklab.process import Result


def by_node(results: Mapping[str, Result | LabError]) -> None:
    """Print each line behind its node's name: stdout to stdout, stderr and errors to stderr."""
    width = max(map(len, results))
    for node, result in results.items():
        prefix = f"{node:<{width}} | "
        if isinstance(result, LabError):
            _print(prefix, result.message, sys.stderr)
            continue
        _print(prefix, result.stdout, sys.stdout)
        _print(prefix, result.stderr, sys.stderr)
        if result.exit_code:
            _print(prefix, f"ended with {result.exit_code}", sys.stderr)


def _print(prefix: str, text: str, stream: TextIO) -> None:
    for line in text.splitlines():
        print(prefix + line, file=stream, flush=True)
