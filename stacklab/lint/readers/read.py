"""Read a file that may be anything: a text, or one finding that says why not."""

from __future__ import annotations

import codecs
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path

from stacklab.lint.book import Book, rule
from stacklab.lint.finding import Finding, at_first_line
from stacklab.lint.scope import Source

LIMIT = 1024 * 1024  # an answer file has some hundred lines

_ENCODING = "file-encoding"
# What git writes around both sides of a conflict, and between them.
_OURS, _BETWEEN, _THEIRS = "<<<<<<< ", "=======", ">>>>>>> "
_HIGH_BYTES = re.compile(rb"[\x80-\xff]+")
RULES = (
    rule("file-unread", "a path that can't be read", "open(2)"),
    rule("file-too-big", "a file of more than 1 MiB", "answer files are not that long"),
    rule("file-empty", "a file without a single line", "bash(1), RawConfigParser, YAML"),
    rule("file-binary", "a file that is not text", "bash(1): cannot execute binary file"),
    rule("file-utf16", "a text in UTF-16", "bash(1)"),
    rule("file-conflict", "marks of a merge that nobody finished", "git-merge(1)"),
    rule(_ENCODING, "a text that is not UTF-8", "YAML 1.1; Python's open()"),
    rule("file-byte-order-mark", "a byte order mark", "bash(1)"),
)
_BOOK = Book(RULES)
_ANSWERS = ("localrc", "local.conf", "answers.txt", "globals.yml", "instances.yaml")


def read_source(path: Path) -> tuple[Source | None, tuple[Finding, ...]]:
    """Return a file's text, if it is text, and what is wrong with it as a file.

    A file that is too big is not opened.
    """
    try:
        problem = _find_problem(path, path.stat())
        if problem is not None:
            return None, (problem,)
        data = path.read_bytes()
    except OSError as error:
        unread = _BOOK.finding(
            "file-unread",
            str(path),
            line=0,
            effect=f"{error.strerror or error}",
            fix=_advise_on_access(path, error),
        )
        return None, (unread,)
    return decode_source(str(path), data)


def _find_problem(path: Path, status: os.stat_result) -> Finding | None:
    """Return why a path is not to be opened; None for a file of a reasonable size."""
    name = str(path)
    if stat.S_ISDIR(status.st_mode):
        return _find_directory(path)
    if not stat.S_ISREG(status.st_mode):  # a pipe would never end
        return _BOOK.finding(
            "file-unread",
            name,
            line=0,
            effect="this is not a regular file, so it is not read",
            fix="give the path of a file",
        )
    if status.st_size > LIMIT:
        size = f"{status.st_size / LIMIT:.1f} MiB"
        return _BOOK.finding(
            "file-too-big",
            name,
            line=0,
            effect=f"{size}, more than the 1 MiB that is read: this is not an answer file",
            fix="give the path of the answer file itself",
        )
    return None


def decode_source(name: str, data: bytes) -> tuple[Source | None, tuple[Finding, ...]]:
    """Return the text in these bytes; None, with one finding, if they are not text."""
    problem = _find_no_text(name, data)
    if problem is not None:
        return None, (problem,)
    findings: tuple[Finding, ...] = ()
    if data.startswith(codecs.BOM_UTF8):
        # The rest is text, and may break rules of its own.
        data = data.removeprefix(codecs.BOM_UTF8)
        mark = _BOOK.finding(
            "file-byte-order-mark",
            name,
            line=1,
            effect="the mark becomes part of the first line, so a header there does not "
            "count and a variable stays unset",
            fix=f"sed -i '1s/^\\xEF\\xBB\\xBF//' {name}",
        )
        findings = (mark,)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        wrong_byte = _BOOK.finding(
            _ENCODING,
            name,
            line=_line_of(data, error.start),
            effect="Python's parsers stop, and bash passes it on: a byte here is not UTF-8",
            fix=f"iconv -f {_guess_encoding(data)} -t UTF-8 {name} > {name}.new",
        )
        findings = (*findings, wrong_byte)
        text = data.decode(errors="replace")
    return Source(name=name, text=text), findings


