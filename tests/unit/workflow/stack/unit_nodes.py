"""Nodes that run units, as far as `lab.stack` asks them; answers ssh of a FakeRunner."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from stacklab.errors import CommandFailed
from stacklab.nodes import unit_scripts
from stacklab.process import Command, Result
from tests.unit.nodes import fake_session

BOOT = "cb57dd8f-c32e-478d-bf17-b03e57186654"
OTHER_BOOT = "11111111-c32e-478d-bf17-b03e57186654"
_UNIT = re.compile(rf"^dir={unit_scripts.ROOT}/(\S+) ", re.MULTILINE)
_SCRIPT = re.compile(r"^  put script (\S+)", re.MULTILINE)
_DIGEST = re.compile(r"^  echo ([0-9a-f]{32}) >digest", re.MULTILINE)
_OFFSET = re.compile(r"^  at=(\d+) ", re.MULTILINE)
WELL = "exited 0 success 2.5 running"


@dataclass
class Unit:
    digest: str
    ended: str  # the words of unit_scripts._OVER; "" while it runs
    boot: str = BOOT


@dataclass
class UnitNodes:
    """`ends` is how the work that contains a word ends; all other work ends well."""

    ends: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, bytes] = field(default_factory=dict)
    succeeds: set[str] = field(default_factory=set)  # words of tests
    units: dict[tuple[str, str], Unit] = field(default_factory=dict)
    started: list[tuple[str, str]] = field(default_factory=list)  # node, script
    tests: list[tuple[str, str]] = field(default_factory=list)
    unreached: list[str] = field(default_factory=list)  # errors of ssh, one per session
    is_booted: list[str] = field(default_factory=lambda: ["running"])
    lacks: dict[str, fake_session.Said] = field(default_factory=dict)  # words of sources' scripts
    tried: list[tuple[str, str]] = field(default_factory=list)  # node, script of a source
    breaks: set[str] = field(default_factory=set)  # words of units whose output is out of order
    # The shell that asks for the cloud's computes -> what is said.
    computes: Callable[[str], fake_session.Said] = lambda _shell: ""
    before_attach: Callable[[str, str], None] = lambda _node, _name: None

    def answer(self, command: Command) -> Result:
        """Answer a session of any kind."""
        if self.unreached:
            raise CommandFailed(f"ssh ended with 255\n  | {self.unreached.pop(0)}")
        if command.argv[-1] == "sudo -n sh -s":
            return self._attach(command)
        node = command.argv[-2]
        return fake_session.answering(lambda tag, shell: self._part(node, tag, shell))(command)

    def _part(self, node: str, tag: str, shell: str) -> fake_session.Said:
        if tag == "stack.booted":
            return self.is_booted.pop(0) if len(self.is_booted) > 1 else self.is_booted[0]
        if tag == "stack.done":
            self.tests.append((node, shell))
            return "", 0 if any(word in shell for word in self.succeeds) else 1
        if tag == "cloud.computes":
            return self.computes(shell)
        if tag.startswith("source."):
            self.tried.append((node, shell))
            return next((said for word, said in self.lacks.items() if word in shell), "")
        if tag != "units":
            return ""
        script = base64.b64decode("".join(shell.splitlines()[1:-1])).decode()
        return self._unit(node, script)

    def _unit(self, node: str, script: str) -> str:
        (name,) = _UNIT.findall(script)
        if script.rstrip().splitlines()[-1].startswith('rm -rf "$dir"'):
            self.units.pop((node, name), None)
            return ""
        work = _SCRIPT.search(script)
        if work is not None and (node, name) not in self.units:
            text = base64.b64decode(work[1]).decode()
            self.started.append((node, text))
            (digest,) = _DIGEST.findall(script)
            ended = next((end for word, end in self.ends.items() if word in text), WELL)
            self.units[node, name] = Unit(digest, ended)
        return "\n".join(self._status(node, name))

    def _status(self, node: str, name: str) -> list[str]:
        unit = self.units.get((node, name))
        if unit is None:
            return []
        lines = [f"boot {BOOT}", f"digest {unit.digest}", f"begun {unit.boot} 1.5"]
        if unit.ended:
            return ["active inactive", *lines, f"ended {unit.ended}"]
        return ["active active" if unit.boot == BOOT else "active inactive", *lines]

    def _attach(self, command: Command) -> Result:
        script = fake_session.script_of(command)
        (name,) = _UNIT.findall(script)
        (offset,) = map(int, _OFFSET.findall(script))
        node = command.argv[-2]
        self.before_attach(node, name)
        mark = script.splitlines()[0].removeprefix("m=")
        text = next((out for word, out in self.outputs.items() if word in name), b"working\n")
        lines = [f"{mark} begin"]
        if text[offset:]:
            data = base64.b64encode(text[offset:]).decode()
            begins = offset + 7 if any(word in name for word in self.breaks) else offset
            lines += [f"{mark} chunk {begins}", data, f"{mark} at {len(text)}"]
        lines += [f"{mark} status {line}" for line in self._status(node, name)]
        return Result(exit_code=0, stdout="\n".join([*lines, f"{mark} end", ""]))
