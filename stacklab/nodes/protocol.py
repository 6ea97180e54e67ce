"""Render one script for a node, and read its answer, in which every line is marked.

A caller (see session.py) gives `Part`s: pieces of shell with a tag. The node runs all of them
in one session. It writes each line of a part's output as `MARK TAG line`, and at its end
`MARK TAG = CODE`; each line is one write, so that parts may run side by side. What a banner or
a profile prints lacks the mark, and is dropped. An emulated node is ten times slower than its
host, so a part should fork only for the programs whose answer it needs.
"""

from __future__ import annotations

import base64
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

NOT_FOUND = 127  # the shell's exit code for a program that is not there
TIMED_OUT = 124  # timeout(1)'s
OUTPUT_MAX = 2000  # characters of a part's output that a report shows
# A tag is a word of the node's answer, and of the shell that renders it.
_TAG = re.compile(r"[a-z0-9][a-z0-9.:_-]*")
_ENDED = re.compile(r"= (\d{1,3})", re.ASCII)
LINE_MAX = 3500  # a pipe keeps 4096 bytes in one piece, and so does bash's printf
LINES_MAX = 5000  # per part: what writes more is broken, and must not fill the host's memory
SESSION_MAX = 8 * 1024 * 1024  # of one session, in memory: 50 of them may run at once
_DIGITS_MAX = 12  # of a number that a node writes: bytes, seconds since 1970
TOO_MUCH = f"it wrote more than {SESSION_MAX // 1024 // 1024} MiB"


class Phase(IntEnum):
    """Phases of a session: parts of FACTS run one by one, those of other phases side by side."""

    FACTS = 0  # quick looks at the node itself
    PINGS = 1  # before what would share the CPU with them and spoil their times
    REST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A piece of shell for a node: POSIX sh, no stdin, as `stack`.

    `limit_s` is how long it may take at worst.
    """

    tag: str
    shell: str
    phase: Phase = Phase.REST
    limit_s: float = 10.0

    def __post_init__(self) -> None:
        assert _TAG.fullmatch(self.tag), self.tag


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Output of a part, stderr included, without blank lines.

    `lines` is foreign text as it came, for parsers (see stacklab/foreign.py for why it is
    not of type Foreign); whatever is shown of it goes through `printable` at a report.
    `code` is None for a part that has not ended.
    """

    lines: tuple[str, ...] = ()
    code: int | None = None
    heard_at: float = 0.0  # when its first line came, by the host's clock (time.time())

    @property
    def text(self) -> str:
        """The end of it, as far as a report shows it; foreign text, too."""
        return "\n".join(self.lines)[-OUTPUT_MAX:]


NOTHING = Said()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """All that a node answered before its session ended."""

    is_begun: bool = False
    is_complete: bool = False
    said: Mapping[str, Said] = field(default_factory=dict)
    why_cut: str = ""  # why the session ended early, if it is known

    def of(self, tag: str) -> Said:
        """Return what the part of that tag wrote; NOTHING if it never ran."""
        return self.said.get(tag, NOTHING)

    def missing(self, tag: str) -> str:
        """Return why the answer of a part is missing; "" when it is there."""
        if self.of(tag).code is not None:
            return ""
        if self.is_complete:
            return "no answer"
        reason = f": {self.why_cut}" if self.why_cut else ""
        return f"the session ended before this check{reason}"


