"""Keys that a release of Packstack reads, by its own names; answer files hold no others.

An unknown key is ignored without a word, and one that a group's condition asks for is
searched for by its present name alone. So a template says what is to be true, by the
names of the newest release that has the key, and `fit` makes it the release's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from stacklab.errors import RenderError
from stacklab.installers.packstack.keys import TABLE, table
from stacklab.model.release import Release
from stacklab.paths import PROJECT
from stacklab.words import suggest

_HEADING = "# -- "


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseKeys:
    """The keys of one release; `renamed` are those that it knows by other names, one or several."""

    release: str
    own: frozenset[str]
    renamed: Mapping[str, tuple[str, ...]]
    needed: Mapping[str, str]  # what may not be left out, with what is said where nothing else is
    ever: frozenset[str]  # those of any release

    @property
    def names(self) -> frozenset[str]:
        """Return every name that the release reads."""
        return self.own | self.needed.keys()

    def has(self, key: str) -> bool:
        """Return True if the release reads it, by whatever name."""
        return bool(self.spelled(key))

    def spelled(self, key: str) -> tuple[str, ...]:
        """Return a key's names in this release; none if it lacks the key.

        Raises RenderError for a key that no release has.
        """
        if key not in self.ever:
            raise RenderError(
                f"{key} is not a key of any Packstack",
                hint=f"git diff {TABLE.relative_to(PROJECT)}",
            )
        return self.renamed.get(key) or ((key,) if key in self.own else ())


def of(release: Release) -> ReleaseKeys:
    """Return the keys of a release, and its old names."""
    known = table()
    renamed = {new: tuple(old.split()) for new, old in release.mapping("renamed").items()}
    return ReleaseKeys(
        release=release.name,
        own=frozenset(known.keys_of(release.name)),
        renamed=MappingProxyType(renamed),
        needed=release.mapping("needed"),
        ever=frozenset(known.keys),
    )


def fit(text: str, keys: ReleaseKeys, extra: Mapping[str, str]) -> str:
    """Make a rendered file fit the release.

    Keys get the release's names; those that it lacks are left out with their comments.

    `extra` are the spec's own: they take the place of the template's, or come last.
    Raises RenderError for one that the release does not read.
    """
    wanted = {key.upper(): value for key, value in extra.items()}
    for key in wanted:
        if key not in keys.names:
            right = suggest(key, sorted(keys.names), label=f"keys of {keys.release}").partition(
                " ("
            )[0]
            raise RenderError(
                f"stack.answers: Packstack {keys.release} does not read {key}", hint=right
            )
    lines = list(_fitted(text.splitlines(), keys, wanted))
    written = {line.partition("=")[0] for line in lines}
    lines += _section("from the spec", wanted)
    needed = {
        key: value for key, value in keys.needed.items() if key not in written | wanted.keys()
    }
    lines += _section(f"what {keys.release} has no defaults of its own for", needed)
    return "".join(f"{line}\n" for line in _without_empty_sections(lines))


def _fitted(lines: list[str], keys: ReleaseKeys, wanted: dict[str, str]) -> Iterator[str]:
    comment: list[str] = []  # belongs to the key below it, and goes with it
    for line in lines:
        key, is_key, value = line.partition("=")
        if line.startswith("#") and not line.startswith(_HEADING):
            comment.append(line)
            continue
        if not is_key:
            yield from (*comment, line)
        elif names := keys.spelled(key):
            yield from comment
            yield from (f"{name}={wanted.pop(name, value)}" for name in names)
        comment = []


def _section(title: str, values: Mapping[str, str]) -> list[str]:
    if not values:
        return []
    return [
        "",
        f"{_HEADING}{title} ".ljust(80, "-"),
        *(f"{key}={value}" for key, value in values.items()),
    ]


def _without_empty_sections(lines: list[str]) -> Iterator[str]:
    """Leave out headings below which nothing is left, with the blank line before them."""
    for index, line in enumerate(lines):
        following = lines[index + 1] if index + 1 < len(lines) else ""
        after = lines[index + 2] if index + 2 < len(lines) else ""
        is_empty = line.startswith(_HEADING) and not following
        if is_empty or (not line and following.startswith(_HEADING) and not after):
            continue
        yield line
