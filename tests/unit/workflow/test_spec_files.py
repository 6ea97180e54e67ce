"""Two labs of one name from different places are told apart before anything is touched."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from stacklab import spec
from stacklab.errors import AlreadyRunning
from stacklab.model.lab import Lab
from stacklab.workflow import answers, spec_files
from stacklab.workflow.lab import plan, up
from stacklab.workflow.stack import spec_of_today
from tests.unit.checks.fake_lab import make_lab
from tests.unit.workflow.fake_host import FakeHost


@pytest.fixture
def ours(tmp_path: Path, host: FakeHost) -> Lab:
    """A lab that is up, from a file that exists."""
    file = tmp_path / "a" / "trio.yaml"
    file.parent.mkdir()
    file.touch()
    lab = dataclasses.replace(make_lab(), source=file)
    host.up(lab)
    return lab


@pytest.fixture
def other(ours: Lab, tmp_path: Path) -> Lab:
    """Another lab of the same name, from another file."""
    file = tmp_path / "b" / "trio.yaml"
    file.parent.mkdir()
    file.touch()
    return dataclasses.replace(ours, source=file)


ACTIONS: dict[str, Callable[[FakeHost, Lab], object]] = {
    "up": lambda host, lab: up.up(host.context, lab),
    "rebuild": lambda host, lab: up.rebuild(host.context, lab),
    "rebuild --node": lambda host, lab: up.rebuild_node(host.context, lab, "compute1"),
    "plan": lambda host, lab: plan.plan(host.context, lab),
    "diff": lambda host, lab: answers.diff(host.context, lab),
    "push": lambda host, lab: answers.push(host.context, lab),
    "status by path": lambda host, lab: spec_files.name_of(host.paths, str(lab.source)),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_a_lab_of_another_file_is_refused_with_both(
    host: FakeHost, ours: Lab, other: Lab, action: str
) -> None:
    calls = list(host.libvirt.calls)
    commands = list(host.runner.commands)
    with pytest.raises(AlreadyRunning) as caught:
        ACTIONS[action](host, other)
    assert str(ours.source) in caught.value.message
    assert str(other.source) in caught.value.message
    assert "./invoke lab.destroy trio" in str(caught.value.hint)
    assert list(host.libvirt.calls) == calls
    assert list(host.runner.commands) == commands


def test_the_same_file_is_not_another_one(host: FakeHost, ours: Lab) -> None:
    plan.plan(host.context, ours)
    assert spec_files.name_of(host.paths, str(ours.source)) == "trio"


def test_a_file_that_was_moved_is_not_another_one(host: FakeHost, ours: Lab, other: Lab) -> None:
    ours.source.unlink()
    plan.plan(host.context, other)


def test_a_lab_that_is_up_is_known_by_its_name_wherever_its_file_is(
    host: FakeHost, ours: Lab
) -> None:
    assert spec_files.find(host.paths, "trio") == ours.source
    assert spec_files.find_running(host.paths, "trio") == ours.source
    with pytest.raises(spec.UnknownLab):
        spec_files.find(host.paths, "trioo")


def test_what_is_no_file_and_no_lab_stays_a_word_for_its_task_to_refuse(host: FakeHost) -> None:
    for word in ("trioo", "..", "", "../labs", "/", "./trio"):
        assert spec_files.name_of(host.paths, word) == word


def test_without_a_file_the_stack_is_that_of_the_lab_as_it_was_brought_up(
    host: FakeHost, ours: Lab
) -> None:
    ours.source.unlink()
    assert spec_of_today.find(host.context, "trio").name == "trio"