class Hearing:
    """Takes a node's lines as they come, for `session.listen`; what it keeps has bounds.

    Only the parts' own tags are kept (None: any, for answers that nobody hostile wrote), of
    each line what an honest node would have sent, and no more than SESSION_MAX in all. `heard` is
    called with each of these lines at once; it must not raise.
    """

    def __init__(
        self,
        marker: str,
        tags: Iterable[str] | None = None,
        heard: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self._heard = heard
        self._prefix = f"{marker} "
        self._tags = None if tags is None else frozenset(tags)
        self._is_begun = self._is_complete = False
        # By tag:
        self._lines: dict[str, list[str]] = {}
        self._codes: dict[str, int] = {}
        self._first_heard_at: dict[str, float] = {}
        self._size = 0

    def hear(self, line: str, at: float) -> None:
        """Take one line; never raises, whatever it is given."""
        # Lines without the marker count, too: a node that floods us is cut off early.
        self._size += len(line)
        if self._size > SESSION_MAX or not line.startswith(self._prefix):
            return
        tag, _, rest = line.removeprefix(self._prefix).partition(" ")
        if not rest.strip():
            # The session's own marks: no part writes a line without text.
            self._is_begun |= tag == "begin"
            self._is_complete |= tag == "end"
            return
        if self._tags is None or tag in self._tags:
            self._keep_line(tag, rest, at)

    def _keep_line(self, tag: str, rest: str, at: float) -> None:
        lines = self._lines.setdefault(tag, [])
        self._first_heard_at.setdefault(tag, at)
        ended = _ENDED.fullmatch(rest)
        if ended:
            self._codes[tag] = int(ended[1])
        elif len(lines) < LINES_MAX:
            text = rest[:LINE_MAX].rstrip("\r")
            # Its size in memory: one character beyond Latin-1 makes the whole line twice as large.
            self._size += sys.getsizeof(text)
            lines.append(text)
            self._heard(text)

    def why_stop(self) -> str:
        """Return why no more is taken; "" while there is room."""
        return TOO_MUCH if self._size > SESSION_MAX else ""

    def answer(self, why_cut: str = "") -> Answer:
        """Return all that was heard so far."""
        said = {}
        for tag, lines in self._lines.items():
            said[tag] = Said(
                lines=tuple(lines),
                code=self._codes.get(tag),
                heard_at=self._first_heard_at[tag],
            )
        return Answer(
            is_begun=self._is_begun,
            is_complete=self._is_complete,
            said=said,
            why_cut=why_cut,
        )


def read(text: str, marker: str) -> Answer:
    """Read a whole answer; a last line without a newline was cut off, and is dropped."""
    hearing = Hearing(marker)
    for line in text.split("\n")[:-1]:
        hearing.hear(line, 0.0)
    return hearing.answer()


def render(parts: Sequence[Part], marker: str) -> str:
    """Render the script for one node.

    All work is in a function that the last line calls: a script that is cut short on its way
    does nothing, and no program reads the rest of it as its stdin.
    """
    lines = [
        f"m={shlex.quote(marker)}",
        "set -f",
        "PATH=$PATH:/usr/sbin:/sbin",
        "export LC_ALL=C",
        # `read` forks nothing, where one sed costs an emulated node 70 ms. Each line is one write.
        # The newline before the code ends an output that ends without one.
        f"""tagged() {{ {{ "$2" 2>&1; printf '\\n= %s\\n' "$?"; }} | while IFS= read -r line; do
  [ -z "$line" ] || printf '%s %.{LINE_MAX}s\\n' "$m $1" "$line"
done; }}""",
    ]
    calls: dict[Phase, list[str]] = {phase: [] for phase in Phase}
    for number, part in enumerate(parts):
        lines += [f"part{number}() {{", part.shell.rstrip("\n"), "}"]
        calls[part.phase].append(f"tagged {part.tag} part{number}")
    lines += ["session() {", "printf '%s begin\\n' \"$m\""]
    lines += calls[Phase.FACTS]
    for phase in (Phase.PINGS, Phase.REST):
        if calls[phase]:
            lines += [f"{call} &" for call in calls[phase]]
            lines.append("wait")
    lines += ["printf '%s end\\n' \"$m\"", "}"]
    lines += ["session </dev/null", ""]
    return "\n".join(lines)


def fed(command: str, data: bytes) -> str:
    """Return shell for a Part that gives a command these bytes on its stdin."""
    text = base64.encodebytes(data).decode()  # no line of it can end the here-document
    return f"base64 -d <<'END-OF-DATA' | {command}\n{text}END-OF-DATA"


def is_number(word: str) -> bool:
    """Return True for a node's word that int() can read; it refuses more than 4300 digits."""
    return len(word) <= _DIGITS_MAX and word.isascii() and word.isdigit()


def as_root(script: str) -> str:
    """Return a line of shell for a Part that runs a short script as root; sudo must not ask."""
    return f"sudo -n sh -c {shlex.quote(script)}"


def time_limit_s(parts: Iterable[Part]) -> float:
    """Return how long a session with these parts may take if every one of them hangs."""
    limits: dict[Phase, float] = dict.fromkeys(Phase, 0.0)
    for part in parts:
        limit_s = limits[part.phase]
        # One by one, or side by side: see Phase.
        if part.phase is Phase.FACTS:
            limits[part.phase] = limit_s + part.limit_s
        else:
            limits[part.phase] = max(limit_s, part.limit_s)
    return sum(limits.values())
