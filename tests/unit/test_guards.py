from __future__ import annotations

import os
import socket
import subprocess

import libvirt
import pytest

from stacklab.process import Command, Result, Runner
from tests.conftest import FakeRunner
from tests.unit.conftest import TouchedTheMachine


def test_a_unit_test_cannot_start_a_process() -> None:
    with pytest.raises(TouchedTheMachine):
        subprocess.run(["true"], check=False)
    with pytest.raises(TouchedTheMachine):
        os.system("true")


def test_a_unit_test_cannot_connect() -> None:
    with socket.socket() as client, pytest.raises(TouchedTheMachine):
        client.connect(("127.0.0.1", 1))


def test_a_unit_test_cannot_open_libvirt() -> None:
    with pytest.raises(TouchedTheMachine):
        libvirt.open("test:///default")


def test_except_exception_does_not_hide_it() -> None:
    assert not issubclass(TouchedTheMachine, Exception)


def test_the_fake_runner_answers_by_the_longest_beginning_and_records(
    fake_runner: FakeRunner,
) -> None:
    fake_runner.on("vagrant", stdout="short").on("vagrant", "status", stdout="long")
    runner: Runner = fake_runner
    assert isinstance(
        fake_runner, FakeRunner
    )  # one class, whether imported or brought by the fixture
    assert runner.run(Command(argv=("vagrant", "status", "a"))).stdout == "long"
    assert runner.run(Command(argv=("vagrant", "up"))).stdout == "short"
    assert fake_runner.argvs == [("vagrant", "status", "a"), ("vagrant", "up")]


def test_the_fake_runner_answers_a_list_in_turn_and_repeats_the_last(
    fake_runner: FakeRunner,
) -> None:
    fake_runner.on("ssh", answer=[OSError("first"), Result(exit_code=0, stdout="then")])
    command = Command(argv=("ssh", "node"))
    with pytest.raises(OSError, match="first"):
        fake_runner.run(command)
    assert [fake_runner.run(command).stdout for _ in range(2)] == ["then", "then"]


def test_the_fake_runner_fails_a_test_that_runs_what_it_did_not_script(
    fake_runner: FakeRunner,
) -> None:
    with pytest.raises(AssertionError, match="no answer scripted for: virsh list"):
        fake_runner.run(Command(argv=("virsh", "list")))
