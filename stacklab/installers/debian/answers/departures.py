"""What has the cloud forget a compute node that is gone: a program for the controller."""

from __future__ import annotations

from pathlib import Path

from stacklab import drivers
from stacklab.installers.debian.answers.backends import backend_of
from stacklab.installers.debian.answers.backends.contract import NOVA_CONF
from stacklab.model.cloud import ComputesProgram
from stacklab.model.lab import Lab, NodeKind
from stacklab.stages.stage import MINUTE_S

# It is read, not imported: it runs on a node.
_PROGRAM = Path(drivers.__file__).parent / "cloud_computes.py"


def computes_program(lab: Lab) -> ComputesProgram:
    """Return the program; an emulated controller takes a minute for an API's first answer."""
    is_vm = lab.controller.kind is NodeKind.VM
    answer_s = 2 * MINUTE_S if is_vm else MINUTE_S / 3
    argv = ["python3", "-", "--config", NOVA_CONF, "--answer", f"{answer_s:g}"]
    if backend_of(lab).has_chassis:
        argv.append("--ovn")
    return ComputesProgram(
        argv=tuple(argv),
        stdin=_PROGRAM.read_bytes(),
        look_limit_s=3 * MINUTE_S if is_vm else MINUTE_S / 2,
        forget_limit_s=10 * MINUTE_S if is_vm else 3 * MINUTE_S,
    )
