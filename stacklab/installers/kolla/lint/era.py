"""Which release of kolla-ansible a file is for: openstack_release, else names that came or went."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stacklab import releases
from stacklab.installers.kolla.lint.names import known_names
from stacklab.lint.era import Mark
from stacklab.lint.kind_era import by_marks, era_as_said
from stacklab.lint.kinds import FileKind
from stacklab.lint.scope import Era, Ground, Source
from stacklab.model.release_names import plain_name
from stacklab.model.stack import Installer

# A variable at the left margin; its value without quotes and comment.
_ASSIGNMENT = re.compile(
    r"""^(?P<name>[a-z_]\w*)\s*:[ \t]*["']?(?P<value>[^"'#\s]*)""", re.MULTILINE
)
_SECTION = re.compile(r"^\[(?P<name>[\w-]+)(?::children)?\]", re.MULTILINE)


def newest_first(_kind: FileKind) -> tuple[str, ...]:
    """Return every release whose names are known, the one to assume first."""
    names = reversed(known_names().releases)
    return tuple(dict.fromkeys((*releases.of(Installer.KOLLA), *names)))


def find(kind: FileKind, source: Source) -> Era:
    """Return the era of a globals.yml, a passwords.yml or an inventory."""
    for match in _ASSIGNMENT.finditer(source.text):
        if match["name"] == "openstack_release" and _is_release(match["value"]):
            return _named_era(kind, match["value"], _line_of(source, match))
    return by_marks(kind, _find_marks(source))


def _named_era(kind: FileKind, value: str, line: int) -> Era:
    """Return the era of a release that is named by its name, or by kolla-ansible's version."""
    name = plain_name(value)
    release = known_names().release_of_version(name)
    what = "it" if release == name else f"{name}, a version of that release"
    return era_as_said(kind, release, Ground.NAME, f"line {line} names {what}")


def _is_release(value: str) -> bool:
    """Return True for a release's name: master, train, 2025.1; a template tells none."""
    return re.fullmatch(r"[\w./-]+", value) is not None


def _find_marks(source: Source) -> Iterator[Mark]:
    """Yield variables and groups that only some releases have."""
    known = known_names()
    for pattern, names in ((_ASSIGNMENT, known.variables), (_SECTION, known.groups)):
        for match in pattern.finditer(source.text):
            having = frozenset(name for name in names if match["name"] in names[name])
            if having and len(having) < len(known.releases):
                line = _line_of(source, match)
                yield Mark(name=match["name"], line=line, releases=having)


def _line_of(source: Source, match: re.Match[str]) -> int:
    return source.text.count("\n", 0, match.start()) + 1
