from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from stacklab.dev.simulated import simulate
from stacklab.errors import CommandTimedOut
from stacklab.paths import HostPaths
from stacklab.process import Command, Result
from stacklab.workflow.nodes import clocks
from tests.unit.checks.fake_lab import FakeRunner, late, make_lab

pytestmark = pytest.mark.usefixtures("still_clock")
LAB = make_lab()
PATHS = HostPaths(Path("/var/lib/stacklab")).lab("trio")


def set_by(command: Command) -> str:
    """By how many seconds a command sets a node's clock ahead; "": it sets none."""
    text = command.argv[-1] if command.stdin is None else command.stdin.decode()
    found = re.search(r"date -s '([-+][0-9.]+) seconds'", text)
    return found[1] if found else ""


def runner_of(ahead: dict[str, float], remains: float = 0.0) -> FakeRunner:
    """Nodes whose clocks are that far ahead of the host's.

    So much of it remains each time they are set.
    """

    left = dict(ahead)

    def spoil(node: str, tag: str, lines: list[str], code: int) -> tuple[list[str], int]:
        return [str(time.time() + left[node])], code

    def answer(command: Command) -> Result:
        if set_by(command):
            left[simulate.node_of(command)] += float(set_by(command)) * (1 - remains)
        if command.stdin is None:
            return Result(exit_code=0)
        return Result(exit_code=0, stdout="\n".join(simulate.answer(LAB, command, spoil)))

    return FakeRunner(answer)


def test_only_clocks_that_are_off_are_set() -> None:
    runner = runner_of({"controller": 0.01, "compute1": -17.0, "compute2": 0.6})
    clocks.set_clocks(runner, PATHS, LAB.nodes)
    found = {
        simulate.node_of(command): float(set_by(command))
        for command in runner.commands
        if set_by(command)
    }
    assert found == {"compute1": pytest.approx(17, abs=0.1), "compute2": pytest.approx(-0.6, 0.1)}
    # A look at each, and one more session in which a clock is set and looked at again.
    assert len(runner.commands) == 5


def test_a_clock_that_is_still_off_is_set_again_but_not_for_ever() -> None:
    slow, never = runner_of({"compute1": -4.0}, 0.1), runner_of({"compute1": -4.0}, 1.0)
    for runner in (slow, never):
        clocks.set_clocks(runner, PATHS, [LAB.node("compute1")])
    sets = [[command for command in runner.commands if set_by(command)] for runner in (slow, never)]
    assert [len(each) for each in sets] == [2, 3]


def test_what_is_heard_late_is_read_twice_before_a_clock_is_set_again() -> None:
    runner = runner_of({"compute1": -4.0}, 0.1)
    clocks.set_clocks(runner, PATHS, [LAB.node("compute1")])
    scripts = [command.stdin or b"" for command in runner.commands if command.stdin is not None]
    assert [b"nodes.clock.later" in script for script in scripts] == [False, True, True]


def test_a_clock_whose_lateness_is_known_is_set_in_one_session() -> None:
    runner = runner_of({"controller": -39.98, "compute1": -39.98, "compute2": -43.0})
    assert clocks.set_clocks(runner, PATHS, LAB.nodes, behind_s=40.0) == ()
    scripts = [command.stdin or b"" for command in runner.commands if command.stdin is not None]
    first = [script for script in scripts if b"+40.000 seconds" in script]
    assert len(first) == 3
    for script in first:
        # Set first, then read.
        assert 0 < script.index(b"+40.000 seconds") < script.rindex(b"nodes.clock")
    # What was guessed wrongly is set once more, by what was read.
    again = [command for command in runner.commands[3:] if set_by(command)]
    assert [simulate.node_of(command) for command in again] == ["compute2"]
    assert len(scripts) == 4


def test_a_node_that_does_not_answer_keeps_no_other_from_being_set() -> None:
    good = runner_of({"controller": 3.0, "compute1": 3.0, "compute2": 3.0})

    def stub(command: Command) -> Result:
        if simulate.node_of(command) == "compute1":
            raise CommandTimedOut("no end after 20 s: ssh")
        return good.answer(command)

    runner = FakeRunner(stub)
    silent = clocks.set_clocks(runner, PATHS, LAB.nodes)
    assert [node.name for node in silent] == ["compute1"]
    assert {simulate.node_of(command) for command in runner.commands if set_by(command)} == {
        "controller",
        "compute2",
    }


@pytest.mark.parametrize("netem_ms", [0, 2000])
def test_what_netem_holds_back_is_no_clock_that_is_behind(netem_ms: int) -> None:
    """It was: lab.up put a node with a delay of 2 s ahead by as much.

    What is only declared counts for nothing.
    """
    lab = late(LAB, 2000)
    there = f"qdisc netem 51ab: dev eth0 root refcnt 2 limit 1000 delay {netem_ms / 1000:.1f}s"

    def spoil(node: str, tag: str, lines: list[str], code: int) -> tuple[list[str], int]:
        return ([there] if netem_ms else []) if tag == "clocks.tc" else [
            str(time.time() - netem_ms / 1000)
        ], code

    runner = FakeRunner(
        lambda command: Result(exit_code=0, stdout="\n".join(simulate.answer(lab, command, spoil)))
    )
    clocks.set_clocks(runner, PATHS, lab.nodes)
    assert [command for command in runner.commands if set_by(command)] == []
