"""An answer file as one release of Packstack reads it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

from stacklab.installers.packstack.keys import Key, KeyTable
from stacklab.installers.packstack.lint.ini import AnswerEntry, Answers
from stacklab.lint.scope import Scope

# the first that reads with Python 3's parser; packstack@stein-eol:packstack/installer/run_setup.py
PYTHON3 = "stein"
NO_NOVA_NETWORK = "ocata"
OVN_DEFAULT = "stein"  # before, CONFIG_NEUTRON_L2_AGENT was openvswitch where nothing was said
# Where the machine that runs Packstack stands in for what is left out; other keys for hosts are
# empty by default.
HOSTS = (
    "CONFIG_CONTROLLER_HOST",
    "CONFIG_COMPUTE_HOSTS",
    "CONFIG_NETWORK_HOSTS",
    "CONFIG_AMQP_HOST",
    "CONFIG_MARIADB_HOST",
    "CONFIG_REDIS_HOST",
)
PLACEHOLDER = "juno"  # the first that replaces PW_PLACEHOLDER


@dataclass(frozen=True, kw_only=True)
class AnswerFile:
    """The answers, and what the release makes of them."""

    file: str
    answers: Answers
    table: KeyTable
    release: str  # one of the table's
    scope: Scope

    @property
    def is_python2(self) -> bool:
        """Return True if Python 2's parser reads it."""
        return self.table.is_before(self.release, PYTHON3)

    @functools.cached_property
    def keys(self) -> Mapping[str, Key]:
        """Return the release's keys, by the names that it has for them."""
        return self.table.keys_of(self.release)

    @functools.cached_property
    def _heirs(self) -> Mapping[str, Key]:
        """Return the keys that deprecated names stand for."""
        return {old: key for key in reversed(list(self.keys.values())) for old in key.was}

    def key(self, entry: AnswerEntry) -> Key | None:
        """Return the key of an entry, by its own or by a deprecated name."""
        return self.keys.get(entry.key) or self._heirs.get(entry.key)

    @functools.cached_property
    def given(self) -> Mapping[str, AnswerEntry]:
        """Return what [general] holds; the last one of equal keys."""
        return {entry.key: entry for entry in self.answers.general}

    def entry(self, name: str) -> AnswerEntry | None:
        """Return the entry that decides a key: its own, or one by a deprecated name."""
        if name in self.given:
            return self.given[name]
        key = self.keys.get(name)
        old = [self.given[alias] for alias in key.was if alias in self.given] if key else []
        return next((entry for entry in old if entry.value), None)

    def value(self, name: str) -> str:
        """Return a key's value, or its default."""
        entry = self.entry(name)
        if entry is not None:
            return entry.value
        key = self.keys.get(name)
        return key.default if key else ""

    @property
    def l2_agent(self) -> str:
        """Return the L2 agent: openvswitch, ovn or, in old releases, linuxbridge."""
        if "CONFIG_NEUTRON_L2_AGENT" in self.given:
            return self.given["CONFIG_NEUTRON_L2_AGENT"].value
        return "openvswitch" if self.table.is_before(self.release, OVN_DEFAULT) else "ovn"

    def unmet(self, group: str) -> str:
        """Return why a group is not read: `CONFIG_X is n`; "" if it is, or cannot be told."""
        key_group = self.table.groups[group]
        if self.table.is_before(self.release, key_group.since):
            return ""
        is_newest = self.release == self.table.releases[-1]
        for condition in key_group.when:
            if condition.key not in self.given and not is_newest:
                continue  # its default may have been another
            value = self.value(condition.key)
            if not condition.holds(value):
                return f"{condition.key} is {value or 'empty'}"
        return ""
