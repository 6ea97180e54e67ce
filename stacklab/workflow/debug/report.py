"""`cloud.report`: a Guru Meditation Report, of what a service does at this moment."""

from __future__ import annotations

from stacklab.foreign import printable
from stacklab.model.lab import NodeKind
from stacklab.workflow.context import Context, running_lab
from stacklab.workflow.debug import node_program
from stacklab.workflow.debug.services import list_services, pick
from stacklab.workflow.masking import Masker

_LIMIT_S = 15.0
_EMULATED_LIMIT_S = 60.0
_LATE_S = 60.0


def fetch(context: Context, name: str, service_name: str, *, node: str = "") -> str:
    """Return what a service tells of its threads, greenlets and options; nothing is restarted.

    Passwords of the lab are masked, as the service masks its own. Raises LabError for an unknown
    service, and for one that writes no reports.
    """
    lab, paths = running_lab(context, name)
    service = pick(lab, list_services(context, lab, paths), service_name, node)
    is_emulated = lab.node(service.node).kind is NodeKind.VM
    limit_s = _EMULATED_LIMIT_S if is_emulated else _LIMIT_S
    words = ("report", service.unit, "--limit", f"{limit_s:g}")
    with context.progress.stage(service.node, f"report of {service.name}"):
        lines = node_program.run(context, paths, service.node, words, limit_s=limit_s + _LATE_S)
    masker = Masker(paths)
    return "\n".join(masker.text(printable(str(line.get("line", "")))) for line in lines)
