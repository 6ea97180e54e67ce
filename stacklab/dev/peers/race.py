"""Start a peer's command, and time it from outside."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from stacklab.dev.peers.probe import Probe
from stacklab.errors import LabError
from stacklab.process.command import Command, Runner

_PIECE_S = 0.2
_STOP_S = 60.0  # SIGINT, SIGTERM and SIGKILL have their turns within it


class StoppableRunner(Runner, Protocol):
    """A runner whose commands can be ended from another thread."""

    def stop_all(self) -> None:
        """End all commands that run, and their children."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a user would type to have nodes at these addresses."""

    command: Command  # has a time limit
    addresses: tuple[str, ...]
    limit_s: float  # until ssh has to answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """How long it took, in seconds from the start of the command."""

    ready_s: float  # until sshd answered on all addresses
    command_s: float  # until the command itself ended: some do not wait for their nodes


def run(
    start: Start,
    runner: StoppableRunner,
    *,
    saying: Callable[[str], None] = lambda _text: None,
    make_probe: Callable[[tuple[str, ...]], Probe] = Probe,
) -> Finish:
    """Run the command and wait until all addresses answer and the command has ended.

    Raises LabError if an address answers before, if the command fails, or if time is up. The
    command does not run on, whatever is raised.
    """
    probe = make_probe(start.addresses)
    probe.refuse_answers()
    running = _RunningCommand(start.command, runner)
    try:
        answered = probe.wait(limit_s=start.limit_s, why_stop=running.why_failed, saying=saying)
        running.wait(saying)
    except BaseException:
        # Ctrl-C is raised here and not in the command's thread.
        runner.stop_all()
        running.has_ended.wait(_STOP_S)
        raise
    return Finish(ready_s=max(answered.values()), command_s=running.elapsed_s)


class _RunningCommand:
    """A command in a thread of its own, and how it ended."""

    def __init__(self, command: Command, runner: Runner) -> None:
        self._command = command
        self._runner = runner
        self._why_failed = ""
        self._bugs: list[BaseException] = []
        self.elapsed_s = 0.0
        self.has_ended = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def why_failed(self) -> str:
        """Return why the command failed; "" while it runs, and if it succeeded."""
        if self._bugs:
            raise self._bugs[0]
        return self._why_failed

    def wait(self, saying: Callable[[str], None]) -> None:
        """Wait for the command's end, which its own time limit brings; raises LabError for it."""
        while not self.has_ended.wait(_PIECE_S):
            saying("the nodes answer; waiting for the command to end")
        why = self.why_failed()
        if why:
            raise LabError(f"the nodes answered, but then: {why}")

    def _run(self) -> None:
        started = time.monotonic()
        try:
            self._runner.run(self._command)
        except LabError as error:
            self._why_failed = error.message
        except BaseException as error:  # raised again where somebody sees it
            self._bugs.append(error)
        finally:
            self.elapsed_s = time.monotonic() - started
            self.has_ended.set()
