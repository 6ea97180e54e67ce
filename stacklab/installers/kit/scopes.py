"""Processes that a step leaves behind on purpose, such as screen's sessions."""

from __future__ import annotations

import shlex


def in_own_scope(command: str) -> str:
    """Return a command of stack's whose processes in the background live on after its step.

    A step is a unit of systemd, which ends whatever is left in a unit that is over.
    """
    run = f"/bin/bash -lc {shlex.quote(command)}"
    return f"sudo -n systemd-run --quiet --scope sudo -n -H -u stack {run}"
