"""Nodes that answer a session's script part by part, for tests that start nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from stacklab.process import Command, Result

# A part may have functions of its own: it ends where the next one begins.
_PART = re.compile(
    r"^(part\d+)\(\) \{\n(.*?)\n\}\n(?=part\d+\(\) \{|session\(\) \{)", re.MULTILINE | re.DOTALL
)
_CALL = re.compile(r"^tagged (\S+) (part\d+)", re.MULTILINE)

Said = str | tuple[str, int]  # what a part writes, and its exit code
Responder = Callable[[str, str], Said]  # the part's tag and shell -> what it writes


def script_of(command: Command) -> str:
    return (command.stdin or b"").decode()


def marker_of(command: Command) -> str:
    (line,) = [line for line in script_of(command).splitlines() if line.startswith("m=")]
    return line.removeprefix("m=")


def parts_of(command: Command) -> dict[str, str]:
    """The shell of each part of a session's script, by tag."""
    text = script_of(command)
    bodies = dict(_PART.findall(text))
    return {tag: bodies[name] for tag, name in _CALL.findall(text)}


def answering(said: Mapping[str, Said] | Responder) -> Callable[[Command], Result]:
    """A node that writes these words for these tags, and nothing for others, all with code 0."""

    def respond(tag: str, shell: str) -> Said:
        return said.get(tag, "") if isinstance(said, Mapping) else said(tag, shell)

    def answer(command: Command) -> Result:
        if b"\nsession </dev/null" not in (command.stdin or b""):
            return Result(exit_code=0)
        mark = marker_of(command)
        lines = [f"{mark} begin"]
        for tag, shell in parts_of(command).items():
            words = respond(tag, shell)
            text, code = words if isinstance(words, tuple) else (words, 0)
            lines += [f"{mark} {tag} {line}" for line in text.splitlines() if line.strip()]
            lines.append(f"{mark} {tag} = {code}")
        lines.append(f"{mark} end")
        return Result(exit_code=0, stdout="\n".join([*lines, ""]))

    return answer


healthy = answering({})
