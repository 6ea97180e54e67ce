"""Read a file that may be anything: a text, or one finding that says why not."""

from __future__ import annotations

import codecs
import stat
from pathlib import Path

from stacklab.lint.book import Book, rule
from stacklab.lint.finding import Finding
from stacklab.lint.scope import Source

LIMIT = 1024 * 1024  # an answer file has some hundred lines

RULES = (
    rule("file-unread", "a path that can't be read", "open(2)"),
    rule("file-too-big", "a file of more than 1 MiB", "answer files are not that long"),
    rule("file-empty", "a file without a single line", "bash(1), RawConfigParser, YAML"),
    rule("file-binary", "a file that is not text", "bash(1): cannot execute binary file"),
    rule("file-utf16", "a text in UTF-16", "bash(1)"),
    rule("file-encoding", "a text that is not UTF-8", "YAML 1.1; Python's open()"),
    rule("file-byte-order-mark", "a byte order mark", "bash(1)"),
)
_BOOK = Book(RULES)
_ANSWERS = ("localrc", "local.conf", "answers.txt", "globals.yml", "instances.yaml")


def read(path: Path) -> tuple[Source | None, tuple[Finding, ...]]:
    """Return a file's text, if it is text, and what is wrong with it as a file.

    A file that is too big is not opened.
    """
    name = str(path)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            return None, (_directory(path),)
        if not stat.S_ISREG(status.st_mode):  # a pipe would never end
            effect = "this is not a regular file, so it is not read"
            return None, (_BOOK.finding("file-unread", name, 0, effect, "give the path of a file"),)
        if status.st_size > LIMIT:
            size = f"{status.st_size / LIMIT:.1f} MiB"
            return None, (
                _BOOK.finding(
                    "file-too-big",
                    name,
                    0,
                    f"{size}, more than the 1 MiB that is read: this is not an answer file",
                    "give the path of the answer file itself",
                ),
            )
        data = path.read_bytes()
    except OSError as error:
        return None, (
            _BOOK.finding(
                "file-unread", name, 0, f"{error.strerror or error}", _reach(path, error)
            ),
        )
    return decode(name, data)


def decode(name: str, data: bytes) -> tuple[Source | None, tuple[Finding, ...]]:
    """Return the text in these bytes; None, with one finding, if they are not text."""
    if not data.strip():
        effect = "the installer takes all of its defaults, because the file sets nothing"
        return None, (_BOOK.finding("file-empty", name, 0, effect, "write it, or remove it"),)
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or _looks_utf16(data):
        return None, (
            _BOOK.finding(
                "file-utf16",
                name,
                0,
                "bash and parsers do not find a single name, because every second byte is zero",
                f"iconv -f UTF-16 -t UTF-8 {name} > {name}.new",
            ),
        )
    if b"\0" in data:
        line = data[: data.index(b"\0")].count(b"\n") + 1
        effect = "installers cannot read the file, which holds zero bytes and is not text"
        return None, (
            _BOOK.finding(
                "file-binary", name, line, effect, "give the path of the answer file itself"
            ),
        )
    findings = []
    if data.startswith(codecs.BOM_UTF8):
        data = data.removeprefix(codecs.BOM_UTF8)
        findings.append(
            _BOOK.finding(
                "file-byte-order-mark",
                name,
                1,
                "the mark becomes part of the first line, so a header there does not "
                "count and a variable stays unset",
                f"sed -i '1s/^\\xEF\\xBB\\xBF//' {name}",
            )
        )
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        return None, (
            _BOOK.finding(
                "file-encoding",
                name,
                line,
                "Python's parsers stop, and bash passes it on: a byte here is not "
                "UTF-8; the rest of the file is not checked",
                f"iconv -f ISO-8859-1 -t UTF-8 {name} > {name}.new",
            ),
        )
    return Source(name=name, text=text), tuple(findings)


def _reach(path: Path, error: OSError) -> str:
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
    return (
        len(head) >= 4
        and (not any(head[0::2]) or not any(head[1::2]))
        and head.count(0) * 2 >= len(head) - 1
    )


def _directory(path: Path) -> Finding:
    inside = [str(path / name) for name in _ANSWERS if (path / name).is_file()]
    fix = f"give {' '.join(inside) if inside else 'the path of a file in it'}"
    return _BOOK.finding(
        "file-unread", str(path), 0, "this is a directory, whose files are not read", fix
    )
