"""The program that reads a node's logs, with a journalctl of ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from stacklab.nodes import programs

JOURNALCTL = """\
#!/usr/bin/env python3
import os, pathlib, re, sys
root = pathlib.Path(os.environ["FAKE_ROOT"])
(root / "asked").write_text("\\n".join(sys.argv[1:]))
pattern = next(word for word in sys.argv if word.startswith("--grep=")).partition("=")[2]
for line in (root / "journal").read_text().splitlines():
    if re.search(pattern, line) or '"MESSAGE": [' in line:
        print(line)
"""
WORD = "req-11111111-1111-4111-8111-111111111111"


def entry(unit: str, message: object, at: float) -> str:
    microseconds = str(round(at * 1_000_000))
    return json.dumps(
        {"_SYSTEMD_UNIT": unit, "MESSAGE": message, "__REALTIME_TIMESTAMP": microseconds}
    )


@pytest.fixture
def node(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "journalctl"
    program.write_text(JOURNALCTL)
    program.chmod(0o755)
    (tmp_path / "journal").write_text("")
    return tmp_path


def run(node: Path, *words: str, zone: str = "UTC") -> list[Mapping[str, object]]:
    limits = ("--since", "1000", "--until", "2000", "--unit", "stacklab-*.service")
    done = subprocess.run(
        [sys.executable, "-", *limits, *words],
        input=programs.source_of("trace_node").decode(),
        capture_output=True,
        text=True,
        check=True,
        env={
            **os.environ,
            "PATH": f"{node}/bin:{os.environ['PATH']}",
            "FAKE_ROOT": str(node),
            "TZ": zone,
        },
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_lines_of_our_units_in_that_time_are_told(node: Path) -> None:
    unit = "stacklab-nova-api.service"
    entries = (
        entry(unit, f"[{WORD}] yes", 1500.25),
        entry("ssh.service", f"{WORD} another unit", 1500),
        entry(unit, f"{WORD} too late", 2000.5),
        entry(unit, "no word of it", 1500),
    )
    (node / "journal").write_text("\n".join(entries))
    assert run(node, WORD) == [
        {"from": unit, "at": 1500.25, "text": f"[{WORD}] yes"},
        {"left_out": 0},
    ]
    assert "--since=@1000" in (node / "asked").read_text()


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Lima"])
def test_a_services_own_time_is_in_its_nodes_zone(node: Path, zone: str) -> None:
    local = datetime.fromtimestamp(1500.125, ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    text = f"{local} 7 INFO nova.x [{WORD}] hello"
    (node / "journal").write_text(entry("stacklab-a.service", text, 1501.5))
    line = run(node, WORD, zone=zone)[0]
    assert line["at"] == 1500.125
    assert line["text"] == f"7 INFO nova.x [{WORD}] hello"


def test_a_message_with_colours_comes_as_bytes_and_loses_them(node: Path) -> None:
    message = list(f"\x1b[01;32mINFO x [{WORD}\x1b[00m] y".encode())
    (node / "journal").write_text(entry("stacklab-a.service", message, 1500))
    assert run(node, WORD)[0]["text"] == f"INFO x [{WORD}] y"


def test_files_have_their_own_times_and_those_without_are_left(node: Path) -> None:
    log = node / "ovn" / "ovn-controller.log"
    log.parent.mkdir()
    log.write_text(
        f"1970-01-01T00:20:00.500Z|7|binding|INFO|Claiming {WORD}\n"
        f"a line without a time {WORD}\n"
        "1970-01-01T00:20:01.500Z|8|binding|INFO|another port\n"
    )
    assert run(node, "--file", f"{node}/ovn/*.log", WORD, zone="Asia/Tokyo") == [
        {"from": str(log), "at": 1200.5, "text": f"7|binding|INFO|Claiming {WORD}"},
        {"left_out": 0},
    ]


def test_what_only_looks_like_a_time_is_none(node: Path) -> None:
    text = f"2026-13-45 99:99:99.999 [{WORD}]"
    (node / "journal").write_text(entry("stacklab-a.service", text, 1500))
    assert run(node, WORD)[0] == {"from": "stacklab-a.service", "at": 1500.0, "text": text}


def test_no_line_is_longer_than_what_reaches_the_host(node: Path) -> None:
    message = f"{WORD} " + '"\u2028' * 2000
    (node / "journal").write_text(entry("stacklab-a.service", message, 1500))
    assert len(json.dumps(run(node, WORD)[0])) <= 3300


def test_a_journal_that_cannot_be_searched_is_told(node: Path) -> None:
    program = node / "bin" / "journalctl"
    program.write_text("#!/bin/sh\necho 'Compiled without pattern matching support' >&2; exit 1\n")
    assert run(node, WORD)[0] == {"failed": "journalctl: Compiled without pattern matching support"}


def test_what_is_too_much_is_counted(node: Path) -> None:
    entries = [entry("stacklab-a.service", f"{WORD} {'x' * 5000}", 1500) for _ in range(5)]
    (node / "journal").write_text("\n".join(entries))
    lines = run(node, "--most", "2", WORD)
    assert lines[-1] == {"left_out": 3}
    assert [len(str(line["text"])) for line in lines[:-1]] == [1500, 1500]
