"""Run a program of ours on a node: root's, given on stdin, with nothing of it left on the disk."""

from __future__ import annotations

import ast
import json
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stacklab.foreign import printable
from stacklab.nodes import protocol, session
from stacklab.nodes.protocol import Part, Said
from stacklab.paths import LabPaths
from stacklab.process.command import Conversing

_HERE = Path(__file__).parents[1]
# Beyond the program's own limit, which its node keeps: for the log-in.
LATE_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What a program wrote; foreign text. `why` it failed is printable, and "" if it did not."""

    said: Said
    why: str

    @property
    def objects(self) -> tuple[Mapping[str, Any], ...]:
        """Return the objects of JSON among its lines; foreign, too."""
        return tuple(read_json(self.said.lines))

    @property
    def failed(self) -> str:
        """Return what it says itself of why it failed, in printable words; "" for nothing."""
        return next(
            (printable(str(each["failed"])) for each in self.objects if "failed" in each), ""
        )


def read_json(texts: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    """Yield the objects among the lines of a program; all else is left out."""
    for text in texts:
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            continue  # cut off, or a library's warning
        if isinstance(said, dict):
            yield said


def source_of(name: str) -> bytes:
    """Return a program of `stacklab.drivers` with the modules beside it that it imports.

    It is one text: a node has no file of ours. The modules come first, each once, so that what is
    imported from them by name is there already.
    """
    future = "from __future__ import annotations\n"
    whole = "".join(_modules_of(name, set()))
    return (future + whole.replace(future, "")).encode()


def _modules_of(name: str, joined: set[str]) -> Iterator[str]:
    """Yield the texts of the modules that a program consists of, but for those `joined`."""
    joined.add(name)
    text = (_HERE / "drivers" / f"{name}.py").read_text()
    lines = text.splitlines(keepends=True)
    for statement in ast.parse(text).body:
        if not isinstance(statement, ast.ImportFrom):
            continue
        package, _, module = (statement.module or "").rpartition(".")
        if package != "stacklab.drivers":
            continue
        if module not in joined:
            yield from _modules_of(module, joined)
        for number in range(statement.lineno - 1, statement.end_lineno or statement.lineno):
            lines[number] = "\n"
    yield "".join(lines)


def run(
    runner: Conversing,
    paths: LabPaths,
    node: str,
    argv: Sequence[str],
    program: bytes,
    *,
    tag: str,
    limit_s: float,
    heard: Callable[[str], None] = lambda _line: None,
) -> Ended:
    """Run a program that `argv` reads from its stdin, and return how that ended.

    `heard` gets each line that it writes when it comes; foreign text.
    """
    # The limit is kept on the node: a session that is cut off would leave the program running.
    command = f"sudo -n timeout -k 5 {limit_s:g} {shlex.join(argv)}"
    part = Part(tag=tag, shell=protocol.fed(command, program), limit_s=limit_s)
    reply = session.ask(runner, paths, node, [part], limit_s=limit_s + LATE_S, heard=heard)
    said = reply.answer.of(tag)
    if said.code == 0:
        return Ended(said=said, why="")
    why = printable(reply.missing(tag))
    if not why and said.code == protocol.TIMED_OUT:
        why = f"no end after {limit_s:.0f} s"
    return Ended(said=said, why=why or printable(said.text) or "no answer")
