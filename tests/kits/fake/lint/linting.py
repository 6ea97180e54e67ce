"""fake.conf: how it is told from others, and its rule."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from stacklab.lint.book import Book, rule
from stacklab.lint.finding import Finding
from stacklab.lint.kinds import Claim, FileKind, Linting, Sureness
from stacklab.lint.scope import Scope, Source
from stacklab.model.stack import Installer

RULES = (rule("fake-host", "no fake_host", "the fake's manual"),)
_BOOK = Book(RULES)


def _lint(source: Source, _scope: Scope) -> Iterator[Finding]:
    if "fake_host:" not in source.text:
        yield _BOOK.finding("fake-host", source.name, 0, "fake stops", "write fake_host: ADDRESS")


CONF = FileKind(
    title="fake.conf",
    installer=Installer.FAKE,
    names=frozenset({"fake.conf"}),
    lint=_lint,
    consumer="the fake",
    word="fake",
)


def _claim(_source: Source, path: PurePath) -> Claim | None:
    return Claim(kind=CONF, sureness=Sureness.KEYS) if path.name == "fake.conf" else None


LINTING = Linting(kinds=(CONF,), rules=RULES, claim=_claim)
