"""Print what a node's services have logged about a request.

Runs on the node as root, given on stdin, with nothing but Python's own library:

    python3 - --since SECONDS --until SECONDS --unit PATTERN... --file PATTERN... WORD...

Looks into systemd's journal, at the units whose names fit a pattern, and into files, for lines that
have one of the words and were written between both times (seconds since 1970, by this node's
clock). Writes a line of JSON for each, in no order:

    from     name of the unit, or path of the file
    at       when it was written; a service's own time, if the line begins with one, or else
             when the journal received it
    text     the line, without its own time

A last one has `left_out`, the number of lines beyond `--most`.
"""

from __future__ import annotations

import argparse
import datetime
import fnmatch
import itertools
import json
import math
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_TEXT_MAX = 1500  # characters of a line; a debug message may hold a whole object
_SOURCE_MAX = 200
_LINE_MAX = 3300  # characters of JSON; a longer line is cut on its way to the host
_FILE_MAX = 64 * 1024 * 1024  # bytes from the end of a file
_WORDS_MAX = 500
_FIELDS = "MESSAGE,_SYSTEMD_UNIT"
_MICROSECONDS = 1e6
# oslo.log's, in local time; Open vSwitch's and OVN's, in UTC. A word that is left out is empty.
_OWN_TIME = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)[ T](?P<time>\d\d:\d\d:\d\d[.,]\d{3,6})(?P<utc>Z\|)?\s?", re.ASCII
)
_TIME_LENGTH = len("08:30:00.000000")
_COLOR = re.compile(r"\x1b\[[0-9;]*m")


class FoundLine(NamedTuple):
    """A line of a log; `at` in seconds since 1970."""

    source: str
    at: float
    text: str


def journal_lines(words: list[str], units: list[str], since: float) -> Iterator[FoundLine]:
    """Yield the lines of these units that have one of the words."""
    pattern = "|".join(re.escape(word) for word in words)
    argv = ["journalctl", "-q", "--no-pager", "-a", "-o", "json", f"--output-fields={_FIELDS}"]
    argv += [f"--since=@{math.floor(since)}", "--case-sensitive=yes", f"--grep={pattern}"]
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=errors) as process,
    ):
        assert process.stdout is not None
        for entry in process.stdout:
            said = json.loads(entry)
            unit = str(said.get("_SYSTEMD_UNIT", ""))
            if any(fnmatch.fnmatch(unit, each) for each in units):
                at = int(said["__REALTIME_TIMESTAMP"]) / _MICROSECONDS
                yield _line(unit, _text_of(said.get("MESSAGE")), at)
        errors.seek(0)
        told = errors.read(_WORDS_MAX).decode(errors="replace").strip()
        # It ends with 1 where nothing fits.
        if process.wait() not in (0, 1) or (process.returncode == 1 and told):
            raise OSError(f"journalctl: {told or process.returncode}")


def file_lines(words: list[str], patterns: list[str]) -> Iterator[FoundLine]:
    """Yield the lines of these files that have one of the words, and a time of their own."""
    wanted = [word.encode() for word in words]
    root = Path("/")
    paths: set[Path] = set()
    for pattern in patterns:
        paths.update(root.glob(pattern.lstrip("/")))
    for path in sorted(paths):
        with path.open("rb") as stream:
            # A service's log may have grown for weeks: its end has what was just done.
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - _FILE_MAX))
            for raw in stream:
                if any(word in raw for word in wanted):
                    yield _line(str(path), raw.decode(errors="replace").rstrip("\n"), -1.0)


def _text_of(message: object) -> str:
    """Return a journal's message, which is a list of bytes if it is not plain text."""
    if isinstance(message, list):
        return bytes(message).decode(errors="replace")
    return str(message or "")


def _line(source: str, text: str, received_at: float) -> FoundLine:
    plain = _COLOR.sub("", text)
    own = _OWN_TIME.match(plain)
    if own is None:
        return FoundLine(source, received_at, plain)
    time = own["time"].replace(",", ".").ljust(_TIME_LENGTH, "0")
    # Without a zone it is this node's own.
    zone = datetime.timezone.utc if own["utc"] else None  # noqa: UP017  older Pythons
    try:
        written = datetime.datetime.fromisoformat(f"{own['date']} {time}").replace(tzinfo=zone)
        return FoundLine(source, written.timestamp(), plain[own.end() :])
    except (ValueError, OverflowError):  # it only looks like a time
        return FoundLine(source, received_at, plain)


def json_of(line: FoundLine) -> str:
    """Return a line as JSON, which is not cut on its way: of its text the beginning is kept."""
    text = line.text[:_TEXT_MAX]
    while True:
        whole = json.dumps({"from": line.source[:_SOURCE_MAX], "at": line.at, "text": text})
        if len(whole) <= _LINE_MAX or not text:
            return whole
        text = text[: len(text) * 3 // 4]


def main(argv: list[str]) -> int:
    """Do what the command line says; returns the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("words", nargs="+")
    parser.add_argument("--since", type=float, required=True)
    parser.add_argument("--until", type=float, required=True)
    parser.add_argument("--unit", action="append", default=[])
    parser.add_argument("--file", action="append", default=[])
    parser.add_argument("--most", type=int, default=3000)
    chosen = parser.parse_args(argv)
    left = chosen.most
    left_out = 0
    found = journal_lines(chosen.words, chosen.unit, chosen.since)
    try:
        for line in itertools.chain(found, file_lines(chosen.words, chosen.file)):
            if not chosen.since <= line.at <= chosen.until:
                continue
            if left == 0:
                left_out += 1
                continue
            left -= 1
            print(json_of(line))
    except (OSError, ValueError, KeyError) as error:
        print(json.dumps({"failed": str(error)[:_WORDS_MAX]}))
    print(json.dumps({"left_out": left_out}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
