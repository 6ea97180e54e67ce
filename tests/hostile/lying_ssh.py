#!/usr/bin/env python3
"""A node that lies, in the place of `ssh`: it speaks the protocols that our scripts ask for.

    ssh -F CONFIG -T -- NODE COMMAND

`$LIE` is the name of a file of JSON, read at each call:

    mode     how it answers: a key of MODES
    text     what stands where a node's own words stand
    node     the node that lies; all others are honest and have nothing to say
"""

from __future__ import annotations

import base64
import json
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

_CALL = re.compile(r"^tagged (\S+) (part\d+)", re.MULTILINE)
_PIECE = 1 << 16
# As much as this host has to stand: more than any limit of ours, and not more than a disk holds.
_MUCH = 192 * 1024 * 1024


def write(data: bytes) -> None:
    sys.stdout.buffer.write(data)


def write_line(text: str) -> None:
    write(text.encode("utf-8", "surrogateescape") + b"\n")


def write_much(piece: bytes) -> None:
    """Write more than anybody wants, until nobody reads any more."""
    for _ in range(_MUCH // len(piece)):
        write(piece)


class Order:
    """What we were asked: the words behind the node, and the script on stdin."""

    def __init__(self) -> None:
        words = sys.argv[1:]
        rest = words[words.index("--") + 1 :] if "--" in words else ["", ""]
        self.node, self.command = rest[0], " ".join(rest[1:])
        takes_script = self.command.endswith("sh -s") or "exec sh -s" in self.command
        self.script = sys.stdin.read() if takes_script else ""
        mark = re.search(r"^m=(\S+)$", self.script, re.MULTILINE)
        self.mark = mark[1].strip("'") if mark else ""
        self.tags = [tag for tag, _part in _CALL.findall(self.script)]

    @property
    def is_session(self) -> bool:
        return "session </dev/null" in self.script

    @property
    def is_logs(self) -> bool:
        return "collect </dev/null" in self.script


def answer(order: Order, text: str) -> None:
    """Answer every part with these words and the exit code 1; also in logs, and to a command."""
    if order.is_session:
        write_line(f"{order.mark} begin")
        for tag in order.tags:
            for line in text.split("\n"):
                write_line(f"{order.mark} {tag} {line}")
            write_line(f"{order.mark} {tag} = 1")
        write_line(f"{order.mark} end")
    elif order.is_logs:
        name = text.replace("\n", " ")
        write_line(f"{order.mark} hello")
        for path in ("journal.txt", f"files/var/log/{name}"):
            write_line(f"{order.mark} begin {path}\n{text}\n{order.mark} end {path}")
        # No end: why it is missing is told, in the words of stderr.
    else:
        write_line(text)
    sys.stdout.flush()
    sys.stderr.buffer.write(text.encode("utf-8", "surrogateescape") + b"\n")
    sys.stderr.flush()


def talk(order: Order, text: str) -> None:
    answer(order, text)
    sys.exit(1)


def refuse(_order: Order, text: str) -> None:
    sys.stderr.buffer.write(text.encode("utf-8", "surrogateescape") + b"\n")
    sys.exit(255)


def endless_line(order: Order, _text: str) -> None:
    head = f"{order.mark} {order.tags[0]} " if order.tags else ""
    write(head.encode())
    write_much(b"A" * _PIECE)


def endless_lines(order: Order, _text: str) -> None:
    head = f"{order.mark} {order.tags[0]} ".encode() if order.tags else b""
    write(f"{order.mark} begin {'journal.txt' if order.is_logs else ''}\n".encode())
    write_much((head + b"\xc4\xa4" * 900 + b"\n") * 40)


def short_lines(order: Order, _text: str) -> None:
    head = f"{order.mark} {order.tags[0]} ".encode() if order.tags else b""
    write(f"{order.mark} begin {'journal.txt' if order.is_logs else ''}\n".encode())
    write_much((head + "Ĥ\n".encode()) * 4000)


def endless_tags(order: Order, _text: str) -> None:
    write_line(f"{order.mark} begin")
    for number in range(4_000_000):
        word = f"begin files/{number}" if order.is_logs else f"t{number} {number}"
        write_line(f"{order.mark} {word}")


def endless_stderr(order: Order, _text: str) -> None:
    for _ in range(_MUCH // _PIECE):
        sys.stderr.buffer.write(b"E" * _PIECE)
    sys.exit(255)


def silent(_order: Order, _text: str) -> None:
    time.sleep(600)


def files(order: Order, text: str) -> None:
    """Send a base64 file in answer to every part, as answers.diff asks for it."""
    write_line(f"{order.mark} begin")
    data = base64.b64encode(text.encode("utf-8", "surrogateescape")).decode()
    for tag in order.tags:
        for start in range(0, len(data), 3000):
            write_line(f"{order.mark} {tag} {data[start : start + 3000]}")
        write_line(f"{order.mark} {tag} = 0")
    write_line(f"{order.mark} end")


MODES: dict[str, Callable[[Order, str], None]] = {
    "talk": talk,
    "refuse": refuse,
    "endless-line": endless_line,
    "endless-lines": endless_lines,
    "short-lines": short_lines,
    "endless-tags": endless_tags,
    "endless-stderr": endless_stderr,
    "silent": silent,
    "files": files,
}


def main() -> None:
    lie = json.loads(Path(os.environ["LIE"]).read_text())
    order = Order()
    if lie["node"] not in ("", order.node):
        answer(order, "")
        return
    try:
        MODES[lie["mode"]](order, lie["text"])
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whoever asked has had enough


if __name__ == "__main__":
    main()
