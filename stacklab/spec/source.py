"""Reader of a YAML file: every value as the text that was written, with its place in the file.

PyYAML's constructor would turn a MAC into a base-60 integer, `2025.10` into 2025.1 and `on` into
True, and would silently keep the last of two equal keys. So this module walks the composed nodes
and keeps each scalar as text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeAlias

import yaml

from stacklab import files
from stacklab.errors import Problem
from stacklab.spec.mistakes import Keys, SpecMistake, quote, show

Value: TypeAlias = "str | list[Value] | dict[str, Value] | None"
_Entry: TypeAlias = tuple[yaml.ScalarNode, yaml.Node]

LARGEST = 1024 * 1024  # bytes; a lab of 64 nodes is under 10 KiB
# Keys and values; each alias counts as all that it stands for.
MOST_VALUES = 20_000  # aliases of aliases ("billion laughs") stop here
DEEPEST = 50

# How YAML's own tags begin; `!!str` is short for the one of texts.
_STANDARD = "tag:yaml.org,2002:"
# All of them are kept as text, whatever YAML takes them for; `<<` is a merge.
_SCALARS = {
    _STANDARD + kind
    for kind in ("str", "int", "float", "bool", "null", "timestamp", "value", "merge")
}
_ALIAS_IN_ITSELF = "an alias inside of what it refers to"
# Control characters, lone surrogates, and what changes the direction of text: with the latter a
# description reads otherwise than it is ("Trojan Source", CVE-2021-42574).
_UNSHOWABLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)

# What libyaml says (a pattern), and how to say it to people: what is wrong, what would be right.
_PLAIN_WORDS = (
    (r"found character '\\t'.*", "a tab where YAML wants spaces", "indent with spaces"),
    (
        r"mapping values are not allowed here",
        "a `:` where none can be",
        "quote the value, or fix the indentation",
    ),
    (
        r"could not find expected ':'",
        "a line that is not `key: value`",
        "add the `:`, or fix the indentation",
    ),
    (
        r"found duplicate anchor (.*?)[;\s]*first occurrence",
        r"the anchor \1 is defined twice",
        "rename one",
    ),
    (r"found undefined alias (.*)", r"no anchor named \1", "define it first, with &"),
    (
        r"expected a single document.*|but found another document",
        "a second document begins here",
        "one lab per file",
    ),
)


class Place(NamedTuple):
    """A position in the file, counted from 1."""

    line: int
    column: int


_START = Place(1, 1)


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML file: its values as text, their places, and the mistakes found while reading."""

    file: str
    data: Value = None
    values: Mapping[Keys, Place] = field(default_factory=dict)
    keys: Mapping[Keys, Place] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def problem(self, finding: SpecMistake) -> Problem:
        """Return the finding with its place, or with that of the nearest thing around it."""
        place = self._place_of(finding)
        return Problem(
            self.file,
            place.line,
            place.column,
            show(finding.path),
            finding.wrong,
            finding.right,
        )

    def text_at(self, path: Keys) -> str | None:
        """Return the text at a path; None for a mapping, a list, and where nothing is."""
        value = self.data
        for key in path:
            if isinstance(value, dict) and isinstance(key, str):
                value = value.get(key)
            elif isinstance(value, list) and isinstance(key, int) and key < len(value):
                value = value[key]
            else:
                return None
        return value if isinstance(value, str) else None

    def _place_of(self, finding: SpecMistake) -> Place:
        if finding.at_key and finding.path in self.keys:
            return self.keys[finding.path]
        path = finding.path
        # What is missing has no place of its own: the mapping that lacks it has one.
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, _START)


