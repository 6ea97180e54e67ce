"""A YAML file as Ansible reads it: values, their lines, and YAML 1.1's view of unquoted ones.

spec/source keeps the text that was written; here the interest is in what becomes of it.
Composed nodes are looked at where a rule asks, never expanded, so aliases cost nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import yaml

from stacklab.lint.book import Book
from stacklab.lint.finding import Finding
from stacklab.lint.scope import Source
from stacklab.spec import source as spec_source

DEEPEST = 20  # levels that are searched; a globals.yml has three

_STANDARD = "tag:yaml.org,2002:"
# Ansible, too, takes libyaml's parser where it is there.
_Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class YamlEntry:
    """A key of a mapping and its value."""

    key: str
    line: int
    node: yaml.Node

    @property
    def text(self) -> str:
        """Return the value as it was written; "" for none, and for lists and mappings."""
        if not isinstance(self.node, yaml.ScalarNode) or self.kind == "null":
            return ""
        written: str = self.node.value
        return written

    @property
    def kind(self) -> str:
        """Return YAML's type of the value: str, bool, int, float, null, seq, map."""
        tag: str = self.node.tag
        return tag.removeprefix(_STANDARD)

    @property
    def is_template(self) -> bool:
        """Return True if Jinja decides the value."""
        return "{{" in self.text or "{%" in self.text

    @cached_property
    def items(self) -> tuple[YamlEntry, ...]:
        """Return the entries of a mapping, in the file's order; none for anything else."""
        if not isinstance(self.node, yaml.MappingNode):
            return ()
        # A key may be a list or a mapping: Ansible has no variables of such names.
        return tuple(
            YamlEntry(key=key.value, line=key.start_mark.line + 1, node=value)
            for key, value in self.node.value
            if isinstance(key, yaml.ScalarNode)
        )

    def get(self, key: str) -> YamlEntry | None:
        """Return the entry of that name; the last one of equal keys, as YAML's constructor does."""
        for entry in reversed(self.items):
            if entry.key == key:
                return entry
        return None


def line_of(entry: YamlEntry | None) -> int:
    """Return the line of an entry; 0, which means the whole file, if it is missing."""
    return entry.line if entry is not None else 0


@dataclass(frozen=True, slots=True)
class Broken:
    """The reason why a file is not YAML, and the place."""

    line: int
    wrong: str
    right: str


@functools.lru_cache(maxsize=1)  # a file is linted by one release after another
def parse(text: str, name: str) -> YamlEntry | Broken:
    """Return the whole file as one entry without a key, or why it cannot be read."""
    try:
        root = yaml.compose(text, Loader=_Loader)
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError):
        # The spec's parser says the same in plainer words.
        problem = spec_source.parse(text, name).problems[0]
        return Broken(line=problem.line, wrong=problem.wrong, right=problem.right)
    if root is None:  # a file without a value
        root = yaml.ScalarNode(f"{_STANDARD}null", "")
    return YamlEntry(key="", line=0, node=root)


def mapping(source: Source, book: Book, rule: str, example: str) -> YamlEntry | Finding:
    """Return the file's variables, or a finding if it has none; `example` shows some."""
    root = parse(source.text, source.name)
    if isinstance(root, Broken):
        return book.finding(
            rule,
            source.name,
            root.line,
            effect=f"Ansible stops: {root.wrong}",
            fix=root.right or "mend the quotes or the indentation there",
        )
    if root.kind != "map":
        what = "is empty" if root.kind == "null" else "is not a mapping"
        return book.finding(
            rule,
            source.name,
            line=0,
            effect=f"the file {what}: Ansible stops",
            fix=f"write {example}",
        )
    return root


def doubles(root: YamlEntry, book: Book, rule: str, file: str) -> Iterator[Finding]:
    """Yield a finding for each key that is given again."""
    for entry, first_line in _repeated_keys(root, depth=0, seen=set()):
        yield book.finding(
            rule,
            file,
            entry.line,
            effect=f"{entry.key} is also in line {first_line}, which is ignored: the last one wins",
            fix=f"remove line {first_line} or line {entry.line}",
        )


def _repeated_keys(
    entry: YamlEntry, *, depth: int, seen: set[int]
) -> Iterator[tuple[YamlEntry, int]]:
    """Yield keys that are given again in one mapping, with the line of the first.

    What says the same again changes nothing.
    """
    # An alias is the same node again, and may even be inside itself.
    if depth > DEEPEST or id(entry.node) in seen:
        return
    seen.add(id(entry.node))
    firsts: dict[str, YamlEntry] = {}
    for child in entry.items:
        first = firsts.setdefault(child.key, child)
        is_same = bool(child.text) and (child.text, child.kind) == (first.text, first.kind)
        if first.line != child.line and not is_same:
            yield child, first.line
        yield from _repeated_keys(child, depth=depth + 1, seen=seen)


def changed(entry: YamlEntry) -> str:
    """Return what YAML makes of an unquoted number: 2025.1 of 2025.10; "" if it stays."""
    if entry.kind not in ("int", "float"):
        return ""
    written = entry.text.removeprefix("+")
    read = str(yaml.safe_load(entry.text))
    return "" if read == written else read
