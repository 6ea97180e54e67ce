"""An answer file as one release of Packstack reads it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass

from stacklab.lint.ini import Answers, Entry
from stacklab.lint.packstack_keys import OVN_DEFAULT, PYTHON3, Key, Table
from stacklab.lint.scope import Scope


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The answers, and what the release makes of them."""

    file: str
    answers: Answers
    table: Table
    release: str  # one of the table's
    scope: Scope

    @property
    def is_python2(self) -> bool:
        """Whether Python 2's parser reads it."""
        return self.table.is_before(self.release, PYTHON3)

    @functools.cached_property
    def keys(self) -> Mapping[str, Key]:
        """The release's keys, by the names that its package has where the table of releases says so."""
        keys = dict(self.table.keys_of(self.release))
        release = self.scope.release
        for name, old in release.mapping("renamed").items() if release else ():
            if key := keys.pop(name, None):
                keys.update({each: dataclasses.replace(key, name=each, was=()) for each in old.split()})
        for name in release.words("lacks") if release else ():
            keys.pop(name, None)
        return keys

    @functools.cached_property
    def given(self) -> Mapping[str, Entry]:
        """What [general] holds; the last one of equal keys."""
        return {entry.key: entry for entry in self.answers.general}

    def entry(self, name: str) -> Entry | None:
        """The entry that decides a key: its own, or one by a deprecated name."""
        if name in self.given:
            return self.given[name]
        key = self.keys.get(name)
        old = [self.given[alias] for alias in key.was if alias in self.given] if key else []
        return next((entry for entry in old if entry.value), None)

    def value(self, name: str) -> str:
        """What a key is, with its default."""
        entry = self.entry(name)
        if entry is not None:
            return entry.value
        key = self.keys.get(name)
        return key.default if key else ""

    @property
    def l2_agent(self) -> str:
        """What carries the tenants' networks: openvswitch, ovn or, in old releases, linuxbridge."""
        if "CONFIG_NEUTRON_L2_AGENT" in self.given:
            return self.given["CONFIG_NEUTRON_L2_AGENT"].value
        return "openvswitch" if self.table.is_before(self.release, OVN_DEFAULT) else "ovn"

    def unmet(self, group: str) -> str:
        """Why a group is not read: `CONFIG_X is n`; "" if it is, or nobody knows."""
        found = self.table.groups[group]
        if self.table.is_before(self.release, found.since):
            return ""
        is_newest = self.release == self.table.releases[-1]
        for condition in found.when:
            if condition.key not in self.given and not is_newest:
                continue  # its default may have been another
            value = self.value(condition.key)
            if not condition.holds(value):
                return f"{condition.key} is {value or 'empty'}"
        return ""
