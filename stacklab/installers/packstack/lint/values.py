"""Rules for what an answer file's keys are set to."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from stacklab.installers.packstack.keys import Key
from stacklab.installers.packstack.lint.ini import AnswerEntry
from stacklab.installers.packstack.lint.read import HOSTS, AnswerFile
from stacklab.lint.book import Book, rule
from stacklab.lint.finding import Finding
from stacklab.words import nearest

_VALIDATORS = "packstack@26.0.0:packstack/installer/validators.py"
RULES = (
    rule(
        "packstack-yes-no", "a switch that is neither y nor n", f"{_VALIDATORS}: validate_options"
    ),
    rule("packstack-word", "a word that the key does not take", f"{_VALIDATORS}: validate_options"),
    rule(
        "packstack-number",
        "a text that is not a number, or not a port",
        f"{_VALIDATORS}: validate_integer, validate_port",
    ),
    rule(
        "packstack-address",
        "a text that is not an address, or not a range",
        f"{_VALIDATORS}: validate_ip",
    ),
    rule("packstack-quoted", "a value in quotes", "Python: configparser keeps quotes"),
    rule(
        "packstack-inline-comment",
        "a comment behind a value",
        "Python: configparser, inline_comment_prefixes=None",
    ),
    rule("packstack-empty", "an empty value", f"{_VALIDATORS}: validate_not_empty"),
    rule("packstack-percent", "%( in a value", "Python 2: ConfigParser, interpolation"),
)
_BOOK = Book(RULES)

_COMMENT = re.compile(r"\s[#;].*", re.DOTALL)
_QUOTES = ("'", '"')
_MOST_PORT = 65534  # validate_port refuses 65535
_BOOL = ("y", "yes", "true", "n", "no", "false")
_YES = ("y", "yes", "true", "on", "1")


@dataclass(frozen=True, slots=True)
class _Answer:
    """An entry with its key, in the file as its release reads it."""

    entry: AnswerEntry
    key: Key
    reading: AnswerFile

    @property
    def value(self) -> str:
        return self.entry.value

    @property
    def choices(self) -> tuple[str, ...]:
        """Return the words that Packstack takes; none where it takes any text."""
        if self.key.words:
            return self.key.words
        return {"yn": ("y", "n"), "bool": _BOOL}.get(self.key.kind, ())


@dataclass(frozen=True, slots=True)
class _Problem:
    """A finding without its place."""

    rule: str
    effect: str
    fix: str


def check(reading: AnswerFile) -> Iterator[Finding]:
    """Yield every finding of this module's rules.

    Keys of groups that are not read may hold anything.
    """
    for entry, key in reading.plain_entries():
        problem = _find_problem(_Answer(entry, key, reading))
        if problem is not None:
            yield _BOOK.finding(
                problem.rule, reading.file, entry.line, effect=problem.effect, fix=problem.fix
            )


def _find_problem(answer: _Answer) -> _Problem | None:
    """Return the first problem of an answer: quotes are told before the word within them."""
    if not answer.value:
        return _check_empty(answer)
    for check_form in (_check_percent, _check_quotes, _check_comment):
        problem = check_form(answer)
        if problem is not None:
            return problem
    check_kind = _CHECKS_OF_KINDS.get(answer.key.kind)
    return check_kind(answer) if check_kind is not None else None


def _check_empty(answer: _Answer) -> _Problem | None:
    """Refuse an empty value, where empty is not a value like any other."""
    name, key = answer.entry.key, answer.key
    if name != key.name:
        return None  # Packstack passes over an empty deprecated key
    aside = ""
    if key.default:
        aside = f" (the default, {key.default}, is for a key that is left out)"
    if key.is_filled:
        effect = f"Packstack stops: {name} may not be empty{aside}"
    elif key.kind == "yn":
        effect = f"{name} is empty, and stays so{aside}: it counts as n"
    elif key.name in HOSTS:
        effect = f"{name} is empty, and stays so{aside}: that role is not given to a machine"
    else:
        return None  # empty is a value like any other
    fix = f"{name}={key.default or 'ADDRESS'}"
    if key.is_secret:
        fix = "write a password of letters and digits"
    return _Problem("packstack-empty", effect, fix)


def _check_percent(answer: _Answer) -> _Problem | None:
    # Python 3's Packstack reads with RawConfigParser, which leaves a % alone.
    if not answer.reading.is_python2 or "%(" not in answer.value:
        return None
    return _Problem(
        rule="packstack-percent",
        effect=(
            f"Packstack {answer.reading.release} stops: Python 2's parser takes %( for the start "
            "of another key's name"
        ),
        fix="write a value without %(",
    )


def _check_quotes(answer: _Answer) -> _Problem | None:
    """Refuse quotes around the value: the parser keeps them."""
    value = answer.value
    # One quote alone is both ends of the value, and quotes nothing.
    if len(value) < 2 or value[0] != value[-1] or value[0] not in _QUOTES:
        return None
    if answer.reading.is_python2 and value == '""':
        return None  # Python 2's parser takes it for empty
    # Where any text is right, it is taken with its quotes; a known word is not found any more.
    effect = "the quotes become part of the value"
    if answer.choices:
        effect = f"Packstack stops: {value} is not one of {', '.join(answer.choices)}"
    fix = f"{answer.entry.key}={value[1:-1]}"
    if answer.key.is_secret:  # a finding never holds a secret's value
        fix = "write the same without quotes"
    return _Problem("packstack-quoted", effect, fix)


def _check_comment(answer: _Answer) -> _Problem | None:
    """Refuse a comment behind the value: it takes a line of its own."""
    match = _COMMENT.search(answer.value)
    if match is None:
        return None
    # Like quotes: any text is taken as it is, and a known word is not found any more.
    effect = "the comment becomes part of the value"
    if answer.choices:
        effect = (
            "Packstack stops: the comment is part of the value, which must be one of "
            f"{', '.join(answer.choices)}"
        )
    bare = answer.value[: match.start()].rstrip()
    fix = f"{answer.entry.key}={bare}, and the comment above it"
    if answer.key.is_secret:
        fix = "put the comment on a line of its own"
    return _Problem("packstack-inline-comment", effect, fix)


def _check_yes_no(answer: _Answer) -> _Problem | None:
    if answer.value in ("y", "n"):
        return None
    meant = "y" if answer.value.lower() in _YES else "n"
    return _refuse_switch(answer, meant)


def _check_bool(answer: _Answer) -> _Problem | None:
    if answer.value.lower() in _BOOL:
        return None
    return _refuse_switch(answer, "y")


def _refuse_switch(answer: _Answer, meant: str) -> _Problem:
    name = answer.entry.key
    return _Problem(
        rule="packstack-yes-no",
        effect=f"Packstack stops: {name} takes y or n, not {answer.value}",
        fix=f"{name}={meant}",
    )


def _check_words(answer: _Answer) -> _Problem | None:
    """Refuse words that the key does not take."""
    key = answer.key
    if answer.reading.is_before(key.same):
        return None  # the table does not have the words of so old a release
    words = [answer.value]
    if key.kind == "words":
        words = [word.strip() for word in answer.value.split(",")]
    wrong = [word for word in words if word and word not in key.words]
    if not wrong:
        return None
    known = ", ".join(key.words)
    near = nearest(wrong[0], key.words)
    return _Problem(
        rule="packstack-word",
        effect=f"Packstack stops: {wrong[0]} is not one of {known}",
        fix=f"write {near}" if near else f"write one of {known}",
    )


def _check_integer(answer: _Answer) -> _Problem | None:
    if _parse_number(answer.value, int) is not None:
        return None
    return _refuse_number(answer, wanted="a whole number")


def _check_port(answer: _Answer) -> _Problem | None:
    port = _parse_number(answer.value, int)
    if port is not None and 0 <= port <= _MOST_PORT:
        return None
    return _refuse_number(answer, wanted=f"a port, 0 to {_MOST_PORT}")


def _check_float(answer: _Answer) -> _Problem | None:
    if _parse_number(answer.value, float) is not None:
        return None
    return _refuse_number(answer, wanted="a number such as 1.5")


def _parse_number(text: str, kind: type[int] | type[float]) -> float | None:
    # As Packstack itself does it, so that a sign, or a blank around it, is right here, too.
    try:
        return kind(text)
    except ValueError:
        return None


def _refuse_number(answer: _Answer, *, wanted: str) -> _Problem:
    default = answer.key.default
    return _Problem(
        rule="packstack-number",
        effect=f"Packstack stops: {answer.value} is not {wanted}",
        fix=f"{answer.entry.key}={default}" if default else f"write {wanted}",
    )


def _check_address(answer: _Answer) -> _Problem | None:
    try:
        ipaddress.ip_address(answer.value)
    except ValueError:
        return _Problem(
            rule="packstack-address",
            effect=f"Packstack stops: {answer.value} is not an address",
            fix="write an address",
        )
    return None


def _check_cidr(answer: _Answer) -> _Problem | None:
    """Refuse what is not a range of addresses."""
    try:
        # Not strict: 10.3.4.1/22 is taken for the range that it is in.
        ipaddress.ip_network(answer.value, strict=False)
    except ValueError:
        return _Problem(
            rule="packstack-address",
            effect=(
                f"{answer.value} is not a range of addresses; Packstack takes it, and the network "
                "is never made"
            ),
            fix=f"{answer.entry.key}={answer.key.default or '10.3.4.0/22'}",
        )
    return None


# Kinds that are missing here take any text.
_CHECKS_OF_KINDS: Mapping[str, Callable[[_Answer], _Problem | None]] = MappingProxyType(
    {
        "yn": _check_yes_no,
        "bool": _check_bool,
        "word": _check_words,
        "words": _check_words,
        "integer": _check_integer,
        "port": _check_port,
        "float": _check_float,
        "ip": _check_address,
        "cidr": _check_cidr,
    }
)
