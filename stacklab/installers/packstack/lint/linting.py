"""Packstack's answer file: how it is told from other lists of assignments."""

from __future__ import annotations

import re
from pathlib import PurePath

from stacklab.installers.packstack.lint import era, linter
from stacklab.lint.kinds import Claim, FileKind, Linting, Sureness
from stacklab.lint.scope import Source
from stacklab.lint.shape import count_lines, is_assignments
from stacklab.lint.syntaxes import INI
from stacklab.model.stack import Installer

_ANY_NAME = re.compile(r"^[ \t]*[A-Za-z_]\w*[ \t]*=", re.MULTILINE)
_SEVERAL = 2  # lines: a single one may be anything
# Keys that begin like this are Packstack's alone.
_KEY = re.compile(r"^[ \t]*CONFIG_[A-Z0-9_]+[ \t]*=", re.MULTILINE)

ANSWERS = FileKind(
    title="answers.txt of Packstack",
    installer=Installer.PACKSTACK,
    names=frozenset({"answers.txt"}),
    lint=linter.lint,
    consumer="Packstack",
    word="packstack",
    syntax=INI,
    releases=era.newest_first,
    era=era.find,
)


def _claim(source: Source, path: PurePath) -> Claim | None:
    """Claim a file by a key in it, else by its name or its section."""
    text = source.text
    if text.startswith("#!"):
        return None  # a script that writes an answer file, or edits one
    if is_assignments(text, path):
        begins_like_ours = text.lstrip().startswith("[general]")
        if begins_like_ours or _is_mostly_keys(text):
            return Claim(kind=ANSWERS, sureness=Sureness.KEYS)
        return None
    # Without one key in it, its name or its section says less than a key of another installer.
    if "[general]" in text:
        return Claim(kind=ANSWERS, sureness=Sureness.PLACE)
    if path.name.startswith("answers") and not _is_anothers(text):
        return Claim(kind=ANSWERS, sureness=Sureness.NAME)
    return None


def _is_mostly_keys(text: str) -> bool:
    """Return True if Packstack's keys are half of the names: others call one CONFIG_..., too."""
    count = len(_KEY.findall(text))
    return count > 0 and 2 * count >= len(_ANY_NAME.findall(text))


def _is_anothers(text: str) -> bool:
    """Return True for several lines without anything like a key: others have answers, too."""
    return count_lines(text.splitlines()) >= _SEVERAL and "CONFIG_" not in text.upper()


LINTING = Linting(kinds=(ANSWERS,), rules=linter.RULES, claim=_claim)
