"""Neutron's agents, as its API lists them: whether all are there that VMs need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol


class Agent(Protocol):
    """An agent of openstacksdk."""

    agent_type: str
    host: str
    is_alive: bool
    last_heartbeat_at: str


def not_ready(agents: Iterable[Agent], computes: Sequence[str]) -> list[str]:
    """Return the agents that are silent, and those that each compute lacks.

    OVN answers VMs' questions for metadata on each compute; other backends have one agent for all.
    """
    listed = list(agents)
    # Before the first sign of life that counts, it is of the year 1970.
    silent = [
        f"{agent.agent_type} on {agent.host}"
        for agent in listed
        if not agent.is_alive or not str(agent.last_heartbeat_at).startswith("20")
    ]
    binding = {agent.host for agent in listed if _binds_ports(agent.agent_type)}
    metadata = {agent.host for agent in listed if _answers_metadata(agent.agent_type)}
    has_ovn = any(agent.agent_type.startswith("OVN") for agent in listed)
    for name in computes:
        silent += [f"no agent that binds ports on {name}"] if name not in binding else []
        lacks_metadata = name not in metadata if has_ovn else not metadata
        silent += [f"no metadata agent for {name}"] if lacks_metadata else []
    return silent


def _binds_ports(agent_type: str) -> bool:
    """Return True for OVN's controllers, and for agents of bridges and switches."""
    return "ontroller" in agent_type or agent_type in ("Linux bridge agent", "Open vSwitch agent")


def _answers_metadata(agent_type: str) -> bool:
    """Return True for an agent that has its name from that, and for the one that took it over."""
    return "etadata" in agent_type or agent_type.startswith("OVN Neutron")
