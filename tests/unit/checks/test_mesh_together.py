from __future__ import annotations

import dataclasses
import time

from stacklab.checks import plan
from stacklab.checks.mesh import Mesh
from stacklab.checks.result import (
    CheckKind,
    CheckResult,
    CheckStatus,
    Layer,
    Selection,
)
from stacklab.dev.simulated.simulate import SimulatedNodes
from stacklab.model.state import NodeState
from tests.unit.checks.fake_lab import FakeRunner, late, make_lab
from tests.unit.checks.fake_node import answer
from tests.unit.checks.mesh_runs import LAB, PATHS, FakeSleep, Hooks, check


def test_a_clock_once_read_is_not_forgotten_when_other_checks_are_tried_again() -> None:
    """It was: a session for what failed alone carried no clock, and a node 5 s behind passed with
    a warning.
    """
    lab = make_lab(retries=1)

    def spoil(node: str, tag: str, lines: list[str], code: int) -> tuple[list[str], int]:
        if node == "compute1" and tag.startswith("nodes.clock"):
            lines = [f"{time.time() - 5:.6f}"]
        if node != "compute1" and tag == "nodes.hostname":
            lines = ["wrong"]
        return lines, code

    mesh = Mesh(
        families=plan.FAMILIES,
        lab=lab,
        paths=PATHS,
        runner=SimulatedNodes(lab, spoil),
        states=lambda: {node.name: NodeState.RUNNING for node in lab.nodes},
        sleep=lambda seconds: None,
    )
    found = mesh.check(plan.expected(lab, Selection(layers=frozenset({Layer.NODES}))))
    clocks = {
        result.check.node: result.status for result in found if result.check.kind is CheckKind.CLOCK
    }
    assert clocks == {
        "controller": CheckStatus.PASSED,
        "compute1": CheckStatus.FAILED,
        "compute2": CheckStatus.PASSED,
    }


def test_a_declared_delay_is_no_clock_that_is_behind() -> None:
    """It was: a node whose first NIC holds back for 2 s was 2 s behind the others."""
    lab = late(make_lab(retries=0), 0)
    slow = late(lab, 2000).nodes[1]
    lab = dataclasses.replace(lab, nodes=(lab.nodes[0], slow, lab.nodes[2]))

    def told(behind_s: float) -> dict[str, CheckStatus]:
        def spoil(node: str, tag: str, lines: list[str], code: int) -> tuple[list[str], int]:
            if node == "compute1" and tag.startswith("nodes.clock"):
                lines = [f"{time.time() - 2 - behind_s:.6f}"]
            return lines, code

        results = check(
            lab, SimulatedNodes(lab, spoil), selection=Selection(layers=frozenset({Layer.NODES}))
        )
        return {r.check.node: r.status for r in results if r.check.kind is CheckKind.CLOCK}

    assert set(told(0).values()) == {CheckStatus.PASSED}
    assert told(-2)["compute1"] is CheckStatus.FAILED  # ahead, by as much as its answer is late


def test_a_clock_found_wrong_by_a_later_try_is_tried_again() -> None:
    """It was not: it had passed at first, when the node beside it was not heard, and failed for
    good.
    """
    lab, asked = (
        make_lab(nodes=("controller", "compute1"), retries=3),
        {"controller": 0, "compute1": 0},
    )

    def spoil(node: str, tag: str, lines: list[str], code: int) -> tuple[list[str], int]:
        if tag == "nodes.clock":
            asked[node] += 1
        if tag.startswith("nodes.clock"):
            # compute1 says nothing at first; then it shows that the controller is off, until that
            # is set
            silent = node == "compute1" and asked[node] == 1
            ahead = 5 if node == "controller" and asked[node] < 2 else 0
            return ([] if silent else [f"{time.time() + ahead:.6f}"]), code
        return lines, code

    runner = SimulatedNodes(lab, spoil)
    results = check(
        lab, runner, selection=Selection(layers=frozenset({Layer.NODES})), sleep=FakeSleep()
    )
    assert [str(r.detail) for r in results if not r.is_passed] == []


def test_what_is_meant_to_be_broken_is_turned_round_and_not_tried_again() -> None:
    def turned(result: CheckResult) -> CheckResult:
        if result.check.target == "compute2" and not result.is_passed:
            return dataclasses.replace(result, status=CheckStatus.PASSED, detail="cut")
        return result

    runner, sleep = (
        FakeRunner(lambda command: answer(LAB, command, refused=["compute2"])),
        FakeSleep(),
    )
    results = check(LAB, runner, sleep=sleep, hooks=Hooks(as_expected=turned))
    assert all(result.is_passed for result in results)
    assert sum(result.detail == "cut" for result in results) == 4  # ssh and port, from both
    assert sleep.waits == []