def find_conflict(source: Source) -> Finding | None:
    """Return the finding of a conflict that git left in a text: all else would follow from it."""
    if not _has_conflict(source.lines):
        return None
    marks = [n for n, line in enumerate(source.lines, start=1) if line.startswith(_OURS)]
    findings = [
        _BOOK.finding(
            "file-conflict",
            source.name,
            line,
            effect="both sides of a merge are in the file, and git's marks around them, which are "
            "no answers: the rest is not checked",
            fix="keep one side of each, and remove the marks",
        )
        for line in marks
    ]
    return at_first_line(findings)


def _has_conflict(lines: Sequence[str]) -> bool:
    """Return True if the three marks of a conflict come in git's order."""
    is_begun = is_halved = False
    for line in lines:
        mark = line.rstrip("\r")
        if mark.startswith(_OURS):
            is_begun, is_halved = True, False
        elif is_begun and mark == _BETWEEN:
            is_halved = True
        elif is_halved and mark.startswith(_THEIRS):
            return True
    return False


def is_unreadable(findings: Sequence[Finding], *, by_bash: bool) -> bool:
    """Return True if a text's consumer stops at its encoding; bash does not."""
    return not by_bash and any(finding.rule == _ENCODING for finding in findings)


def _guess_encoding(data: bytes) -> str:
    """Return what the text is probably in: Chinese editors write pairs of bytes, others one."""
    runs = _HIGH_BYTES.findall(data)
    is_in_pairs = all(len(run) % 2 == 0 for run in runs)
    return "GB18030" if is_in_pairs else "ISO-8859-1"


def _find_no_text(name: str, data: bytes) -> Finding | None:
    """Return why bytes are no text at all; their encoding may still be a wrong one."""
    if not data.strip():
        return _BOOK.finding(
            "file-empty",
            name,
            line=0,
            effect="the installer takes all of its defaults, because the file sets nothing",
            fix="write it, or remove it",
        )
    # UTF-16 before zero bytes: most of its text has them.
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or _looks_utf16(data):
        return _BOOK.finding(
            "file-utf16",
            name,
            line=0,
            effect="bash and parsers do not find a single name, because every second byte is zero",
            fix=f"iconv -f UTF-16 -t UTF-8 {name} > {name}.new",
        )
    first_zero = data.find(b"\0")
    if first_zero >= 0:
        return _BOOK.finding(
            "file-binary",
            name,
            line=_line_of(data, first_zero),
            effect="installers cannot read the file, which holds zero bytes and is not text",
            fix="give the path of the answer file itself",
        )
    return None


def _line_of(data: bytes, position: int) -> int:
    return data[:position].count(b"\n") + 1


def _advise_on_access(path: Path, error: OSError) -> str:
    """Return what to do about a file that can't be read.

    It may hold passwords, so the advice must not open it to others.
    """
    if isinstance(error, PermissionError):
        return f"run this as the owner of the file: ls -ld {path} {path.parent}"
    parent = next((folder for folder in path.parents if folder.is_dir()), path.parent)
    return f"ls -l {parent}"


def _looks_utf16(data: bytes) -> bool:
    """Return True for UTF-16 without a mark: Latin text has a zero in every other byte."""
    head = data[:200]
    if len(head) < 4:
        return False
    even_bytes, odd_bytes = head[0::2], head[1::2]
    # Big-endian Latin text has the zeros first, little-endian has them second.
    has_zero_half = not any(even_bytes) or not any(odd_bytes)
    return has_zero_half and head.count(0) * 2 >= len(head) - 1


def _find_directory(path: Path) -> Finding:
    answer_files = [str(path / name) for name in _ANSWERS if (path / name).is_file()]
    advice = " ".join(answer_files) if answer_files else "the path of a file in it"
    return _BOOK.finding(
        "file-unread",
        str(path),
        line=0,
        effect="this is a directory, whose files are not read",
        fix=f"give {advice}",
    )
