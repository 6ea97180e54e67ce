"""A YAML file as Ansible reads it: values, their lines, and YAML 1.1's view of unquoted ones.

spec/source keeps the text that was written; here the interest is in what becomes of it.
Composed nodes are looked at where a rule asks, never expanded, so aliases cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from stacklab.lint.book import Book
from stacklab.lint.finding import Finding
from stacklab.lint.scope import Source
from stacklab.spec import source as spec_source

DEEPEST = 20  # levels that are searched; a globals.yml has three

_STANDARD = "tag:yaml.org,2002:"
# Ansible, too, takes libyaml's parser where it is there.
_Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class YamlEntry:
    """A key of a mapping and its value."""

    key: str
    line: int
    node: yaml.Node

    @property
    def text(self) -> str:
        """Return the value as it was written; "" for none, and for lists and mappings."""
        return (
            self.node.value
            if isinstance(self.node, yaml.ScalarNode) and self.kind != "null"
            else ""
        )

    @property
    def kind(self) -> str:
        """Return YAML's type of the value: str, bool, int, float, null, seq, map."""
        tag: str = self.node.tag
        return tag.removeprefix(_STANDARD)

    @property
    def is_template(self) -> bool:
        """Return True if Jinja decides the value."""
        return "{{" in self.text or "{%" in self.text

    @property
    def items(self) -> tuple[YamlEntry, ...]:
        """Return the entries of a mapping; none for anything else."""
        return tuple(entries(self.node))

    def get(self, key: str) -> YamlEntry | None:
        """Return the entry of that name; the last one of equal keys, as YAML's constructor does."""
        return next((entry for entry in reversed(self.items) if entry.key == key), None)


@dataclass(frozen=True, slots=True)
class Broken:
    """The reason why a file is not YAML, and the place."""

    line: int
    wrong: str
    right: str


def parse(text: str, name: str) -> YamlEntry | Broken:
    """Return the whole file as one entry without a key, or why it cannot be read."""
    try:
        root = yaml.compose(text, Loader=_Loader)
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError):
        problem = spec_source.parse(text, name).problems[0]  # it says the same in plainer words
        return Broken(problem.line, problem.wrong, problem.right)
    return YamlEntry("", 0, root if root is not None else yaml.ScalarNode(f"{_STANDARD}null", ""))


def mapping(source: Source, book: Book, rule: str, example: str) -> YamlEntry | Finding:
    """Return the file's variables, or a finding if it has none; `example` shows some."""
    root = parse(source.text, source.name)
    if isinstance(root, Broken):
        fix = root.right or "mend the quotes or the indentation there"
        return book.finding(rule, source.name, root.line, f"Ansible stops: {root.wrong}", fix)
    if root.kind != "map":
        what = "is empty" if root.kind == "null" else "is not a mapping"
        return book.finding(
            rule, source.name, 0, f"the file {what}: Ansible stops", f"write {example}"
        )
    return root


def doubles(root: YamlEntry, book: Book, rule: str, file: str) -> Iterator[Finding]:
    """Yield a finding for each key that is given again."""
    for entry, first in twice(root):
        yield book.finding(
            rule,
            file,
            entry.line,
            f"{entry.key} is also in line {first}, which is ignored: the last one wins",
            f"remove line {first} or line {entry.line}",
        )


def entries(node: yaml.Node) -> Iterator[YamlEntry]:
    """Yield the entries of a mapping, in the file's order; keys must be text."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield YamlEntry(key.value, key.start_mark.line + 1, value)


def twice(
    entry: YamlEntry, depth: int = 0, seen: set[int] | None = None
) -> Iterator[tuple[YamlEntry, int]]:
    """Yield keys that are given again in one mapping, with the line of the first."""
    seen = set() if seen is None else seen
    if depth > DEEPEST or id(entry.node) in seen:
        return
    seen.add(id(entry.node))
    first: dict[str, int] = {}
    for child in entry.items:
        if first.setdefault(child.key, child.line) != child.line:
            yield child, first[child.key]
        yield from twice(child, depth + 1, seen)


def changed(entry: YamlEntry) -> str:
    """Return what YAML makes of an unquoted number: 2025.1 of 2025.10; "" if it stays."""
    if entry.kind not in ("int", "float"):
        return ""
    read = str(yaml.safe_load(entry.text))
    return "" if read == entry.text.removeprefix("+") else read
