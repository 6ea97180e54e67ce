from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Sequence

import pytest

from stacklab.errors import (
    CommandFailed,
    LabError,
)
from stacklab.process import Command, Result
from stacklab.workflow.lab import entering
from tests.unit.checks.fake_lab import make_lab
from tests.unit.workflow.fake_host import FakeHost


@pytest.fixture
def up(host: FakeHost) -> FakeHost:
    """The lab is up, and each node has a shared connection."""
    host.up()
    for node in make_lab().nodes:
        (host.lab().sockets / node.name).touch()
    host.libvirt.calls.clear()
    host.listener.heard.clear()
    return host


@dataclasses.dataclass
class FakeShown:
    """Remembers what was to be shown; `breaks` is a node whose lines can't be."""

    breaks: str = ""
    nodes: list[str] = dataclasses.field(default_factory=list)
    lines: list[tuple[str, bytes]] = dataclasses.field(default_factory=list)
    ends: dict[str, Result | LabError] = dataclasses.field(default_factory=dict)

    def of(self, nodes: Sequence[str]) -> FakeShown:
        self.nodes = list(nodes)
        return self

    def out(self, node: str, line: bytes) -> None:
        if node == self.breaks:
            raise BrokenPipeError
        self.lines.append((node, line))

    err = out

    def ended(self, node: str, result: Result | LabError) -> None:
        self.ends[node] = result


def test_a_closed_pipe_ends_a_command_though_another_node_hangs(up: FakeHost) -> None:
    hangs = threading.Event()

    def answer(command: Command) -> Result:
        if command.argv[-2] == "controller":
            hangs.wait(30)
        return Result(exit_code=0, stdout="line\n")

    up.runner.on("ssh", answer=answer)
    started = time.monotonic()
    try:
        with pytest.raises(BrokenPipeError):
            entering.execute(up.context, "trio", ("yes",), [], FakeShown(breaks="compute1").of)
        assert time.monotonic() - started < 10
    finally:
        hangs.set()


def test_a_command_runs_on_every_node_and_each_has_its_result_or_its_error(up: FakeHost) -> None:
    def answer(command: Command) -> Result:
        node = command.argv[-2]
        if node == "compute2":
            raise CommandFailed("no such file")
        return Result(exit_code=3 if node == "compute1" else 0, stdout=node)

    up.runner.on("ssh", answer=answer)
    shown = FakeShown()
    results = entering.execute(up.context, "trio", ("uptime",), [], shown.of)
    assert shown.nodes == ["controller", "compute1", "compute2"]
    assert sorted(shown.lines) == [("compute1", b"compute1"), ("controller", b"controller")]
    assert {name: each.exit_code for name, each in shown.ends.items()} == {
        name: each.exit_code for name, each in results.items()
    }
    assert list(results) == ["controller", "compute1", "compute2"]
    assert [each.exit_code for each in results.values()] == [0, 3, CommandFailed.exit_code]
    assert entering.exit_code(results) == 3


def test_a_node_that_the_lab_has_not_is_refused_with_those_it_has(up: FakeHost) -> None:
    with pytest.raises(
        LabError,
        match=r"'compute' is not a node of lab trio \(it has: controller, compute1, compute2\)",
    ):
        entering.execute(up.context, "trio", ("uptime",), ["compute"], FakeShown().of)
    with pytest.raises(LabError, match=r"next: \./invoke lab\.status trio"):
        entering.execute(up.context, "trio", ("uptime",), ["compute"], FakeShown().of)
    with pytest.raises(LabError, match="is not a node of lab trio"):
        entering.login(up.context, "trio", "../x")
    with pytest.raises(LabError, match="is not a node of lab trio"):
        entering.console(up.context, "trio", "compute", follow=False, interactive=False)


def test_who_names_no_node_logs_in_on_the_controller(up: FakeHost) -> None:
    up.runner.on("ssh", answer=Result(exit_code=7))
    assert entering.login(up.context, "trio", "") == 7
    assert entering.login(up.context, "trio", "compute1") == 7
    assert [command.argv[-1] for command in up.ran("ssh")] == ["controller", "compute1"]
    assert all(command.interactive for command in up.ran("ssh"))


def test_a_command_takes_the_shell_s_place_in_a_login(up: FakeHost) -> None:
    up.runner.on("ssh", answer=Result(exit_code=3))
    assert entering.login(up.context, "trio", "compute1", ("ls", "a file")) == 3
    (command,) = up.ran("ssh")
    assert command.argv[-3:] == ("--", "compute1", "ls 'a file'")
    assert command.interactive


def test_a_console_to_log_in_on_names_what_helps_where_libvirtd_does_not_answer(
    up: FakeHost,
) -> None:
    up.connect(None)
    with pytest.raises(LabError, match="libvirtd does not answer") as raised:
        entering.console(up.context, "trio", "compute1", follow=False, interactive=True)
    assert raised.value.hint


def test_a_console_is_a_file_or_a_terminal(up: FakeHost) -> None:
    up.runner.on("tail").on("virsh")
    entering.console(up.context, "trio", "compute1", follow=False, interactive=False)
    entering.console(up.context, "trio", "compute1", follow=True, interactive=False)
    entering.console(up.context, "trio", "", follow=False, interactive=True)
    log = str(up.lab().console("compute1"))
    assert up.runner.argvs[-3:] == [
        ("tail", "-n", "+1", log),
        ("tail", "-f", "-n", "50", log),
        ("virsh", "-c", "qemu:///system", "console", "trio_controller", "--devname", "serial1"),
    ]
