"""Variables and inventory groups of kolla-ansible: localrc/kolla/variables.yaml, read once."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from stacklab import facts
from stacklab.model.release import Release
from stacklab.paths import PROJECT

TABLE = PROJECT / "localrc" / "kolla" / "variables.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownNames:
    """Names by release, and those of roles, which every release may have."""

    # Oldest first; master is the last, so that the newest stable one is the last but one.
    releases: tuple[str, ...]
    variables: Mapping[str, frozenset[str]]
    groups: Mapping[str, frozenset[str]]
    roles: frozenset[str]

    @property
    def ever(self) -> frozenset[str]:
        """Return every variable of any release."""
        return frozenset().union(*self.variables.values())

    def having(self, variable: str) -> tuple[str, ...]:
        """Return the releases that have a variable."""
        return tuple(release for release in self.releases if variable in self.variables[release])

    def name_of_release(self, release: Release | None) -> str:
        """Return the release by the table's name; the newest stable one if it is unknown."""
        if release is not None and release.name in self.releases:
            return release.name
        return self.releases[-2]


@functools.cache
def known_names(path: Path = TABLE) -> KnownNames:
    """Return the table, read once."""
    data = facts.read(path)
    releases = tuple(data["releases"].split())
    variables, groups = data["variables"], data["groups"]
    return KnownNames(
        releases=releases,
        variables=_names_by_release(variables, releases),
        groups=_names_by_release(groups, releases),
        roles=frozenset(variables["roles"].split()),
    )


def _names_by_release(
    section: Mapping[str, str | Mapping[str, str]], releases: tuple[str, ...]
) -> Mapping[str, frozenset[str]]:
    names = {release: _names_of_release(section, release) for release in releases}
    return MappingProxyType(names)


def _names_of_release(
    section: Mapping[str, str | Mapping[str, str]], release: str
) -> frozenset[str]:
    """Return the names that every release has, and those of this one."""
    names = set(str(section["all"]).split())
    some = section["some"]
    assert isinstance(some, Mapping)
    # Names that only a few releases have, by the list of these releases: "2025.2 2026.1".
    for having, words in some.items():
        if release in having.split():
            names.update(words.split())
    return frozenset(names)
