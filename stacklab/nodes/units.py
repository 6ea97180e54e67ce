"""Leave work running on a node, as a systemd unit, and come back to it later.

    units = Units(runner, paths, "node1")
    units.start("devstack", script, user="stack", limit_s=3600)
    attached = units.follow("devstack", heard=file.write)     # bytes, as they come
    attached.status.exit_code

The work belongs to the node: it goes on when the connection is lost or when the command
that started it is killed, and any later command can attach to it by its name, from any byte
on. Its output is in a file on the node that survives a reboot. The unit itself does not
survive: if the node rebooted in the middle, the phase is `UnitPhase.REBOOTED`.

This host keeps nothing: each piece of output is handed out and forgotten.
Needs systemd 243 or later on the node, and sudo that does not ask.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stacklab.errors import CommandFailed
from stacklab.foreign import printable
from stacklab.nodes import protocol, session, unit_scripts
from stacklab.nodes.protocol import Part
from stacklab.nodes.unit_status import UnitPhase, UnitStatus, parse_status
from stacklab.paths import LabPaths
from stacklab.process.command import Conversing
from stacklab.tools import ssh

MOST_BYTES = 512 * 1024 * 1024  # of output are kept on the node
_LIMIT_S = 90.0  # of one question; `systemctl stop` alone may take a minute
_AGAIN_S = 2.0  # between two attempts to attach
_PATIENCE_S = 300.0
_STATUS_LINES = 20
# An attachment has a sign of life every half second, whatever the work does.
_SILENT_S = 120.0
# An attachment that lasted longer had a connection.
_SURELY_CONNECTED_S = 60.0
_MOST_BROKEN = 3  # attachments in a row
# Banners, signs of life and marks of an attachment; an honest node sends 6 MiB of them in a day.
_MOST_CHATTER = 16 * 1024 * 1024
_LINE_MAX = unit_scripts.LINE_CHARACTERS + 100
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """The end of an attachment; the next one goes on from `offset`.

    `status` is None if it was cut off while the unit was running; `why` is the reason.
    `is_silent`: the connection was there, and nothing came by it any more. `is_broken`: the
    node sent what no honest node sends.
    """

    offset: int
    status: UnitStatus | None = None
    why: str = ""
    is_silent: bool = False
    is_broken: bool = False

    @property
    def is_over(self) -> bool:
        """Return True if the unit does not run any more."""
        return self.status is not None and self.status.phase is not UnitPhase.RUNNING


def _say_nothing(_why: str, _waited_s: float) -> None:
    """Tell nobody what is waited for."""


class NodeUnreached(CommandFailed):
    """A node could not be asked, or its answer was cut off; `is_passing` if it may answer later."""

    def __init__(self, message: str, *, hint: str, is_passing: bool) -> None:
        super().__init__(message, hint=hint)
        self.is_passing = is_passing


class Units:
    """The units that we left on one node."""

    def __init__(self, runner: Conversing, paths: LabPaths, node: str) -> None:
        self._runner = runner
        self._paths = paths
        self._node = node

    def start(
        self,
        name: str,
        script: str,
        *,
        user: str = ssh.USER,
        limit_s: float | None = None,
        most_bytes: int = MOST_BYTES,
    ) -> UnitStatus:
        """Start a POSIX shell script as a unit, and return at once.

        Idempotent by name: work that was started before is left alone, be it over or not;
        `forget` it to run it again. Raises CommandFailed for a node that can't be reached,
        and for a name under which another script was started.
        """
        starter = unit_scripts.start(
            name, script, user=user, limit_s=limit_s, most_bytes=most_bytes
        )
        lines = self._run_script(name, starter, f"start {name}")
        status = parse_status(lines)
        if status.digest != unit_scripts.digest(script):
            raise CommandFailed(
                f"{self._node} has another script under the name {name}",
                hint=f"./invoke lab.exec {self._paths.name} --node {self._node} -- "
                f"sudo ls {unit_scripts.ROOT}/{name}",
            )
        return status

    def status(self, name: str) -> UnitStatus:
        """Return a unit's status; raises CommandFailed for a node that can't be reached."""
        lines = self._run_script(name, unit_scripts.status(name), f"ask for {name}")
        return parse_status(lines)

    def stop(self, name: str) -> UnitStatus:
        """End a unit: SIGTERM, and SIGKILL after 20 s. No error if it is over or absent."""
        lines = self._run_script(name, unit_scripts.stop(name), f"stop {name}")
        return parse_status(lines)

    def forget(self, name: str) -> None:
        """Remove what is left of a unit on the node; raises CommandFailed while it runs."""
        self._run_script(name, unit_scripts.forget(name), f"forget {name}")

    def attach(
        self,
        name: str,
        *,
        heard: Callable[[bytes], object],
        offset: int = 0,
        limit_s: float | None = None,
        why_stop: Callable[[], str] = session.never,
    ) -> Attached:
        """Hand out a unit's output from a byte on, until the unit is over, in one session.

        The work goes on whatever becomes of the session. Never raises for a lost
        connection; what `heard` raises ends the session and is raised.
        """
        marker = session.marker()
        hearing = _OutputHearer(marker, offset, heard)
        script = unit_scripts.attach(_checked_name(name), marker, offset)
        command = ssh.root_command(
            self._paths, self._node, script, what=f"following {name} on {self._node}"
        )
        command = dataclasses.replace(command, timeout_s=limit_s)
        ending = session.listen(self._runner, command, hearing, why_stop=why_stop)
        if hearing.is_complete:
            return Attached(offset=hearing.offset, status=parse_status(hearing.status_lines))
        return Attached(
            offset=hearing.offset,
            why=hearing.why_stop() or ending.why,
            is_silent=hearing.is_silent,
            is_broken=hearing.is_broken,
        )

    def follow(
        self,
        name: str,
        *,
        heard: Callable[[bytes], object],
        offset: int = 0,
        patience_s: float = _PATIENCE_S,
        limit_s: float = math.inf,
        why_stop: Callable[[], str] = session.never,
        waiting: Callable[[str, float], object] = _say_nothing,
    ) -> Attached:
        """Attach until the unit is over, and again after each lost connection.

        Gives up, and returns an attachment that is not over: after `patience_s` without a
        connection, after `limit_s` in all, when the node has broken the protocol several times
        in a row, or as soon as `why_stop` returns a reason. `waiting` is told why, and for how
        many seconds, before each new attempt.
        """
        began_at = connected_at = time.monotonic()
        broken = 0
        while True:
            started_at = time.monotonic()
            left_s = limit_s - (started_at - began_at)
            attached = self.attach(
                name,
                heard=heard,
                offset=offset,
                limit_s=left_s if math.isfinite(left_s) else None,
                why_stop=why_stop,
            )
            if attached.is_over or why_stop():
                return attached
            now = time.monotonic()
            if _was_connected(attached, offset, now - started_at):
                connected_at = now
            # An output that was cut while it was written may break one attachment.
            broken = broken + 1 if attached.is_broken else 0
            waited_s = now - connected_at
            is_late = now - began_at >= limit_s or waited_s > patience_s
            if is_late or broken >= _MOST_BROKEN:
                return attached
            offset = attached.offset
            waiting(attached.why, waited_s)
            time.sleep(_AGAIN_S)

    def _run_script(self, name: str, script: str, what: str) -> Sequence[str]:
        """Run one of our scripts as root, and return what it wrote."""
        _checked_name(name)
        part = Part(
            tag="units",
            shell=protocol.fed("sudo -n sh -s", script.encode()),
            limit_s=_LIMIT_S,
        )
        reply = session.ask(self._runner, self._paths, self._node, [part], limit_s=_LIMIT_S)
        output = reply.answer.of(part.tag)
        if output.code == 0:
            return output.lines
        hint = f"./invoke lab.check {self._paths.name}"
        if output.code is None:
            raise NodeUnreached(
                f"{self._node} can't {what}: {printable(reply.missing(part.tag))}",
                hint=hint,
                is_passing=reply.may_pass,
            )
        why = output.text or f"exit code {output.code}"
        raise CommandFailed(f"{self._node} can't {what}: {printable(why)}", hint=hint)


def _was_connected(attached: Attached, offset: int, lasted_s: float) -> bool:
    """Return True if an attachment had a connection, however little was written meanwhile."""
    if attached.offset > offset:
        return True
    return lasted_s > _SURELY_CONNECTED_S and not attached.is_silent and not attached.is_broken


class _OutputHearer:
    """Takes the lines of an attachment; see session.Hearer. Keeps nothing but the status."""

    def __init__(self, marker: str, offset: int, heard: Callable[[bytes], object]) -> None:
        self._prefix = f"{marker} "
        self._heard = heard
        self._is_in_chunk = False
        self._why_broken = ""
        self._chatter = 0  # bytes of lines that are not output
        self.offset = offset
        self.is_complete = False
        self.status_lines: list[str] = []
        self._heard_at = time.monotonic()

    @property
    def is_silent(self) -> bool:
        """Return True if nothing has come for so long that the node must hang."""
        return not self.is_complete and time.monotonic() - self._heard_at > _SILENT_S

    @property
    def is_broken(self) -> bool:
        """Return True if the node does not keep to the protocol."""
        return bool(self._why_broken)

    def hear(self, line: str, _at: float) -> None:
        """Take one line; raises only what `heard` raises."""
        if self._why_broken or self.is_complete:
            return
        if line.startswith(self._prefix):
            # Nothing else is a sign of life: a node may chatter without end.
            self._heard_at = time.monotonic()
            word, _, rest = line.removeprefix(self._prefix).partition(" ")
            self._take_mark(word, rest)
        elif self._is_in_chunk:
            self._heard_at = time.monotonic()
            self._take_data(line)
            return
        self._chatter += len(line) + 1
        if self._chatter > _MOST_CHATTER:
            self._why_broken = "it sends without end, and it is not output"

    def _take_mark(self, word: str, rest: str) -> None:
        self._is_in_chunk = word == "chunk"
        # Each chunk says where it begins and ends, so that a lost or repeated byte is seen.
        if word in ("chunk", "at") and rest != str(self.offset):
            self._why_broken = f"its output goes on at byte {rest[:20]}, not {self.offset}"
        elif word == "status" and len(self.status_lines) < _STATUS_LINES:
            self.status_lines.append(rest[: protocol.LINE_MAX])
        elif word == "end":
            self.is_complete = True

    def _take_data(self, line: str) -> None:
        try:
            # Each line stands alone: see unit_scripts.LINE_CHARACTERS.
            data = base64.b64decode(line[:_LINE_MAX], validate=True)
        except (binascii.Error, ValueError):
            self._why_broken = "its output is not base64"
            return
        if self.offset + len(data) > MOST_BYTES:
            self._why_broken = "it sends more output than it can have kept"
            return
        self._heard(data)
        self.offset += len(data)

    def why_stop(self) -> str:
        """Return why no more is taken; "" while the node keeps to the protocol."""
        if self.is_silent:
            return f"nothing came for {_SILENT_S:.0f} s: the node hangs"
        return printable(self._why_broken)


def _checked_name(name: str) -> str:
    assert _NAME.fullmatch(name), name
    return name
