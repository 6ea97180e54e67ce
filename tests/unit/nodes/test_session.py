"""The one way to ask a node: whatever it answers, and however a session ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stacklab.errors import CommandFailed, CommandTimedOut, ToolNotFound
from stacklab.nodes import session
from stacklab.nodes.guard import guarded
from stacklab.nodes.protocol import Part
from stacklab.paths import HostPaths
from stacklab.process import Command, Result
from tests.conftest import FakeRunner
from tests.unit.nodes import fake_session

PATHS = HostPaths(Path("/var/lib/stacklab")).lab("trio")
PARTS = [Part(tag="a.one", shell="echo one"), Part(tag="b.two", shell="echo two")]


def ask(runner: FakeRunner, why_stop: Callable[[], str] = session.never) -> session.Reply:
    return session.ask(runner, PATHS, "node1", PARTS, limit_s=7, why_stop=why_stop)


def test_a_script_goes_there_and_an_answer_comes_back(fake_runner: FakeRunner) -> None:
    fake_runner.on("ssh", answer=fake_session.answering({"a.one": "one", "b.two": ("no", 3)}))
    reply = ask(fake_runner)
    assert reply.answer.is_complete
    assert reply.answer.of("a.one").lines == ("one",)
    assert (reply.answer.of("b.two").code, reply.missing("b.two")) == (3, "")
    (command,) = fake_runner.commands
    assert reply.command == command
    assert (command.argv[-2:], command.timeout_s) == (("node1", "sh -s"), 7)


def test_every_session_has_a_marker_of_its_own(fake_runner: FakeRunner) -> None:
    fake_runner.on("ssh", answer=fake_session.healthy)
    for _ in range(3):
        ask(fake_runner)
    assert len({fake_session.marker_of(command) for command in fake_runner.commands}) == 3


@pytest.mark.parametrize(
    ("end", "why"),
    [
        (Result(exit_code=255, stderr="ssh: Connection refused"), "refused"),
        (Result(exit_code=255, stderr="odd\n\x1b]0;owned\x07reason\n\n"), "reason"),
        (Result(exit_code=255, stderr="\x1b[2J\x07"), "ssh ended with 255"),
        (Result(exit_code=3), "ssh ended with 3"),
        (CommandTimedOut("asking: ssh had no end after 7 s\n  ssh ..."), "timed out"),
        (CommandFailed("asking: ssh cannot be started\n  ssh"), "asking: ssh cannot be started"),
    ],
)
def test_a_node_that_does_not_answer_is_an_answer_with_its_reason(
    fake_runner: FakeRunner, end: Result | BaseException, why: str
) -> None:
    fake_runner.on("ssh", answer=end)
    reply = ask(fake_runner)
    assert not reply.answer.is_begun
    assert reply.why == reply.missing("a.one") == why


def test_what_was_heard_before_a_session_was_cut_off_counts(fake_runner: FakeRunner) -> None:
    whole = fake_session.answering({"a.one": "one"})

    def cut(command: Command) -> Result:
        head, _, _ = whole(command).stdout.partition(f"{fake_session.marker_of(command)} b.two")
        return Result(exit_code=255, stdout=head, stderr="Connection reset by peer")

    fake_runner.on("ssh", answer=cut)
    reply = ask(fake_runner)
    assert reply.missing("a.one") == ""
    assert reply.missing("b.two") == ("the session ended before this check: connection closed")


class FakeBabbler(FakeRunner):
    """A node that never stops, until it is ended; `lines` makes what it writes next."""

    def __init__(self, line: Callable[[str, int], str]) -> None:
        super().__init__()
        self._line = line
        self.count = 0

    def converse(
        self,
        command: Command,
        *,
        heard: Callable[[str, float], None],
        why_stop: Callable[[], str] = lambda: "",
    ) -> Result:
        marker = fake_session.marker_of(command)
        heard(f"{marker} begin", 0.0)
        while not why_stop():
            heard(self._line(marker, self.count), 0.0)
            self.count += 1
            assert self.count < 1_000_000, "nobody ended it"
        raise CommandFailed(f"asking: ssh was ended: {why_stop()}\n  ssh")


@pytest.mark.parametrize(
    "line",
    [
        lambda marker, _count: f"{marker} a.one {'A' * 900_000}",
        lambda marker, count: f"{marker} t{count} {'x' * 200}",
        lambda marker, count: f"{marker} begin",
        lambda marker, count: "A" * 900_000,
    ],
    ids=["one tag", "many tags", "begin again", "no marker"],
)
def test_a_node_that_never_stops_is_ended_and_told_so(line: Callable[[str, int], str]) -> None:
    runner = FakeBabbler(line)
    reply = ask(runner)
    assert reply.why == "it wrote more than 8 MiB"
    assert set(reply.answer.said) <= {"a.one"}
    assert reply.missing("b.two").endswith(": it wrote more than 8 MiB")


def test_a_reason_to_stop_is_the_reason_of_the_end(fake_runner: FakeRunner) -> None:
    runner = FakeBabbler(lambda marker, count: "x")
    reply = ask(runner, lambda: "the node is paused" if runner.count > 2 else "")
    assert reply.why == "the node is paused"


def test_a_host_without_ssh_is_an_error(fake_runner: FakeRunner) -> None:
    fake_runner.on("ssh", answer=ToolNotFound("ssh"))
    with pytest.raises(ToolNotFound):
        ask(fake_runner)


def test_an_answer_that_breaks_a_parser_is_a_reason_and_no_traceback() -> None:
    assert guarded(lambda: float("1.5"), lambda why: 0.0) == 1.5
    reason = guarded(lambda: str(float("1..2")), lambda why: why)
    assert reason.startswith("its answer can't be read: ValueError in test_session.py:")

    def stub_interrupts() -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        guarded(stub_interrupts, lambda why: why)
