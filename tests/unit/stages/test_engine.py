"""The engine: order, what is passed over, and what becomes of work when something dies."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from stacklab.errors import StageFailed
from stacklab.stages import report
from stacklab.stages.attempt import StageResult, unit_name
from stacklab.stages.journal import How
from stacklab.stages.worker import Work, WorkPhase
from tests.unit.stages.fake_nodes import (
    ENDED_WELL,
    GONE,
    FakeNodes,
    FragileJournal,
    Killed,
    World,
    stage,
    step,
)

CLOUD = (
    stage("prepare", step("p1", "a"), step("p2", "b")),
    stage("control", step("c1"), step("c2", done="c2 is there"), after=("prepare",)),
    stage("compute@b", step("b1", "b"), after=("control",)),
    stage("compute@c", step("x1", "c"), after=("control",)),
    stage("discover", step("d1"), after=("compute@b", "compute@c")),
)
MAKES = {"c2": "c2 is there"}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "stack", CLOUD, FakeNodes(makes=dict(MAKES)))


def hows(results: tuple[StageResult, ...]) -> dict[str, str]:
    return {
        result.stage.name: "done before" if result.was_done else str(result.how)
        for result in results
    }


def test_stages_run_in_their_order_and_steps_one_after_the_other(world: World) -> None:
    assert set(hows(world.run()).values()) == {"done"}
    started = world.nodes.started
    assert started[:4] == ["p1", "p2", "c1", "c2"]
    assert sorted(started[4:6]) == ["b1", "x1"]
    assert started[6:] == ["d1"]


def test_stages_that_do_not_wait_for_each_other_run_side_by_side(world: World) -> None:
    hold = threading.Event()
    world.nodes.holds = {"b1": hold, "x1": hold}
    results: list[StageResult] = []
    running = threading.Thread(target=lambda: results.extend(world.run()))
    running.start()
    for _ in range(6):  # p1 p2 c1 c2, and then both of those that are held
        assert world.nodes.begun.acquire(timeout=30)
    assert "d1" not in world.nodes.started
    hold.set()
    running.join(30)
    assert len(results) == 5


def test_what_is_done_is_passed_over(world: World) -> None:
    world.run()
    world.nodes.started.clear()
    assert set(hows(world.run()).values()) == {"done before"}
    assert world.nodes.started == []


def test_a_stage_whose_inputs_changed_runs_again_and_so_does_what_waits_for_it(
    world: World,
) -> None:
    world.run()
    world.nodes.started.clear()
    world.answers["c"] = "other files"
    ran = hows(world.run())
    assert [name for name, how in ran.items() if how == "done"] == ["compute@c", "discover"]
    assert world.nodes.started == ["x1", "d1"]


def test_a_step_whose_test_succeeds_is_not_run(world: World) -> None:
    world.nodes.succeeds.add("c2 is there")
    world.run()
    assert "c2" not in world.nodes.started
    assert "nothing to do" in world.log("control").read_text()


def test_a_stage_that_was_done_runs_again_when_its_test_fails_today(tmp_path: Path) -> None:
    nodes = FakeNodes(makes={"x": "all is well"})
    world = World(tmp_path, (stage("s", step("x"), done="all is well"),), nodes)
    world.run()
    assert hows(world.run()) == {"s": "done before"}
    nodes.succeeds.clear()
    assert hows(world.run()) == {"s": "done"}
    assert world.starts() == {"x": 2}


def test_a_stage_whose_test_fails_behind_its_steps_has_failed(tmp_path: Path) -> None:
    world = World(tmp_path, (stage("s", step("x"), done="all is well"),))
    (result,) = world.run()
    assert result.how is How.FAILED
    assert result.why == "all steps ended well, but the stage's test fails: all is well"


@pytest.mark.parametrize(
    ("end", "is_there", "why"),
    [
        (Work(phase=WorkPhase.ENDED, exit_code=1), True, ""),
        (ENDED_WELL, False, "ended with 0, but its test fails: there"),
        (Work(phase=WorkPhase.ENDED, exit_code=1), False, "exit code 1"),
        (Work(phase=WorkPhase.ENDED, signal="KILL"), False, "ended by signal KILL"),
        (
            Work(phase=WorkPhase.ENDED, signal="TERM", is_over_limit=True),
            True,
            "over its limit of 10 minutes: something hangs",
        ),
    ],
)
def test_a_step_with_a_test_is_judged_by_it(
    tmp_path: Path, end: Work, is_there: bool, why: str
) -> None:
    nodes = FakeNodes(ends={"x": [end]})
    world = World(tmp_path, (stage("s", step("x", done="there")),), nodes)
    # It succeeds only once the step was run.
    ask = nodes.is_done
    nodes.is_done = lambda node, command, *, user: (  # type: ignore[method-assign]
        ask(node, command, user=user) or (is_there and "x" in nodes.started)
    )
    (result,) = world.run()
    assert result.why == why
    assert result.how is (How.FAILED if why else How.DONE)


def test_a_step_is_started_as_its_user_and_ends_within_its_stage_s_limit(tmp_path: Path) -> None:
    world = World(tmp_path, (stage("s", step("x", user="root")),))
    world.run()
    assert ("a", "start", unit_name("s", 1), "root") in world.nodes.calls
    assert 500 < world.nodes.limits[0] <= 600


# --- failures


def test_when_a_stage_fails_no_further_one_starts_and_those_that_run_end(world: World) -> None:
    hold = threading.Event()
    world.nodes.holds = {"b1": hold}
    world.nodes.ends = {"x1": [Work(phase=WorkPhase.ENDED, exit_code=3)]}

    class Listening:
        def started(self, row: str, stage: str) -> None: ...
        def said(self, row: str, text: str) -> None: ...
        def ended(self, row: str, stage: str, elapsed_s: float, error: object) -> None: ...
        def noted(self, row: str, text: str) -> None:
            if "compute@b still run" in text:
                hold.set()

    world.progress._listener = Listening()
    ran = hows(world.run())
    assert ran == {
        "prepare": "done",
        "control": "done",
        "compute@c": "failed",
        "compute@b": "done",
    }
    assert "d1" not in world.nodes.started


def test_after_a_failure_the_next_run_begins_at_the_stage_that_failed(world: World) -> None:
    world.nodes.ends = {"c1": [Work(phase=WorkPhase.ENDED, exit_code=3), ENDED_WELL]}
    assert hows(world.run())["control"] == "failed"
    assert set(hows(world.run()).values()) == {"done before", "done"}
    assert world.starts() == {"p1": 1, "p2": 1, "c1": 2, "c2": 1, "b1": 1, "x1": 1, "d1": 1}
    assert world.log("control").with_name("control.log.1").exists()


def test_a_failure_is_told_with_its_lines_its_log_and_the_way_on(world: World) -> None:
    noise = b"".join(b"unpacking %d\n" % number for number in range(300))
    output = noise + b"\x1b[31mERROR: the secret rabbit is dead\nmore\n" + noise
    world.nodes.outputs = {"c2": output}
    world.nodes.ends = {"c2": [Work(phase=WorkPhase.ENDED, exit_code=3)]}
    with pytest.raises(StageFailed) as caught:
        report.raise_for(world.run(), lab="trio", log_of=world.log)
    assert caught.value.message.splitlines() == [
        "stage control failed at step 2 of 2 on a: do c2: exit code 3",
        "    ERROR: the *** rabbit is dead",
        *(f"    unpacking {number}" for number in range(296, 300)),
        f"  log: {world.log('control')}",
        "  usual cause: hint of control",
    ]
    assert caught.value.hint == "./invoke lab.stack trio (it goes on there)"


def test_a_node_that_is_lost_fails_nothing_and_its_work_is_gone_on_with(world: World) -> None:
    world.nodes.lost = {"b"}
    ran = hows(world.run())
    assert ran == {"prepare": "interrupted"}
    world.nodes.lost = set()
    assert set(hows(world.run()).values()) == {"done"}
    assert world.starts()["p1"] == 1


# --- reboots


def test_a_step_whose_node_went_down_is_run_again(world: World) -> None:
    world.nodes.ends = {"c1": [GONE, GONE, ENDED_WELL]}
    assert set(hows(world.run()).values()) == {"done"}
    assert world.starts()["c1"] == 3
    assert world.nodes.calls.count(("a", "wait_for_boot")) == 2


def test_but_not_for_ever(world: World) -> None:
    world.nodes.ends = {"c1": [GONE]}
    results = world.run()
    assert results[-1].why == "a went down in the middle, 3 times"
    assert world.starts()["c1"] == 3


def test_a_node_that_went_down_while_nobody_looked_runs_its_step_again(world: World) -> None:
    world.nodes.ends = {"c1": [GONE, ENDED_WELL]}
    name = unit_name("control", 1)
    calls = len(CLOUD[0].steps) * 5 + 3
    world.nodes.kill_at = calls  # whatever it is, it is in the middle
    with pytest.raises(Killed):
        world.run()
    assert set(hows(world.run()).values()) <= {"done", "done before"}
    assert world.starts()["c1"] == 2
    assert ("a", "look", name) in world.nodes.calls


# --- kills


def journal_lines(tmp_path: Path) -> int:
    journal = FragileJournal(tmp_path / "count.jsonl")
    World(tmp_path / "count", CLOUD, FakeNodes(makes=dict(MAKES))).run(journal=journal)
    return len(journal.lines)


def check_that_each_step_ran_once(world: World) -> None:
    ran = hows(world.run())
    assert set(ran.values()) <= {"done", "done before"}, ran
    assert set(ran) == {one.name for one in CLOUD}
    assert set(world.starts().values()) == {1}, world.starts()
    assert len(world.starts()) == 7
    # Every byte of every step's output is in its log, once.
    for one in CLOUD:
        text = world.log(one.name).read_text()
        for each in one.steps:
            assert text.count(f"output of {each.command}\n") == 1, text


@pytest.mark.parametrize("is_after", [False, True])
def test_killed_at_any_line_of_the_journal_no_step_runs_twice(
    tmp_path: Path, is_after: bool
) -> None:
    count = journal_lines(tmp_path)
    assert count == 25
    for number in range(count):
        directory = tmp_path / f"{number}"
        world = World(directory, CLOUD, FakeNodes(makes=dict(MAKES)))
        journal = FragileJournal(directory / "journal.jsonl", kill_at=number, is_after=is_after)
        with pytest.raises(Killed):
            world.run(journal=journal)
        check_that_each_step_ran_once(world)


def test_killed_at_any_call_to_a_node_no_step_runs_twice(tmp_path: Path) -> None:
    nodes = FakeNodes(makes=dict(MAKES))
    World(tmp_path / "count", CLOUD, nodes).run()
    count = len(nodes.calls)
    assert count > 30
    for number in range(count):
        world = World(tmp_path / f"{number}", CLOUD, FakeNodes(makes=dict(MAKES), kill_at=number))
        with pytest.raises(Killed):
            world.run()
        check_that_each_step_ran_once(world)


def test_killed_in_a_second_attempt_no_old_result_is_taken_for_a_new_one(tmp_path: Path) -> None:
    def failed_once(name: str) -> World:
        failed = Work(phase=WorkPhase.ENDED, exit_code=3)
        nodes = FakeNodes(makes=dict(MAKES), ends={"c1": [failed, ENDED_WELL]})
        made = World(tmp_path / name, CLOUD[:2], nodes)
        assert hows(made.run())["control"] == "failed"
        nodes.calls.clear()
        return made

    whole = failed_once("count")
    whole.run()
    for number in range(len(whole.nodes.calls)):
        world = failed_once(f"{number}")
        world.nodes.kill_at = number
        with pytest.raises(Killed):
            world.run()
        assert set(hows(world.run()).values()) <= {"done", "done before"}
        assert world.starts() == {"p1": 1, "p2": 1, "c1": 2, "c2": 1}


def test_work_that_runs_is_attached_to_even_if_the_journal_was_lost(world: World) -> None:
    world.nodes.kill_at = 2  # p1 is started, and followed by nobody
    with pytest.raises(Killed):
        world.run()
    assert world.nodes.started == ["p1"]
    world.journal._path.unlink()
    assert set(hows(world.run()).values()) == {"done"}
    assert world.starts()["p1"] == 1


def test_work_of_an_attempt_with_other_inputs_is_waited_for_and_then_done_again(
    world: World,
) -> None:
    world.nodes.kill_at = 2
    with pytest.raises(Killed):
        world.run()
    world.answers["a"] = "other files"
    assert set(hows(world.run()).values()) == {"done"}
    assert world.starts()["p1"] == 2


def test_ctrl_c_lets_the_work_go_on(world: World) -> None:
    hold = threading.Event()
    world.nodes.holds = {"c1": hold}

    def interrupt(_result: StageResult) -> None:
        raise KeyboardInterrupt  # in the thread of run, as a signal would

    world.after_stage = interrupt
    with pytest.raises(KeyboardInterrupt):
        world.run()
    world.after_stage = lambda _result: None
    assert set(hows(world.run()).values()) == {"done", "done before"}
    assert set(world.starts().values()) == {1}


def test_ctrl_c_while_a_step_runs_is_written_down(tmp_path: Path) -> None:
    stages = (stage("quick", step("q")), stage("slow", step("s", "b")))
    world = World(tmp_path, stages)
    world.nodes.holds = {"s": threading.Event()}

    def interrupt(_result: StageResult) -> None:
        assert world.nodes.begun.acquire(timeout=30)  # q
        assert world.nodes.begun.acquire(timeout=30)  # s
        raise KeyboardInterrupt

    world.after_stage = interrupt
    with pytest.raises(KeyboardInterrupt):
        world.run()
    state = world.journal.read().state("slow")
    assert state is not None
    assert (state.how, state.why) == (How.INTERRUPTED, "interrupted")
    world.after_stage = lambda _result: None
    assert hows(world.run()) == {"quick": "done before", "slow": "done"}
    assert world.starts() == {"q": 1, "s": 1}


def test_a_node_that_was_made_anew_does_what_it_lost_and_no_more(world: World) -> None:
    world.run()
    world.nodes.started.clear()
    for key in [key for key in world.nodes.units if key[0] == "b"]:
        del world.nodes.units[key]
    world.journal.note_new_nodes(["b"])
    ran = hows(world.run())
    # `prepare` has steps on both nodes, and the controller's stage waits for it.
    assert world.nodes.started == ["p2", "b1", "d1"]
    assert (ran["prepare"], ran["control"]) == ("done", "done before")
    world.nodes.started.clear()
    assert set(hows(world.run()).values()) == {"done before"}


# --- a part of the stages, and the hook


def test_from_a_stage_it_and_what_waits_for_it_run_again(world: World) -> None:
    world.run()
    world.nodes.started.clear()
    ran = hows(world.run(first="compute@b"))
    assert ran == {"compute@b": "done", "compute@c": "done before", "discover": "done"}
    assert world.nodes.started == ["b1", "d1"]


def test_what_is_listed_before_from_counts_as_done(world: World) -> None:
    world.run(first="compute@b")
    assert sorted(world.nodes.started) == ["b1", "d1", "x1"]


def test_behind_to_nothing_starts(world: World) -> None:
    assert hows(world.run(last="control")) == {"prepare": "done", "control": "done"}
    assert world.nodes.started == ["p1", "p2", "c1", "c2"]


def test_the_hook_is_called_after_each_stage_that_ran_before_those_that_wait_for_it(
    world: World,
) -> None:
    called: list[tuple[str, int]] = []
    world.after_stage = lambda result: called.append((result.stage.name, len(world.nodes.started)))
    world.run()
    assert called[:2] == [("prepare", 2), ("control", 4)]
    assert called[-1] == ("discover", 7)
    called.clear()
    world.run()
    assert called == []


def test_the_name_of_work_is_one_that_units_take() -> None:
    names = [unit_name(name, 123) for name in ("run@compute1", "Run@compute1", "x" * 90, "@@", "é")]
    assert len(set(names)) == 5
    for name in names:
        assert len(name) <= 41
        assert name.replace("-", "").isalnum()
        assert name.isascii()
        assert name == name.lower()