def read(path: Path, file: str) -> Document:
    """Read and parse a file; each mistake in it becomes a problem, not an exception."""
    try:
        # One more than is allowed tells that it is larger.
        raw = files.read_regular(path, most=LARGEST + 1)
    except OSError as error:
        return _unreadable(file, f"cannot be read: {error.strerror}")
    if len(raw) > LARGEST:
        return _unreadable(file, "is larger than 1 MiB", "a lab is a few KiB of YAML")
    if b"\0" in raw:
        return _unreadable(file, "is binary or UTF-16", "write YAML in UTF-8")
    try:
        text = raw.decode("utf-8-sig")  # editors on Windows begin a file with a byte-order mark
    except UnicodeDecodeError as error:
        return _unreadable(
            file,
            f"byte 0x{raw[error.start]:02x} is not UTF-8",
            "save it as UTF-8",
            Place(
                line=raw.count(b"\n", 0, error.start) + 1,
                column=error.start - raw.rfind(b"\n", 0, error.start),
            ),
        )
    return parse(text, file)


def parse(text: str, file: str) -> Document:
    """Parse YAML; each mistake in it becomes a problem, not an exception."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        return _unreadable(file, *_explain(error))
    except yaml.reader.ReaderError as error:
        return _unreadable(
            file,
            f"character U+{ord(text[error.position]):04X} is not allowed in YAML",
            "remove it",
            Place(
                line=text.count("\n", 0, error.position) + 1,
                column=error.position - text.rfind("\n", 0, error.position),
            ),
        )
    except RecursionError:
        return _unreadable(file, "is nested too deeply", "a lab needs 5 levels")
    except (ValueError, OverflowError):  # PyYAML's chr() of an escape like "\UFFFFFFFF"
        return _unreadable(
            file, "has an escape that is not a character", "see the \\U and \\x in it"
        )
    if root is None:
        return _unreadable(file, "is empty", "see labs/mini-2node.yaml for a start")
    walk = _NodeWalk(file)
    data = walk.value(root, ())
    if walk.is_stopped:
        # The last problem says why. What was found before is of a file that is only half read.
        return Document(file, problems=tuple(walk.problems[-1:]))
    return Document(
        file=file,
        data=data,
        values=walk.values,
        keys=walk.keys,
        problems=tuple(walk.problems),
    )


def _unreadable(file: str, wrong: str, right: str = "", place: Place = _START) -> Document:
    problem = Problem(file, place.line, place.column, "", wrong, right)
    return Document(file, problems=(problem,))


def _explain(error: yaml.MarkedYAMLError) -> tuple[str, str, Place]:
    """Return what is wrong, what would be right ("" if that is not known), and where."""
    place = _START
    mark = error.problem_mark or error.context_mark
    if mark:
        place = Place(line=mark.line + 1, column=mark.column + 1)
    reason = error.problem or error.context or "it is not YAML"
    for pattern, wrong, right in _PLAIN_WORDS:
        match = re.match(pattern, reason)
        if match:
            return match.expand(wrong), right, place
    # libyaml's own words, which have two halves: what it was doing, and what it met.
    if error.context and error.context != reason:
        reason = f"{error.context}, {reason}"
    return f"broken YAML: {_UNSHOWABLE.sub('?', reason)}", "", place


class _NodeWalk:
    """A walk over composed nodes that turns them into values, places and problems."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.values: dict[Keys, Place] = {}
        self.keys: dict[Keys, Place] = {}
        self.problems: list[Problem] = []
        self._ancestors: set[int] = set()  # nodes that the walk is inside of, by id
        self._count = 0
        self.is_stopped = False

    def value(self, node: yaml.Node, path: Keys) -> Value:
        """Return the node's value, or None if it is empty or was refused."""
        if self._is_too_much(node, path):
            return None
        if id(node) in self._ancestors:
            self._refuse(node, path, _ALIAS_IN_ITSELF, "write it out")
            return None
        self.values[path] = _place_of(node)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        self._ancestors.add(id(node))
        try:
            return self._collection(node, path)
        finally:
            # An alias beside it, not inside of it, may refer to the same node.
            self._ancestors.discard(id(node))

    def _collection(self, node: yaml.Node, path: Keys) -> Value:
        if isinstance(node, yaml.SequenceNode) and node.tag == _STANDARD + "seq":
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode) and node.tag == _STANDARD + "map":
            return self._mapping(node, path)
        self._refuse_tag(node, path)
        return None

    def _scalar(self, node: yaml.ScalarNode, path: Keys) -> str | None:
        if node.tag not in _SCALARS:
            self._refuse_tag(node, path)
            return None
        text: str = node.value
        if _UNSHOWABLE.search(text):
            self._refuse(node, path, "contains a character that cannot be shown", "remove it")
            return None
        if node.tag == _STANDARD + "null":
            return None
        return text

    def _mapping(self, node: yaml.MappingNode, path: Keys) -> dict[str, Value]:
        mapping: dict[str, Value] = {}
        for key, value in self._entries(node, path, frozenset()):
            # The mapping's own keys come first and win over those that `<<` merges in.
            if key.value not in mapping:
                key_path = (*path, key.value)
                self.keys[key_path] = _place_of(key)
                mapping[key.value] = self.value(value, key_path)
        return mapping

    def _entries(
        self, node: yaml.MappingNode, path: Keys, outer: frozenset[int]
    ) -> Iterator[_Entry]:
        """Yield a mapping's own entries, then those of the mappings that it merges with `<<`.

        `outer` has the ids of the mappings into which this one is being merged.
        """
        bases: list[yaml.Node] = []
        places: dict[str, Place] = {}
        for key, value in node.value:
            if self._is_too_much(key, path):
                return
            if key.tag == _STANDARD + "merge":
                bases += _merged_nodes(value)
            elif self._is_usable_key(key, path, places):
                places[key.value] = _place_of(key)
                yield key, value
        outer |= {id(node)}
        for base in bases:
            if not isinstance(base, yaml.MappingNode):
                self._refuse(base, path, "`<<` takes a mapping", "write `<<: *anchor`")
            elif id(base) in outer:
                self._refuse(base, path, _ALIAS_IN_ITSELF, "write it out")
            else:
                yield from self._entries(base, path, outer)

    def _is_usable_key(self, key: yaml.Node, path: Keys, places: Mapping[str, Place]) -> bool:
        """Return True for a plain word that is not in `places`, which has the keys before it."""
        if not isinstance(key, yaml.ScalarNode) or _UNSHOWABLE.search(key.value):
            self._refuse(key, path, "a key that is not a plain word", "write `key: value`")
            return False
        first = places.get(key.value)
        if first is not None:
            key_path = (*path, key.value)
            self._refuse(key, key_path, "is written twice", f"first in line {first.line}")
            return False
        return True

    def _is_too_much(self, node: yaml.Node, path: Keys) -> bool:
        self._count += 1
        is_over = self._count > MOST_VALUES or len(path) > DEEPEST
        if is_over and not self.is_stopped:
            # Once is enough: from here on every value is one too many.
            self.is_stopped = True
            self._refuse(node, path[:1], "aliases or nesting make this too large", "write it out")
        return self.is_stopped

    def _refuse_tag(self, node: yaml.Node, path: Keys) -> None:
        # `!!python/object` and the like: only the tags of plain YAML have a meaning in a lab.
        self._refuse(node, path, f"the tag {quote(node.tag)} has no meaning here", "remove it")

    def _refuse(self, node: yaml.Node, path: Keys, wrong: str, right: str) -> None:
        line, column = _place_of(node)
        problem = Problem(self.file, line, column, show(path), wrong, right)
        self.problems.append(problem)


def _merged_nodes(value: yaml.Node) -> list[yaml.Node]:
    """Return what `<<` merges: one mapping, or each of a list of mappings."""
    if isinstance(value, yaml.SequenceNode):
        return list(value.value)
    return [value]


def _place_of(node: yaml.Node) -> Place:
    mark = node.start_mark  # which counts from 0
    return Place(line=mark.line + 1, column=mark.column + 1)
