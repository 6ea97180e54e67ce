from __future__ import annotations

import dataclasses
import tracemalloc
from collections.abc import Sequence

from stacklab.checks import plan
from stacklab.checks.family import Facts
from stacklab.checks.lookout import States
from stacklab.checks.result import (
    Check,
    CheckKind,
    CheckStatus,
    Layer,
    Selection,
)
from stacklab.dev.simulated import outside as outside_simulated
from stacklab.dev.simulated.simulate import SimulatedNodes
from stacklab.model.checks import CheckPolicy
from stacklab.model.lab import Lab, NetworkMode
from stacklab.model.state import NodeState
from stacklab.process import Command, Result
from tests.unit.checks.fake_lab import FakeRunner, make_lab
from tests.unit.checks.fake_node import answer, node_of
from tests.unit.checks.mesh_runs import LAB, RUNNING, FakeSleep, Hooks, check

ISOLATION = Selection(layers=frozenset({Layer.ISOLATION}))


def make_halves() -> Lab:
    """All on net0; on net1, which is isolated, compute2 alone.

    Nobody else can show that it is out of reach.
    """
    nat, isolated = LAB.networks
    nodes = tuple(
        dataclasses.replace(each, nics=each.nics[: 1 + (each.name == "compute2")])
        for each in LAB.nodes
    )
    networks = (nat, dataclasses.replace(isolated, mode=NetworkMode.ISOLATED))
    return dataclasses.replace(LAB, nodes=nodes, networks=networks)


HALVES = make_halves()


class Booting:
    """A lab whose compute2 lets nobody in before the try `up_at`, nor answers the host before the
    try `heard_at`.
    """

    def __init__(self, *, up_at: int, heard_at: int) -> None:
        self.up_at, self.heard_at = up_at, heard_at
        self.gathered: list[list[Check]] = []
        self.sleep = FakeSleep()

    def gather(self, checks: Sequence[Check]) -> Facts:
        self.gathered.append(list(checks))
        found = outside_simulated.facts(HALVES)
        own = frozenset(str(nic.address.ip) for nic in HALVES.node("compute2").nics)
        return (
            found
            if len(self.gathered) >= self.heard_at
            else dataclasses.replace(found, alive=found.alive - own)
        )

    def answer(self, command: Command) -> Result:
        if node_of(command) == "compute2" and len(self.gathered) < self.up_at:
            return Result(
                exit_code=255, stderr="ssh: connect to host 10.10.0.13 port 22: Connection refused"
            )
        return answer(HALVES, command)

    def check(
        self,
        *,
        wait_s: float | None = None,
        policy: CheckPolicy = LAB.checks,
        states: States | None = None,
    ) -> dict[CheckStatus, set[str]]:
        """Which nodes have a result of which status."""
        runner, found = (
            FakeRunner(self.answer),
            states or {node.name: RUNNING for node in HALVES.nodes},
        )
        results = check(
            HALVES,
            runner,
            selection=ISOLATION,
            hooks=Hooks(gather=self.gather),
            sleep=self.sleep,
            wait_s=wait_s,
            policy=policy,
            states=lambda: found,
        )
        return {
            status: {r.check.node for r in results if r.status is status}
            for status in {r.status for r in results}
        }


EVERYBODY = {"controller", "compute1", "compute2"}


def test_what_a_node_that_boots_meanwhile_bears_witness_to_is_proved_by_the_try_again() -> None:
    """The host's facts were gathered once.

    "nothing is proved" stayed, however often all was tried again.
    """
    booting = Booting(up_at=2, heard_at=2)
    assert booting.check() == {CheckStatus.PASSED: EVERYBODY}
    assert len(booting.gathered) == 2


def test_a_witness_that_is_heard_late_is_asked_once_more_and_not_for_ever() -> None:
    booting = Booting(up_at=1, heard_at=2)
    assert booting.check(wait_s=60) == {CheckStatus.PASSED: EVERYBODY}
    assert {c.node for c in booting.gathered[1] if c.kind is not CheckKind.LOGIN} == {
        "controller",
        "compute1",
    }
    silent = Booting(up_at=3, heard_at=99)
    found = silent.check(wait_s=60)
    assert found[CheckStatus.WARNED] == {"controller", "compute1"}
    assert len(silent.gathered) == 4, "who answers no pings keeps nobody waiting"


def test_a_witness_that_is_off_is_not_waited_for() -> None:
    booting = Booting(up_at=99, heard_at=99)
    states = {n.name: NodeState.OFF if n.name == "compute2" else RUNNING for n in HALVES.nodes}
    assert booting.check(states=states)[CheckStatus.WARNED] == {"controller", "compute1"}
    assert (len(booting.gathered), booting.sleep.waits) == (1, [])


def test_who_tries_but_once_tries_no_witness_again() -> None:
    booting = Booting(up_at=1, heard_at=2)
    assert booting.check(wait_s=0.0)[CheckStatus.WARNED] == {"controller", "compute1"}
    booting = Booting(up_at=1, heard_at=2)
    once = dataclasses.replace(LAB.checks, retries=0)
    assert booting.check(policy=once)[CheckStatus.WARNED] == {"controller", "compute1"}
    assert booting.sleep.waits == []


def test_a_warning_that_no_node_can_take_away_is_no_reason_to_try_again() -> None:
    class Cut(Booting):
        def gather(self, checks: Sequence[Check]) -> Facts:
            found = super().gather(checks)
            tried = {place: each for place, each in found.tried.items() if place.endswith(":22")}
            return dataclasses.replace(found, tried=tried)

    cut = Cut(up_at=1, heard_at=1)
    assert cut.check(wait_s=60)[CheckStatus.WARNED] == {"compute2"}, (
        "nothing outside answers this host"
    )
    assert len(cut.gathered) == 1


def test_facts_are_gathered_for_what_is_tried_and_nothing_else() -> None:
    gathered: list[set[tuple[str, CheckKind]]] = []

    def gather(checks: Sequence[Check]) -> Facts:
        gathered.append({(each.node, each.kind) for each in checks})
        return Facts()

    def fake_answer(command: Command) -> Result:
        lost = ["10.20.0.12"] if len(gathered) == 1 and node_of(command) == "controller" else []
        return answer(LAB, command, lost=lost)

    check(LAB, FakeRunner(fake_answer), hooks=Hooks(gather=gather), sleep=FakeSleep())
    assert gathered[1:] == [{("controller", CheckKind.PING), ("controller", CheckKind.MTU)}]
    assert gathered[0] > gathered[1]


def test_a_result_costs_little_memory() -> None:
    """A lab of 200 nodes on two networks has 400,000 of them.

    tests/contract/test_mesh_scale.py has it whole.
    """
    lab = make_lab(nodes=tuple(f"n{number}" for number in range(25)))
    pairs = Selection(layers=frozenset({Layer.PAIRS}))
    tracemalloc.start()
    try:
        results = check(lab, SimulatedNodes(lab), selection=pairs)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert all(r.is_passed for r in results)
    assert len(results) == len(plan.expected(lab, pairs)) > 5000
    assert held / len(results) < 300
    assert peak / len(results) < 900
