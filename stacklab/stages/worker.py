"""What the engine asks of whoever does work on nodes; `workflow.stack` has the real one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from stacklab.errors import LabError


class WorkPhase(StrEnum):
    """Phases of a step's work on its node."""

    ABSENT = "absent"  # never started, or forgotten
    RUNNING = "running"
    ENDED = "ended"
    GONE = "gone"  # the node went down in the middle, or the work is lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A step's work on its node; when it ended, `exit_code` or `signal` says how."""

    phase: WorkPhase
    exit_code: int | None = None
    signal: str = ""
    is_over_limit: bool = False  # its node ended it, because its time was over
    left_out: int = 0  # bytes of output that the node did not keep
    is_disk_full: bool = False  # its node's, which may have lost output, too


class NodeLost(LabError):
    """The node has not answered for too long, or nobody wants to wait any more."""


class Worker(Protocol):
    """Leaves work on nodes, and comes back to it by its name.

    Each method waits out a connection that is lost, and raises NodeLost if it does not come
    back. Raises LabError for a node that refuses.
    """

    def is_done(self, node: str, command: str, *, user: str) -> bool:
        """Return True if that command succeeds on the node."""
        ...

    def look(self, node: str, name: str) -> Work:
        """Return the work of that name as it is now."""
        ...

    def start(self, node: str, name: str, command: str, *, user: str, limit_s: float) -> None:
        """Start work under that name, unless it was started before."""
        ...

    def follow(
        self, node: str, name: str, *, heard: Callable[[bytes], object], limit_s: float
    ) -> Work:
        """Hand out all that the work wrote, from its first byte on, until it is over.

        Work that its node has not ended soon after `limit_s` is over its limit, whatever the
        node says. Raises LabError for a node that sends what it should not.
        """
        ...

    def forget(self, node: str, name: str) -> None:
        """Remove what is left of work that is over, so that it can be started again."""
        ...

    def wait_for_boot(self, node: str) -> None:
        """Wait until a node that went down is up again."""
        ...


class Workers(Protocol):
    """Makes a worker for each stage."""

    def of_stage(self, said: Callable[[str], None]) -> Worker:
        """Return a worker that tells by `said` what it waits for."""
        ...

    def stop_waiting(self) -> None:
        """Have every method of every worker raise NodeLost soon: the work itself goes on."""
        ...
