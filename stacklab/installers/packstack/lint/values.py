"""Rules for what an answer file's keys are set to."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator

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
_Q1, _Q2 = "'", '"'
_MOST_PORT = 65534  # validate_port refuses 65535
_BOOL = ("y", "yes", "true", "n", "no", "false")
_YES = ("y", "yes", "true", "on", "1")
_Check = Callable[[str, Key, AnswerFile], tuple[str, str, str] | None]  # rule, effect, fix


def check(reading: AnswerFile) -> Iterator[Finding]:
    """Yield every finding of this module's rules.

    Keys of groups that are not read may hold anything.
    """
    for entry in reading.answers.general:
        key = reading.key(entry)
        if key is None or entry.joined or reading.unmet(key.group):
            continue
        if problem := _first(entry, key, reading):
            yield _BOOK.finding(problem[0], reading.file, entry.line, problem[1], problem[2])


def _first(entry: AnswerEntry, key: Key, reading: AnswerFile) -> tuple[str, str, str] | None:
    if not entry.value:
        return (
            _empty(entry, key) if entry.key == key.name else None
        )  # an empty deprecated one is passed over
    for value_check in (_percent, _quoted, _comment):
        if problem := value_check(entry, key, reading):
            return problem
    return _typed(entry, key, reading)


def _empty(entry: AnswerEntry, key: Key) -> tuple[str, str, str] | None:
    what = f" (the default, {key.default}, is for a key that is left out)" if key.default else ""
    fix = (
        "write a password of letters and digits"
        if key.is_secret
        else f"{entry.key}={key.default or 'ADDRESS'}"
    )
    if key.is_filled:
        return "packstack-empty", f"Packstack stops: {entry.key} may not be empty{what}", fix
    if key.kind == "yn" or key.name in HOSTS:
        then = "it counts as n" if key.kind == "yn" else ("that role is not given to a machine")
        return "packstack-empty", f"{entry.key} is empty, and stays so{what}: {then}", fix
    return None


def _percent(entry: AnswerEntry, key: Key, reading: AnswerFile) -> tuple[str, str, str] | None:
    if not reading.is_python2 or "%(" not in entry.value:
        return None
    effect = (
        f"Packstack {reading.release} stops: Python 2's parser takes %( for the start of another "
        f"key's name"
    )
    return "packstack-percent", effect, "write a value without %("


def _quoted(entry: AnswerEntry, key: Key, reading: AnswerFile) -> tuple[str, str, str] | None:
    value = entry.value
    if len(value) < 2 or value[0] != value[-1] or value[0] not in (_Q1, _Q2):
        return None
    if reading.is_python2 and value == _Q2 * 2:
        return None  # Python 2's parser takes it for empty
    bare = value[1:-1]
    effect = f"Packstack stops: {value} is not one of {_choices(key)}"
    if not key.words and key.kind not in ("yn", "bool"):
        effect = "the quotes become part of the value"
    return (
        "packstack-quoted",
        effect,
        "write the same without quotes" if key.is_secret else f"{entry.key}={bare}",
    )


def _comment(entry: AnswerEntry, key: Key, reading: AnswerFile) -> tuple[str, str, str] | None:
    match = _COMMENT.search(entry.value)
    if match is None:
        return None
    bare = entry.value[: match.start()].rstrip()
    effect = "the comment becomes part of the value"
    if key.words or key.kind in ("yn", "bool"):
        effect = (
            "Packstack stops: the comment is part of the value, which must be one of "
            f"{_choices(key)}"
        )
    fix = (
        "put the comment on a line of its own"
        if key.is_secret
        else f"{entry.key}={bare}, and the comment above it"
    )
    return "packstack-inline-comment", effect, fix


def _choices(key: Key) -> str:
    return ", ".join(key.words or (("y", "n") if key.kind == "yn" else _BOOL))


def _typed(entry: AnswerEntry, key: Key, reading: AnswerFile) -> tuple[str, str, str] | None:
    value = entry.value
    if key.kind == "yn" and value not in ("y", "n"):
        effect = f"Packstack stops: {entry.key} takes y or n, not {value}"
        return "packstack-yes-no", effect, f"{entry.key}={'y' if value.lower() in _YES else 'n'}"
    if key.kind == "bool" and value.lower() not in _BOOL:
        return (
            "packstack-yes-no",
            f"Packstack stops: {entry.key} takes y or n, not {value}",
            f"{entry.key}=y",
        )
    if key.kind in ("word", "words") and not reading.table.is_before(reading.release, key.same):
        return _word(entry, key)
    if key.kind in ("integer", "port", "float"):
        return _number(entry, key)
    if key.kind in ("ip", "cidr"):
        return _address(entry, key)
    return None


def _word(entry: AnswerEntry, key: Key) -> tuple[str, str, str] | None:
    given = (
        [word.strip() for word in entry.value.split(",")] if key.kind == "words" else [entry.value]
    )
    wrong = next((word for word in given if word and word not in key.words), None)
    if wrong is None:
        return None
    near = nearest(wrong, key.words)
    fix = f"write {near}" if near else f"write one of {', '.join(key.words)}"
    return "packstack-word", f"Packstack stops: {wrong} is not one of {', '.join(key.words)}", fix


def _number(entry: AnswerEntry, key: Key) -> tuple[str, str, str] | None:
    what = {"integer": "a whole number", "port": f"a port, 0 to {_MOST_PORT}"}.get(
        key.kind, "a number such as 1.5"
    )
    try:
        number = float(entry.value) if key.kind == "float" else int(entry.value)
    except ValueError:
        number = None
    if number is not None and (key.kind != "port" or 0 <= number <= _MOST_PORT):
        return None
    fix = f"{entry.key}={key.default}" if key.default else f"write {what}"
    return "packstack-number", f"Packstack stops: {entry.value} is not {what}", fix


def _address(entry: AnswerEntry, key: Key) -> tuple[str, str, str] | None:
    try:
        if key.kind == "ip":
            ipaddress.ip_address(entry.value)
        else:
            ipaddress.ip_network(entry.value, strict=False)
    except ValueError:
        if key.kind == "ip":
            return (
                "packstack-address",
                f"Packstack stops: {entry.value} is not an address",
                "write an address",
            )
        effect = (
            f"{entry.value} is not a range of addresses; Packstack takes it, and the network is "
            f"never made"
        )
        return "packstack-address", effect, f"{entry.key}={key.default or '10.3.4.0/22'}"
    return None
