"""All probes of what nodes that are containers need: before a lab starts, and for `doctor`."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable

from stacklab.doctor import programs
from stacklab.doctor.containers import kernel, storage
from stacklab.doctor.containers.cgroup_controllers import probe_controllers
from stacklab.doctor.containers.inotify import probe_inotify
from stacklab.doctor.containers.of_lab import probe_lab
from stacklab.doctor.containers.on_host import probe_host
from stacklab.doctor.machine import Machine
from stacklab.doctor.programs import Program
from stacklab.doctor.result import ProbeResult, ProbeStatus
from stacklab.model.lab import Lab, NodeKind
from stacklab.paths import HostPaths

NSPAWN = Program(
    name="systemd-nspawn", apt="systemd-container", dnf="systemd-container", tested="252"
)


def preflight(
    lab: Lab, host: HostPaths, machine: Machine, others: Iterable[Lab] = ()
) -> tuple[ProbeResult, ...]:
    """Run the probes that a lab's containers need; a lab of VMs alone has none.

    `others` are the labs on record.
    """
    if not lab.of_kind(NodeKind.CONTAINER):
        return ()
    is_absent = machine.which(NSPAWN.name) is None
    nspawn = (programs.absent_result(machine, NSPAWN),) if is_absent else ()
    on_host = probe_host(machine)
    # What can't make a mount at all would only say so again.
    can_try = not any(result.is_failed for result in on_host)
    disk = storage.probe(lab, host, machine) if can_try else ()
    controllers = probe_controllers(machine, is_said=True)
    return (*nspawn, *on_host, *controllers, *disk, *probe_lab(lab, machine, others))


def full(
    lab: Lab | None, host: HostPaths, machine: Machine, others: Collection[Lab] = ()
) -> tuple[ProbeResult, ...]:
    """Run all probes; where no lab asks for containers, what is missing is a warning."""
    # A lab without containers asks for nothing that only containers need.
    asking = lab if lab is not None and lab.of_kind(NodeKind.CONTAINER) else None
    on_host = (programs.probe_program(machine, NSPAWN), *probe_host(machine))
    if not any(result.is_failed for result in on_host):
        on_host += storage.probe(asking, host, machine)
    on_host += probe_controllers(machine, is_said=False)
    features = kernel.probe_features(machine)
    if asking is not None:
        return (*on_host, *probe_lab(asking, machine, others), *features)
    if lab is not None or not _have_containers(others):
        on_host = tuple(_as_warning(result) for result in on_host)
    return (*on_host, *probe_inotify(0, others, machine), *features)


def _have_containers(labs: Collection[Lab]) -> bool:
    return any(lab.of_kind(NodeKind.CONTAINER) for lab in labs)


def _as_warning(result: ProbeResult) -> ProbeResult:
    if not result.is_failed:
        return result
    sentence = f"{result.sentence} (only nodes that are containers need it)"
    return dataclasses.replace(result, status=ProbeStatus.WARNING, sentence=sentence)
