"""Whether neutron's agents are all there that VMs need."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from stacklab.drivers.cloud_smoke.agents import not_ready


@dataclass
class FakeAgent:
    agent_type: str
    host: str
    is_alive: bool = True
    last_heartbeat_at: str = "2026-11-29 07:32:31"


OVN = (
    FakeAgent("OVN Controller Gateway agent", "controller"),
    FakeAgent("OVN Controller agent", "compute1"),
    FakeAgent("OVN Metadata agent", "compute1"),
)
BRIDGES = (
    FakeAgent("Linux bridge agent", "compute1"),
    FakeAgent("Linux bridge agent", "controller"),
    FakeAgent("Metadata agent", "controller"),
)


@pytest.mark.parametrize("agents", [OVN, BRIDGES])
def test_nothing_is_missing_where_all_are_there(agents: tuple[FakeAgent, ...]) -> None:
    assert not_ready(agents, ["compute1"]) == []


def test_ovns_new_agent_answers_for_metadata_too() -> None:
    agents = (OVN[1], FakeAgent("OVN Neutron agent", "compute1"))
    assert not_ready(agents, ["compute1"]) == []


@pytest.mark.parametrize(
    ("agents", "missing"),
    [
        ((), ["no agent that binds ports on compute1", "no metadata agent for compute1"]),
        (OVN[:2], ["no metadata agent for compute1"]),
        ((OVN[0], OVN[2]), ["no agent that binds ports on compute1"]),
        (BRIDGES[1:], ["no agent that binds ports on compute1"]),
        (BRIDGES[:2], ["no metadata agent for compute1"]),
    ],
)
def test_what_a_compute_lacks_is_named(agents: tuple[FakeAgent, ...], missing: list[str]) -> None:
    assert not_ready(agents, ["compute1"]) == missing


@pytest.mark.parametrize(
    "silent",
    [
        FakeAgent("L3 agent", "controller", is_alive=False),
        FakeAgent("L3 agent", "controller", last_heartbeat_at="1970-01-01 00:00:00"),
    ],
)
def test_a_silent_agent_is_named(silent: FakeAgent) -> None:
    assert not_ready((*BRIDGES, silent), ["compute1"]) == ["L3 agent on controller"]
