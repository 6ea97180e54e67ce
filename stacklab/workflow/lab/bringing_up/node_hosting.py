"""Say what a lab's nodes run by on this host: an accelerator, or the host's own kernel."""

from __future__ import annotations

import platform

from stacklab.model.lab import Lab, NodeKind
from stacklab.workflow.context import Context
from stacklab.workflow.lab.bringing_up import boot_times


def say(context: Context, lab: Lab) -> str:
    """Say, and return, what the nodes run by; without VMs nobody has to try KVM."""
    progress = context.progress
    privileged = [node.name for node in lab.of_kind(NodeKind.CONTAINER) if node.is_privileged]
    if privileged:
        progress.note(
            "host",
            f"root on {', '.join(privileged)} is as good as root on this host: see SECURITY.md",
        )
    if not lab.of_kind(NodeKind.VM):
        how_run = f"none: the nodes are containers on this host's kernel ({platform.release()})"
        progress.note("host", how_run.removeprefix("none: "))
        return how_run
    accelerator = context.accelerator()
    progress.note("host", f"accelerator: {accelerator}")
    if not accelerator.is_kvm and not lab.of_kind(NodeKind.CONTAINER):
        progress.note("host", boot_times.advice(context.host, lab))
    return str(accelerator)
