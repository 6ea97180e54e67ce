"""Ask a node: a script made of parts goes there, and an answer comes back.

This is the only way in which nodes are asked:

    reply = session.ask(runner, paths, "node1", parts, limit_s=20)
    reply.answer.of("some.tag").lines    # what the part wrote; foreign text
    reply.why                            # why the session ended, in a few printable words

Each session has a marker of its own that nobody on the node can know beforehand, a time
limit, and bounds on what is kept. If a node can't be reached, the answer is not begun, and
no exception is raised. Lines that came before a session was cut off count.

`listen` is the same for other protocols (`lab.logs`, `units`), which have their own command
and their own hearer.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from stacklab.errors import CommandFailed, CommandTimedOut
from stacklab.foreign import Foreign, printable
from stacklab.nodes import protocol
from stacklab.nodes.protocol import Answer, Hearing, Part
from stacklab.paths import LabPaths
from stacklab.process.command import Command, Conversing, Result
from stacklab.tools import ssh
from stacklab.tools.ssh import Trouble

_WORDS_MAX = 200  # characters of a reason


class Hearer(Protocol):
    """Takes a node's lines, and tells when it has had enough."""

    def hear(self, line: str, at: float) -> None:
        """Take one line; must not raise, whatever it is given."""
        ...

    def why_stop(self) -> str:
        """Return why no more is taken; "" while there is room."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """The end of a session; `why` is printable and never empty."""

    result: Result
    why: str

    @property
    def stderr(self) -> Foreign:
        """Return what ssh, and a node's login shell, wrote beside the answer."""
        return Foreign(self.result.stderr)

    @property
    def may_pass(self) -> bool:
        """Return True unless ssh refused for a reason that does not end by itself."""
        return ssh.trouble(self.result.stderr) not in (Trouble.HOST_KEY, Trouble.DENIED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply(Ending):
    """A node's answer, and the command that asked for it."""

    answer: Answer
    command: Command

    def missing(self, tag: str) -> str:
        """Return why the answer of a part is missing; "" when it is there."""
        return self.answer.missing(tag) if self.answer.is_begun else self.why


def marker() -> str:
    """Return a new word that marks a session's lines: no banner and no user can know it."""
    return f"stacklab-{secrets.token_hex(8)}"


def never() -> str:
    """Return "": never a reason to end a session early."""
    return ""


def ask(
    runner: Conversing,
    paths: LabPaths,
    node: str,
    parts: Sequence[Part],
    *,
    limit_s: float,
    why_stop: Callable[[], str] = never,
    heard: Callable[[str], None] = lambda _line: None,
) -> Reply:
    """Run these parts on a node in one session, and return what it answered.

    `why_stop` is asked several times a second: any answer but "" ends the session. `heard` gets
    each line of the answer when it comes; foreign text. Raises ToolNotFound only (ssh is not
    installed on this host).
    """
    mark = marker()
    hearing = Hearing(mark, (part.tag for part in parts), heard)
    script = protocol.render(parts, mark)
    command = ssh.script_command(paths, node, script, timeout_s=limit_s)
    ending = listen(runner, command, hearing, why_stop=why_stop)
    return Reply(
        answer=hearing.answer(why_cut=ending.why),
        command=command,
        result=ending.result,
        why=ending.why,
    )


def listen(
    runner: Conversing, command: Command, hearer: Hearer, *, why_stop: Callable[[], str] = never
) -> Ending:
    """Run a command on a node, let `hearer` have its lines, and return how that ended.

    Raises ToolNotFound only.
    """

    def why_end() -> str:
        return hearer.why_stop() or why_stop()

    try:
        result = runner.converse(command, heard=hearer.hear, why_stop=why_end)
    except (CommandTimedOut, CommandFailed) as error:
        first_line = error.message.partition("\n")[0]
        # The reason to stop comes first: the error's text quotes what the node wrote, which may
        # look like one of ssh's own errors.
        why = why_end() or ssh.classify(error.message) or first_line
        failed = Result(exit_code=ssh.UNREACHED, stderr=error.message)
        return Ending(result=failed, why=printable(why))
    return Ending(result=result, why=printable(_why_ended(result)))


def _why_ended(result: Result) -> str:
    """Return why a session ended: ssh's own reason, else the last line it wrote, else its code."""
    known_cause = ssh.classify(result.stderr)
    if known_cause:
        return known_cause
    # The last line, because banners and warnings come before it.
    last_line = ""
    for line in result.stderr.splitlines():
        last_line = line.strip() or last_line
    # Cut before it is made printable: a hostile node may write a line of megabytes.
    words = printable(last_line[:_WORDS_MAX]).strip()
    return words or f"ssh ended with {result.exit_code}"
