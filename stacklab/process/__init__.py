"""Run programs: argv only, one result type, secrets masked, no shell.

Source: shape after mkosi's `run` and multipass's ProcessSpec.
"""

from stacklab.process.command import (
    MOST_BYTES,
    Command,
    Conversing,
    Piping,
    Result,
    Runner,
    as_root,
)
from stacklab.process.runner import SubprocessRunner

__all__ = [
    "MOST_BYTES",
    "Command",
    "Conversing",
    "Piping",
    "Result",
    "Runner",
    "SubprocessRunner",
    "as_root",
]
