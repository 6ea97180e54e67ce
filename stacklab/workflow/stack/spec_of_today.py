"""The lab that `lab.stack` works with: its spec of today, as `answers.push` takes it."""

from __future__ import annotations

from stacklab import spec
from stacklab.model.lab import Lab
from stacklab.workflow import spec_files
from stacklab.workflow.context import Context, running_lab
from stacklab.workflow.lab.kinds import on_this_host


def find(context: Context, name: str) -> Lab:
    """Return the lab of that name as its file has it, or as it was brought up without one.

    Raises LabError if it is not up.
    """
    made, _ = running_lab(context, name)
    try:
        file = spec_files.find_running(context.host, name)
    except spec.UnknownLab:
        return made
    return on_this_host(context, spec.load(file))
