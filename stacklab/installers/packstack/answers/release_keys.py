"""Keys that a release of Packstack reads, by its own names; answer files hold no others.

An unknown key is ignored without a word, and one that a group's condition asks for is
searched for by its present name alone. So a template says what is to be true, by the
names of the newest release that has the key, and `fit_to_release` makes it the release's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from stacklab.errors import RenderError
from stacklab.installers.packstack.keys import TABLE, key_table
from stacklab.model.release import Release
from stacklab.paths.project import PROJECT
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
        other_names = self.renamed.get(key)
        if other_names:
            return other_names
        return (key,) if key in self.own else ()


def keys_of_release(release: Release) -> ReleaseKeys:
    """Return the keys of a release, and its old names."""
    known = key_table()
    renamed = {}
    for new_name, old_names in release.mapping("renamed").items():
        renamed[new_name] = tuple(old_names.split())
    return ReleaseKeys(
        release=release.name,
        own=frozenset(known.keys_of(release.name)),
        renamed=MappingProxyType(renamed),
        needed=release.mapping("needed"),
        ever=frozenset(known.keys),
    )


def fit_to_release(text: str, keys: ReleaseKeys, extra: Mapping[str, str]) -> str:
    """Make a rendered file fit the release.

    Keys get the release's names; those that it lacks are left out with their comments.

    `extra` are the spec's own: they take the place of the template's, or come last.
    Raises RenderError for one that the release does not read.
    """
    wanted = {key.upper(): value for key, value in extra.items()}
    for key in wanted:
        _check_is_read(key, keys)
    # Takes from `wanted` what it puts in the place of the template's.
    lines = list(_fit_lines(text.splitlines(), keys, wanted))
    written = {line.partition("=")[0] for line in lines}
    lines += _write_section("from the spec", wanted)
    present = written | wanted.keys()
    needed = {key: value for key, value in keys.needed.items() if key not in present}
    lines += _write_section(f"what {keys.release} has no defaults of its own for", needed)
    kept_lines = _without_empty_sections(lines)
    return "".join(f"{line}\n" for line in kept_lines)


def _check_is_read(key: str, keys: ReleaseKeys) -> None:
    """Raise RenderError for a key that the release would ignore."""
    if key in keys.names:
        return
    raise RenderError(
        f"stack.answers: Packstack {keys.release} does not read {key}",
        hint=suggest(key, sorted(keys.names), label=f"keys of {keys.release}"),
    )


def _fit_lines(lines: list[str], keys: ReleaseKeys, wanted: dict[str, str]) -> Iterator[str]:
    """Yield the template's lines by the release's names; pops from `wanted` what they hold."""
    comment: list[str] = []  # belongs to the key below it, and goes with it
    for line in lines:
        if line.startswith("#") and not line.startswith(_HEADING):
            comment.append(line)
            continue
        key, is_key, value = line.partition("=")
        names = keys.spelled(key) if is_key else ()
        # A blank line or a heading stays; a key that the release lacks does not.
        if names or not is_key:
            yield from comment
        if not is_key:
            yield line
        for name in names:
            yield f"{name}={wanted.pop(name, value)}"
        comment = []


def _write_section(title: str, values: Mapping[str, str]) -> list[str]:
    """Return the lines of a section; none where there are no keys."""
    if not values:
        return []
    heading = f"{_HEADING}{title} ".ljust(80, "-")
    return ["", heading, *(f"{key}={value}" for key, value in values.items())]


def _without_empty_sections(lines: list[str]) -> Iterator[str]:
    """Leave out headings below which nothing is left, with the blank line before them."""
    padded = [*lines, "", ""]  # so that the last line, too, has two that follow
    for index, line in enumerate(lines):
        following, after = padded[index + 1], padded[index + 2]
        is_empty_heading = line.startswith(_HEADING) and not following
        is_before_one = not line and following.startswith(_HEADING) and not after
        if not is_empty_heading and not is_before_one:
            yield line
