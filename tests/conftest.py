"""What every layer of tests may use: a runner whose answers are scripted."""

from __future__ import annotations

import dataclasses
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import settings

from stacklab.process import Command, Result

# A shell's background jobs ignore SIGINT, and so would all that the tests start: Ctrl-C could
# not be tested.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Hypothesis ends an example after 200 ms of the wall clock: a busy machine is no failure.
settings.register_profile(
    "stacklab", settings.default, deadline=None
)  # else as ever: in CI, the same ones each time
settings.load_profile("stacklab")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write the texts that tests expect anew"
    )


Answer = Result | BaseException | Callable[[Command], Result]


# An odd number: nothing may rely on pieces that fit.
_PIECE_BYTES = 1009


@dataclass
class FakeRunner:
    """A stacklab.process.Runner that starts nothing.

    `script` maps the beginning of an argv to its answer; the longest beginning that fits wins. A
    list is answered in turn, its last entry for ever. A command that nothing fits fails the test.
    """

    script: dict[tuple[str, ...], Answer | list[Answer]] = field(default_factory=dict)
    commands: list[Command] = field(default_factory=list)

    def on(
        self, *prefix: str, answer: Answer | list[Answer] | None = None, stdout: str = ""
    ) -> FakeRunner:
        """Script one answer; returns itself, so that calls can be chained."""
        self.script[prefix] = Result(exit_code=0, stdout=stdout) if answer is None else answer
        return self

    def run(self, command: Command) -> Result:
        """Record the command and give the scripted answer; see Runner.run."""
        self.commands.append(command)
        fitting = [prefix for prefix in self.script if command.argv[: len(prefix)] == prefix]
        if not fitting:
            known = ", ".join(" ".join(prefix) for prefix in self.script) or "nothing"
            raise AssertionError(f"no answer scripted for: {command} (scripted: {known})")
        answer = self.script[max(fitting, key=len)]
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer if isinstance(answer, Result) else answer(command)

    def converse(
        self,
        command: Command,
        *,
        heard: Callable[[str, float], None],
        why_stop: Callable[[], str] = lambda: "",
    ) -> Result:
        """The same, told line by line; see Conversing.converse."""
        result = self.run(command)
        for line in result.stdout.split("\n")[:-1]:
            heard(line, time.time())
        return dataclasses.replace(result, stdout="")

    def stream(
        self, command: Command, *, out: Callable[[bytes], None], err: Callable[[bytes], None]
    ) -> Result:
        """The same, both streams line by line; see Conversing.stream."""
        result = self.run(command)
        for text, take in ((result.stdout, out), (result.stderr, err)):
            for line in text.splitlines(keepends=True):
                take(line.encode())
        return dataclasses.replace(result, stdout="", stderr="")

    def pipe(
        self, command: Command, *, feed: Iterable[bytes], take: Callable[[bytes], None]
    ) -> Result:
        """The same: the answer is called with all of `feed` as stdin; see Piping.pipe.

        Its stdout is taken for bytes, one by one of their latin-1 characters.
        """
        result = self.run(dataclasses.replace(command, stdin=b"".join(feed)))
        data = result.stdout.encode("latin-1")
        for start in range(0, len(data), _PIECE_BYTES):
            take(data[start : start + _PIECE_BYTES])
        return dataclasses.replace(result, stdout="")

    @property
    def argvs(self) -> list[tuple[str, ...]]:
        """What was run, in order."""
        return [command.argv for command in self.commands]

    @classmethod
    def answering(cls, script: Mapping[tuple[str, ...], Answer | list[Answer]]) -> FakeRunner:
        """A runner with all its answers at once."""
        return cls(script=dict(script))


@pytest.fixture
def fake_runner() -> FakeRunner:
    return FakeRunner()
