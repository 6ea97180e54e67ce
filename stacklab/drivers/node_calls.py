"""What programs on a node share: to run others, and to write what they found.

Runs on the node, in one piece with the program that imports it (see `nodes.programs`), with nothing
but Python's own library.
"""

from __future__ import annotations

import json
import shlex
import subprocess

WORDS_MAX = 500
_CALL_S = 60


class NodeError(Exception):
    """Something that can't be done; the text is for people."""


def call(*argv: str, limit_s: float = _CALL_S) -> str:
    """Return what a program wrote; raises NodeError if it fails."""
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, errors="replace", timeout=limit_s, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NodeError(f"{argv[0]}: {error}") from error
    if done.returncode != 0:
        raise NodeError(f"{shlex.join(argv[:4])}: {done.stderr.strip()[-WORDS_MAX:]}")
    return done.stdout


def write(**fields: object) -> None:
    """Write a line of JSON."""
    print(json.dumps(fields), flush=True)
