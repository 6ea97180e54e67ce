"""Probes of the kernel's limits of inotify: is there enough for all containers of this host?"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from stacklab.doctor.containers.results import ok, result_of
from stacklab.doctor.machine import Machine
from stacklab.doctor.result import ProbeResult, ProbeStatus
from stacklab.model.lab import Lab, NodeKind


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limit:
    """A limit of the kernel on what root uses of inotify, on the host and in all containers.

    Measured on a Debian 12 that has just booted, with systemd 252: 6 instances of root (5 of
    PID 1, 1 of logind) and 20 watches. The usual number is for a node with a cloud on it. When the
    instances are used up, a node never boots. With none left, its PID 1 ends at once: "Failed to
    create control group inotify object: Too many open files". With a few left, it starts some
    services, writes that line again and again, and waits for ever for the end of others.
    """

    name: str
    least: int  # of a node; with less it does not boot
    usual: int  # of a node
    least_of_host: int  # of root outside: none at all where no systemd runs
    usual_of_host: int
    good: int  # the value to suggest


_LIMITS = (
    _Limit(
        name="max_user_instances",
        least=6,
        usual=8,
        least_of_host=0,
        usual_of_host=32,
        good=1024,
    ),
    _Limit(
        name="max_user_watches",
        least=20,
        usual=100,
        least_of_host=0,
        usual_of_host=1000,
        good=131072,
    ),
)


def probe_inotify(own: int, others: Iterable[Lab], machine: Machine) -> tuple[ProbeResult, ...]:
    """Probe if inotify is enough for this many containers, and for those of the other labs."""
    of_others = sum(len(lab.of_kind(NodeKind.CONTAINER)) for lab in others)
    return tuple(_probe_limit(machine, limit, own, of_others) for limit in _LIMITS)


def _probe_limit(machine: Machine, limit: _Limit, own: int, of_others: int) -> ProbeResult:
    name = f"fs.inotify.{limit.name}"
    text = machine.read_text(Path("/proc/sys/fs/inotify") / limit.name).strip()
    if not text.isdecimal():
        return result_of(name, ProbeStatus.WARNING, f"{name} of this host can't be read")
    value = int(text)
    enough_for = max(0, value - limit.usual_of_host) // limit.usual
    sentence = f"{name} is {value}, enough for {enough_for} containers"
    if own + of_others <= enough_for:
        return ok(name, sentence)
    if of_others:
        sentence += f"; this lab has {own}, the others on this host {of_others}"
    else:
        sentence += f"; this lab has {own}"
    least = own * limit.least + limit.least_of_host
    most = (own + of_others) * limit.usual + limit.usual_of_host
    fix = f"sudo sysctl -w {name}={max(limit.good, 2 * most)}"
    # The others may be down, and so need none.
    status = ProbeStatus.FAILED if own and value < least else ProbeStatus.WARNING
    sentence += ", and what is too many does not boot"
    return dataclasses.replace(result_of(name, status, sentence, fix), is_said=own > 0)
