"""What state a domain of libvirt's is in, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import libvirt

from stacklab.model.state import NodeState

_STATES: Mapping[int, NodeState] = {
    libvirt.VIR_DOMAIN_RUNNING: NodeState.RUNNING,
    libvirt.VIR_DOMAIN_BLOCKED: NodeState.RUNNING,
    libvirt.VIR_DOMAIN_PAUSED: NodeState.PAUSED,
    libvirt.VIR_DOMAIN_PMSUSPENDED: NodeState.PAUSED,
    libvirt.VIR_DOMAIN_SHUTDOWN: NodeState.STOPPING,
    libvirt.VIR_DOMAIN_SHUTOFF: NodeState.OFF,
    libvirt.VIR_DOMAIN_CRASHED: NodeState.CRASHED,
}

# Of virDomainState and its reasons, those that say more than the state.
_REASON_WORDS: Mapping[str, tuple[str, ...]] = {
    "VIR_DOMAIN_PAUSED": ("user", "ioerror", "migration", "save", "watchdog", "crashed"),
    "VIR_DOMAIN_SHUTOFF": (
        "shutdown",
        "destroyed",
        "crashed",
        "failed",
        "saved",
        "from snapshot",
    ),
    "VIR_DOMAIN_CRASHED": ("panicked",),
}


def _number_reasons() -> Mapping[tuple[int, ...], str]:
    """Return the words by libvirt's numbers of the state and of the reason."""
    numbered: dict[tuple[int, ...], str] = {}
    for state, words in _REASON_WORDS.items():
        for word in words:
            # "from snapshot" is VIR_DOMAIN_SHUTOFF_FROM_SNAPSHOT.
            constant = f"{state}_{word.upper().replace(' ', '_')}"
            numbers = (getattr(libvirt, state), getattr(libvirt, constant))
            numbered[numbers] = word
    return numbered


_REASONS = _number_reasons()


def read_state(domain: Any) -> NodeState:
    """Return the state of a domain of libvirt's as that of a node."""
    number = domain.state()[0]
    return _STATES.get(number, NodeState.CRASHED)


def read_reason(domain: Any) -> str:
    """Return why a domain is in its state, in a word; "" where that says no more."""
    state_and_reason = tuple(domain.state()[:2])
    return _REASONS.get(state_and_reason, "")
