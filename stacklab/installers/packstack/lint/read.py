"""An answer file as one release of Packstack reads it."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from stacklab.installers.packstack.keys import Key, KeyTable
from stacklab.installers.packstack.lint.ini import AnswerEntry, ParsedAnswers
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
    answers: ParsedAnswers
    table: KeyTable
    release: str  # one of the table's
    scope: Scope

    @property
    def is_python2(self) -> bool:
        """Return True if Python 2's parser reads it."""
        return self.is_before(PYTHON3)

    def is_before(self, release: str) -> bool:
        """Return True if the file's release is older than another one."""
        return self.table.is_before(self.release, release)

    @functools.cached_property
    def keys(self) -> Mapping[str, Key]:
        """Return the release's keys, by the names that it has for them."""
        return self.table.keys_of(self.release)

    @functools.cached_property
    def _keys_by_old_name(self) -> Mapping[str, Key]:
        keys_by_old_name: dict[str, Key] = {}
        for key in self.keys.values():
            for old_name in key.was:
                # If several keys once had the name, the table's first one has it.
                keys_by_old_name.setdefault(old_name, key)
        return keys_by_old_name

    def key_of_entry(self, entry: AnswerEntry) -> Key | None:
        """Return the key of an entry, by its own or by a deprecated name."""
        return self.keys.get(entry.key) or self._keys_by_old_name.get(entry.key)

    @functools.cached_property
    def given(self) -> Mapping[str, AnswerEntry]:
        """Return what [general] holds; the last one of equal keys."""
        return {entry.key: entry for entry in self.answers.general}

    def given_value(self, name: str) -> str:
        """Return what the file itself says of exactly that key; "" if it says nothing."""
        entry = self.given.get(name)
        return entry.value if entry is not None else ""

    def deciding_entry(self, name: str) -> AnswerEntry | None:
        """Return the entry that decides a key: its own, or one by a deprecated name."""
        if name in self.given:
            return self.given[name]
        key = self.keys.get(name)
        if key is None:
            return None
        for old_name in key.was:
            entry = self.given.get(old_name)
            # Packstack passes over an empty deprecated one.
            if entry is not None and entry.value:
                return entry
        return None

    def value_of_key(self, name: str) -> str:
        """Return a key's value, or its default; "" for a key that the release lacks."""
        entry = self.deciding_entry(name)
        if entry is not None:
            return entry.value
        key = self.keys.get(name)
        return key.default if key is not None else ""

    @property
    def l2_agent(self) -> str:
        """Return the L2 agent: openvswitch, ovn or, in old releases, linuxbridge."""
        entry = self.given.get("CONFIG_NEUTRON_L2_AGENT")
        if entry is not None:
            return entry.value
        # Not by the table, whose defaults are those of the newest release.
        return "openvswitch" if self.is_before(OVN_DEFAULT) else "ovn"

    def is_read(self, key: Key) -> bool:
        """Return True if Packstack reads the key's group, or if that cannot be told."""
        return not self.why_unread(key.group)

    def why_unread(self, group: str) -> str:
        """Return why a group is not read: `CONFIG_X is n`; "" if it is, or cannot be told."""
        key_group = self.table.groups[group]
        # Before `since` the group had another condition, which the table does not hold.
        if self.is_before(key_group.since):
            return ""
        is_newest = self.release == self.table.releases[-1]
        for condition in key_group.when:
            if condition.key not in self.given and not is_newest:
                continue  # its default may have been another
            value = self.value_of_key(condition.key)
            if not condition.holds(value):
                return f"{condition.key} is {value or 'empty'}"
        return ""

    def read_entries(self) -> Iterator[tuple[AnswerEntry, Key]]:
        """Yield entries whose groups are read, with their keys; none by a deprecated name."""
        for entry in self.answers.general:
            key = self.keys.get(entry.key)
            if key is not None and self.is_read(key):
                yield entry, key

    def plain_entries(self) -> Iterator[tuple[AnswerEntry, Key]]:
        """Yield entries on one line whose groups are read, also those by deprecated names.

        A value over several lines has a finding of its own, and would have more by mistake.
        """
        for entry in self.answers.general:
            key = self.key_of_entry(entry)
            if key is not None and not entry.joined and self.is_read(key):
                yield entry, key

    def read_entry(self, name: str) -> AnswerEntry | None:
        """Return the entry of exactly that name, if its group is read."""
        entry = self.given.get(name)
        if entry is None:
            return None
        key = self.key_of_entry(entry)
        return entry if key is not None and self.is_read(key) else None


def split_list(value: str) -> list[str]:
    """Return the words between commas, without blanks around them."""
    words = [word.strip() for word in value.split(",")]
    return [word for word in words if word]


def name_first(names: list[str]) -> str:
    """Return the first name and how many follow: `CONFIG_A and 2 more`."""
    others = len(names) - 1
    return f"{names[0]} and {others} more" if others else names[0]
