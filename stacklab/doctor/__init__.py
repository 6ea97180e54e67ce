"""Probes of the host: each assumption of stacklab, checked, with a fix if it does not hold."""

from stacklab.doctor.machine import Machine
from stacklab.doctor.probes import full, host_networks, preflight, probe_memory, probe_subnets
from stacklab.doctor.result import ProbeArea, ProbeResult, ProbeStatus, raise_for

__all__ = [
    "Machine",
    "ProbeArea",
    "ProbeResult",
    "ProbeStatus",
    "full",
    "host_networks",
    "preflight",
    "probe_memory",
    "probe_subnets",
    "raise_for",
]
