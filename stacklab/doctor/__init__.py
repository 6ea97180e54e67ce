"""Probes of the host: every assumption that stacklab makes, as a sentence with its fix."""

from stacklab.doctor.machine import Machine
from stacklab.doctor.probes import full, preflight
from stacklab.doctor.resources import host_memory
from stacklab.doctor.result import ProbeArea, ProbeResult, ProbeStatus, raise_for

__all__ = [
    "Machine",
    "ProbeArea",
    "ProbeResult",
    "ProbeStatus",
    "full",
    "host_memory",
    "preflight",
    "raise_for",
]
