"""Variables and inventory groups of kolla-ansible: localrc/kolla/variables.yaml, read once."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from stacklab import facts
from stacklab.paths import PROJECT

TABLE = PROJECT / "localrc" / "kolla" / "variables.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownNames:
    """Names by release, and those of roles, which every release may have."""

    releases: tuple[str, ...]  # oldest first; master is the last
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


@functools.cache
def names(path: Path = TABLE) -> KnownNames:
    """Return the table, read once."""
    data = facts.read(path)
    releases = tuple(data["releases"].split())
    return KnownNames(
        releases=releases,
        variables=MappingProxyType(
            {release: _of(data["variables"], release) for release in releases}
        ),
        groups=MappingProxyType({release: _of(data["groups"], release) for release in releases}),
        roles=frozenset(data["variables"]["roles"].split()),
    )


def _of(section: Mapping[str, str | Mapping[str, str]], release: str) -> frozenset[str]:
    all_names = set(str(section["all"]).split())
    some = section["some"]
    assert isinstance(some, Mapping)
    for which, words in some.items():
        if release in which.split():
            all_names.update(words.split())
    return frozenset(all_names)
