"""Variables and inventory groups of kolla-ansible: localrc/kolla/variables.yaml, read once."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from stacklab import facts
from stacklab.paths.project import PROJECT

TABLE = PROJECT / "localrc" / "kolla" / "variables.yaml"
_FEW = 3  # releases that are listed one by one


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownNames:
    """Names by release, and those of roles, which every release may have."""

    # Oldest first; master is the last, so that the newest stable one is the last but one.
    releases: tuple[str, ...]
    first_major: int  # kolla-ansible's own version of the oldest
    variables: Mapping[str, frozenset[str]]
    groups: Mapping[str, frozenset[str]]
    late_groups: Mapping[str, frozenset[str]]  # those that a point release added
    roles: frozenset[str]
    replaced: Mapping[str, str]  # a word in a name -> the one that took its place
    forms: Mapping[str, str]  # how such a one's value is written; ... is the old one's

    @property
    def ever(self) -> frozenset[str]:
        """Return every variable of any release."""
        return frozenset().union(*self.variables.values())

    def release_of_version(self, text: str) -> str:
        """Return the release of one of kolla-ansible's own versions: 2024.1 of 18.2.0.

        Any other text is returned as it is.
        """
        if re.fullmatch(r"\d{1,3}(\.\d+){0,3}", text) is None:
            return text
        place = int(text.partition(".")[0]) - self.first_major
        versioned = self.releases[:-1]  # master has no version yet
        return versioned[place] if 0 <= place < len(versioned) else text

    def having(self, variable: str) -> tuple[str, ...]:
        """Return the releases that have a variable."""
        return tuple(release for release in self.releases if variable in self.variables[release])

    def successor(self, variable: str, release: str) -> str:
        """Return the variable of a release that took another one's place; "" if none did."""
        for word, instead in self.replaced.items():
            name = variable.replace(word, instead)
            if word in variable and name in self.variables.get(release, ()):
                return name
        return ""

    def lifetime(self, variable: str) -> str:
        """Return which releases have a variable: `train to yoga`, or their list."""
        having = self.having(variable)
        first, last = self.releases.index(having[0]), self.releases.index(having[-1])
        is_whole = last - first + 1 == len(having) > _FEW
        return f"{having[0]} to {having[-1]}" if is_whole else ", ".join(having)


@functools.cache
def known_names(path: Path = TABLE) -> KnownNames:
    """Return the table, read once."""
    data = facts.read(path)
    releases = tuple(data["releases"].split())
    variables, groups = data["variables"], data["groups"]
    return KnownNames(
        releases=releases,
        first_major=data["first_major"],
        variables=_names_by_release(variables, releases),
        groups=_names_by_release(groups, releases),
        late_groups=MappingProxyType(
            {release: frozenset(names.split()) for release, names in data["late_groups"].items()}
        ),
        roles=frozenset(variables["roles"].split()),
        replaced=MappingProxyType(data["replaced"]),
        forms=MappingProxyType(data["forms"]),
    )


def _names_by_release(
    section: Mapping[str, str | Mapping[str, str]], releases: tuple[str, ...]
) -> Mapping[str, frozenset[str]]:
    names = {release: _names_of_release(section, release, releases) for release in releases}
    return MappingProxyType(names)


def _names_of_release(
    section: Mapping[str, str | Mapping[str, str]], release: str, releases: tuple[str, ...]
) -> frozenset[str]:
    """Return the names that every release has, and those of this one."""
    names = set(str(section["all"]).split())
    some = section["some"]
    assert isinstance(some, Mapping)
    # Names that only some releases have, by these releases: "2025.2 2026.1", "train..yoga".
    for having, words in some.items():
        if release in _read_releases(having, releases):
            names.update(words.split())
    return frozenset(names)


def _read_releases(having: str, releases: tuple[str, ...]) -> tuple[str, ...]:
    """Return the releases of a list `2025.1 2025.2`, or of a range `train..yoga`."""
    first, dots, last = having.partition("..")
    if not dots:
        return tuple(having.split())
    return releases[releases.index(first) : releases.index(last) + 1]
