"""The status of a unit, and its reader: a node's account of what became of the work."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from stacklab.foreign import printable
from stacklab.nodes.protocol import is_number

_TIME = re.compile(r"\d{1,12}(\.\d{1,9})?", re.ASCII)
_SIGNAL = re.compile(r"[A-Z0-9+-]{1,12}", re.ASCII)
_GOING_DOWN = ("stopping", "offline", "unknown")  # of `systemctl is-system-running`
_FULL_KIB = 64
_ALIVE = ("active", "activating", "deactivating", "reloading")


class UnitPhase(StrEnum):
    """The phases of a unit."""

    ABSENT = "absent"  # never started, or forgotten
    RUNNING = "running"
    ENDED = "ended"
    REBOOTED = "rebooted"  # the node went down while it ran: the output shows how far it came
    LOST = "lost"  # gone without a result, and the node did not reboot


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitStatus:
    """The status of a unit as the node reports it; times are by the node's clock.

    Of work that ended either `exit_code` or `signal` is set; `reason` is systemd's word
    for why it ended (success for every exit code, signal, timeout, oom-kill...).
    """

    phase: UnitPhase
    exit_code: int | None = None
    signal: str = ""  # KILL, TERM...
    reason: str = ""
    started_at: float = 0.0
    ended_at: float | None = None
    size: int = 0  # bytes of output on the node
    left_out: int = 0  # bytes beyond `most_bytes`, which are lost
    digest: str = ""
    is_disk_full: bool = False  # of the node, now

    @property
    def is_ok(self) -> bool:
        """Return True if the work ended with exit code 0."""
        return self.phase is UnitPhase.ENDED and self.exit_code == 0


def parse_status(lines: Sequence[str]) -> UnitStatus:
    """Return a status from the lines that a node wrote; never raises, whatever they are."""
    values: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(" ")
        values.setdefault(key, value)
    # BOOT-ID TIME, see _RUN in unit_scripts.
    begun = values.get("begun", "").split()
    started_at = 0.0
    if len(begun) == 2:
        started_at = _parse_time(begun[1])
    # EXIT_CODE EXIT_STATUS SERVICE_RESULT TIME STATE-OF-THE-SYSTEM, see _OVER in unit_scripts.
    # A hostile node may write fewer words, or more: pad, and cut.
    words = [*values.get("ended", "").split()[:5], *[""] * 5]
    how, code, reason, ended_at = words[:4]
    exit_code = None
    signal = ""
    # systemd gives a number, or the name of a signal, depending on the first word.
    if how == "exited" and is_number(code):
        exit_code = int(code)
    elif how in ("killed", "dumped") and _SIGNAL.fullmatch(code):
        signal = code
    return UnitStatus(
        phase=_find_phase(values),
        exit_code=exit_code,
        signal=signal,
        reason=printable(reason),
        started_at=started_at,
        ended_at=_parse_time(ended_at) if ended_at else None,
        size=_parse_number(values.get("size", "")),
        left_out=_parse_number(values.get("left-out", "")),
        digest=printable(values.get("digest", "")),
        is_disk_full=_is_full(values.get("free", "")),
    )


def _find_phase(values: Mapping[str, str]) -> UnitPhase:
    ended = values.get("ended", "").split()
    if ended:
        # A shutdown killed the work, or something that it needed. Exit code 0 counts all the same.
        is_shutdown = ended[-1] in _GOING_DOWN and ended[:2] != ["exited", "0"]
        return UnitPhase.REBOOTED if is_shutdown else UnitPhase.ENDED
    if values.get("active") in _ALIVE:
        return UnitPhase.RUNNING
    begun = values.get("begun", "").split()
    if not begun:
        return UnitPhase.ABSENT
    is_same_boot = begun[0] == values.get("boot")
    return UnitPhase.LOST if is_same_boot else UnitPhase.REBOOTED


def _is_full(free_kib: str) -> bool:
    return is_number(free_kib) and int(free_kib) < _FULL_KIB


def _parse_time(word: str) -> float:
    return float(word) if _TIME.fullmatch(word) else 0.0


def _parse_number(word: str) -> int:
    return int(word) if is_number(word) else 0
