"""`bench.up`: lab.up against bare QEMU and plain `vagrant up`, in one run. Never fails a test."""

from __future__ import annotations

from stacklab.model import Lab
from stacklab.workflow.context import Context


def up(context: Context, lab: Lab) -> tuple[tuple[str, str, str, str], ...]:
    """Rows."""
    raise NotImplementedError(context, lab)
