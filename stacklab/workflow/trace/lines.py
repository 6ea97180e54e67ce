"""Lines of services' logs: who wrote what, when, and for which request.

The forms are oslo.log's: `PID LEVEL LOGGER [IDS USER...] [instance: UUID] MESSAGE`, with the ids of
newer releases, `GLOBAL OWN`, or of older ones, `OWN`. A line of any other form is kept as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from stacklab.foreign import number, one_line

_UUID_FORM = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
UUID = re.compile(_UUID_FORM, re.ASCII)
_ID = re.compile(f"req-{_UUID_FORM}", re.ASCII)
_OSLO = re.compile(
    r"(?:\d{1,9} )?(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL|TRACE|AUDIT) "
    r"(?P<logger>[\w.]{1,200}) (?:\[(?P<ids>[^\]]{0,500})\] )?"
    r"(?:\[instance: (?P<instance>" + _UUID_FORM + r")\] )?(?P<message>.*)",
    re.ASCII | re.DOTALL,
)
# Open vSwitch's and OVN's, behind their time: `00042|binding|INFO|Claiming lport ...`.
_VSWITCH = re.compile(r"\d{1,9}\|(?P<logger>[\w()]{1,80})\|(?P<level>\w{1,10})\|(?P<message>.*)")
_LEVELS = {"WARN": "WARNING", "ERR": "ERROR", "DBG": "DEBUG"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """A line of a service's log; all words of the node's are printable."""

    at: float  # seconds since 1970, by this host's clock
    node: str
    service: str  # nova-compute, ovn-controller
    level: str = ""  # "": of a line that has none
    logger: str = ""
    own_id: str = ""  # the request's id in this service; "" for none
    global_id: str = ""  # the id that the request came with, or ""
    instance: str = ""
    message: str


def is_request_id(text: str) -> bool:
    """Return True for a request's id as OpenStack writes it: req-UUID."""
    return _ID.fullmatch(text) is not None


def is_uuid(text: str) -> bool:
    """Return True for a UUID as OpenStack writes it."""
    return UUID.fullmatch(text) is not None


def read_line(said: Mapping[str, Any], node: str, *, prefix: str, ahead_s: float) -> LogLine | None:
    """Return a line as `drivers/trace_node.py` wrote it; None for what has not its form.

    `prefix` begins the names of the cloud's units, `ahead_s` is how far the node's clock is ahead.
    """
    source, at, text = said.get("from"), said.get("at"), said.get("text")
    if not isinstance(source, str) or not isinstance(text, str) or type(at) is not float:
        return None
    if number(at) != at:
        return None  # no time at which a line was written
    service = _service_of(source, prefix)
    fields = {**_read_text(text), "service": service}
    shown = {name: one_line(value) for name, value in fields.items()}
    return LogLine(at=at - ahead_s, node=node, **shown)


def _service_of(source: str, prefix: str) -> str:
    """Return a service's name, from its unit's or its log file's."""
    name = PurePosixPath(source).name
    for ending in (".service", ".log"):
        name = name.removesuffix(ending)
    return name.removeprefix(prefix)


def _read_text(text: str) -> dict[str, str]:
    found = _OSLO.fullmatch(text)
    if found is None:
        found = _VSWITCH.fullmatch(text)
        if found is None:
            return {"message": text}
        level = _LEVELS.get(found["level"], found["level"])
        return {"level": level, "logger": found["logger"], "message": found["message"]}
    ids = _ID.findall(found["ids"] or "")
    return {
        "level": found["level"],
        "logger": found["logger"],
        "own_id": ids[-1] if ids else "",
        "global_id": ids[0] if len(ids) > 1 else "",
        "instance": found["instance"] or "",
        "message": found["message"],
    }


def line_text(line: LogLine) -> str:
    """Return a line as a log file has it: time in UTC, who, and what."""
    when = datetime.fromtimestamp(line.at, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    ids = " ".join(word for word in (line.global_id, line.own_id) if word)
    return f"{when} {line.node} {line.service} {line.level or '-'} [{ids}] {line.message}"
