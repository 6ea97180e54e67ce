"""Which stages run, and why."""

from __future__ import annotations

import dataclasses

import pytest

from stacklab.errors import LabError
from stacklab.stages.selection import StageSelection, input_digest, select, waiting_for
from tests.unit.stages.fake_nodes import stage, step

STAGES = (
    stage("first", step("1")),
    stage("second", step("2"), after=("first",)),
    stage("beside", step("3"), after=("first",)),
    stage("last", step("4"), after=("second",)),
)


def test_without_options_nothing_is_forced() -> None:
    assert select(STAGES) == StageSelection()


def test_from_and_to_count_in_the_order_of_the_list() -> None:
    chosen = select(STAGES, first="second", last="beside")
    assert chosen.passed == {"first"}
    assert chosen.again == {"second", "last"}
    assert chosen.left == {"last"}


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        ("secnd", "", "--from: no stage 'secnd' (did you mean second? stages: first, second"),
        ("", "zzz", "--to: no stage 'zzz' (stages: first, second, beside, last)"),
        ("last", "first", "--from last comes after --to first: nothing would run"),
    ],
)
def test_what_can_t_be_meant_is_refused(first: str, last: str, said: str) -> None:
    with pytest.raises(LabError) as caught:
        select(STAGES, first=first, last=last)
    assert caught.value.message.startswith(said)


def test_what_waits_for_a_stage_is_found_through_others() -> None:
    assert waiting_for(STAGES, "first") == {"first", "second", "beside", "last"}
    assert waiting_for(STAGES, "beside") == {"beside"}


def test_inputs_are_commands_users_nodes_and_their_answer_files_but_no_titles() -> None:
    made = stage("s", step("run", "a"))
    digest = input_digest(made, {"a": "1", "b": "1"})
    assert input_digest(made, {"a": "1", "b": "2"}) == digest
    assert input_digest(made, {"a": "2"}) != digest
    renamed = dataclasses.replace(made.steps[0], title="another title")
    assert input_digest(stage("s", renamed), {"a": "1"}) == digest
    for changed in (step("run2", "a"), step("run", "b"), step("run", "a", user="root")):
        assert input_digest(stage("s", changed), {"a": "1", "b": "1"}) != digest
