"""A command, its result, and the contracts of whatever runs it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from stacklab.words import without

MOST_BYTES = 64 * 1024 * 1024  # of a program of this host; what runs on a node is given less
MASK = "***"
# shlex would quote the stars: this stands for them until the words are joined.
_UNQUOTED_MASK = "xxMASKEDxx"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program to run; `what` begins the message of its error."""

    argv: tuple[str, ...]
    what: str = ""
    cwd: Path | None = None
    env: Mapping[str, str | None] = field(default_factory=dict)  # None unsets
    stdin: bytes | None = field(default=None, repr=False)
    timeout_s: float | None = None
    ok_codes: tuple[int, ...] = (0,)
    # Masked in every message, but not in `log`.
    secrets: tuple[str, ...] = field(default=(), repr=False)
    log: Path | None = None  # both streams are appended to it as they come
    interactive: bool = False  # keeps the terminal (ssh, console)
    most_bytes: int = MOST_BYTES  # of stdout are kept by `run`; Result.left_out counts the rest

    def __str__(self) -> str:
        # Masked before quoting: quoting would split a secret that holds a quote.
        masked = [without(word, self.secrets, _UNQUOTED_MASK) for word in self.argv]
        return shlex.join(masked).replace(_UNQUOTED_MASK, MASK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of a command; with a log, stdout and stderr are in the log instead.

    Of a long stdout the beginning is kept, of a long stderr the end. The last line of stderr
    then says how much was left out.
    """

    exit_code: int
    stdout: str = ""
    stderr: str = ""
    elapsed_s: float = 0.0
    left_out: int = 0  # bytes of stdout that were more than Command.most_bytes


def as_root(argv: Sequence[str], *, may_ask: bool = False) -> tuple[str, ...]:
    """Return the command line as run by root.

    sudo must not ask for a password, for nobody may be there; `may_ask` is for a terminal.
    """
    if os.geteuid() == 0:
        return tuple(argv)
    return ("sudo", *argv) if may_ask else ("sudo", "-n", *argv)


class Runner(Protocol):
    """Anything that can run a Command."""

    def run(self, command: Command) -> Result:
        """Run it to its end; raises ToolNotFound, CommandFailed or CommandTimedOut."""
        ...


class Conversing(Runner, Protocol):
    """A runner that hands out what a command writes while it writes it."""

    def converse(
        self,
        command: Command,
        *,
        heard: Callable[[str, float], None],
        why_stop: Callable[[], str] = lambda: "",
    ) -> Result:
        """Run it to its end; `heard` gets each line of stdout, and when it came (time.time()).

        A last line without a newline was cut off, and is dropped.
        `why_stop` is called several times a second; any result but "" ends the command
        with CommandFailed of those words. Raises what Runner.run does; the Result's
        stdout is "".
        """
        ...

    def stream(
        self, command: Command, *, out: Callable[[bytes], None], err: Callable[[bytes], None]
    ) -> Result:
        """Run it to its end, and hand out each line of both streams as bytes, when it comes.

        A line keeps its newline; the last line may lack it. Of a line that never ends, the
        beginning is handed out. Nothing is kept: the Result's stdout and stderr are "".
        Raises what Runner.run does.
        """
        ...


class Piping(Conversing, Protocol):
    """A runner that also passes bytes through a command, however many there are."""

    def pipe(
        self, command: Command, *, feed: Iterable[bytes], take: Callable[[bytes], None]
    ) -> Result:
        """Run it to its end with `feed` as its stdin; `take` gets each piece of its stdout.

        What `feed` or `take` raises ends the command, and is raised. The Result's stdout is "".
        Raises what Runner.run does.
        """
        ...
