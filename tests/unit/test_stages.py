"""Stages: their order, and what becomes of empty ones; what installers make of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacklab import spec
from stacklab.errors import LabError
from stacklab.installers import rendering as answers
from stacklab.model.lab import Lab
from stacklab.paths.project import PROJECT
from stacklab.stages.stage import MINUTE_S, Stage, Step, check_order, steps_of, with_steps

LABS = sorted((PROJECT / "labs").glob("*.yaml"))


def stage(name: str, *nodes: str, after: tuple[str, ...] = ()) -> Stage:
    steps = tuple(Step(node=node, title=name, command=f"run {name}") for node in nodes)
    return Stage(name=name, steps=steps, limit_s=MINUTE_S, after=after)


def test_a_stage_knows_its_nodes_in_the_order_of_its_steps() -> None:
    assert stage("x", "b", "a", "b").nodes == ("b", "a")


def test_an_empty_stage_is_left_out_and_what_waited_for_it_waits_for_what_it_waited_for() -> None:
    found = with_steps(
        (
            stage("first", "a"),
            stage("empty", after=("first",)),
            stage("empty-too", after=("empty",)),
            stage("last", "a", after=("empty-too", "first")),
        )
    )
    assert [each.name for each in found] == ["first", "last"]
    assert found[1].after == ("first",)


def test_an_order_that_nobody_can_follow_is_refused() -> None:
    with pytest.raises(LabError, match="waits for later"):
        check_order((stage("x", "a", after=("later",)), stage("later", "a")))
    with pytest.raises(LabError, match="two stages are called x"):
        check_order((stage("x", "a"), stage("x", "b")))


@pytest.fixture(params=LABS, ids=lambda path: path.stem)
def lab(request: pytest.FixtureRequest) -> Lab:
    path: Path = request.param
    return spec.load(path)


def test_every_labs_stages_are_in_order_bounded_and_say_what_a_failure_means(lab: Lab) -> None:
    stages = answers.stages(lab)
    check_order(stages)
    assert steps_of(stages) == answers.steps(lab)
    for each in stages:
        assert MINUTE_S <= each.limit_s <= 6 * 60 * MINUTE_S
        assert each.hint
        assert each.steps
        assert set(each.nodes) <= {node.name for node in lab.nodes}


@pytest.mark.parametrize(
    ("name", "first", "then"),
    [("devstack-3node", "stack", "stack"), ("contrail-3node", "stack", "start")],
)
def test_no_compute_is_installed_before_its_controller_is_up(
    name: str, first: str, then: str
) -> None:
    lab = spec.load(PROJECT / "labs" / f"{name}.yaml")
    by_name = {each.name: each for each in answers.stages(lab)}
    for node in lab.computes:
        assert f"{first}@{lab.controller.name}" in by_name[f"{then}@{node.name}"].after
