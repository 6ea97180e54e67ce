"""A release of an installer, and the bugs that it is known for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from stacklab.errors import LabError
from stacklab.model.stack import Driver, Installer

_TABLE = "localrc/releases.yaml"  # where all rows are, but for those of kits of others


class When(StrEnum):
    """The moment at which the commands against a bug are run, and the user who runs them."""

    BEFORE = "before"  # before the installer, as root
    AFTER_CLONE = "after-clone"  # inside the clone of the installer's repository, as stack
    AFTER = "after"  # after the installer, as root


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """A known bug of a release and its workaround.

    `commands` are run on the nodes of `role`; `localrc` holds lines for the answer files. A bug
    with neither of them is shown to the user, who does what `fix` says.
    """

    id: str
    symptom: str
    fix: str
    images: tuple[str, ...] = ()  # with this operating system only; empty: any
    driver: Driver | None = None  # with this driver only; None: any
    role: str = "all"
    when: When = When.BEFORE
    commands: tuple[str, ...] = ()
    done: str = ""  # succeeds when the command, which is then the only one, is not needed
    localrc: tuple[str, ...] = ()

    @property
    def is_worked_around(self) -> bool:
        """Return True if answers or steps work around it without the user."""
        return bool(self.commands or self.localrc)

    def concerns(self, driver: Driver) -> bool:
        """Return True if a cloud with that driver can have the bug."""
        return self.driver in (None, driver)


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One release of one installer, with all that differs from other releases."""

    installer: Installer
    name: str
    year: int  # of the release
    ref: str  # the branch or tag in the installer's repository that still exists
    repository: str
    dead: int | None  # the year in which upstream ended its support
    grave: str  # which of its downloads no longer exist
    images: tuple[str, ...]  # operating systems it supports, as the catalogue names them
    file: str  # the name of the answer file: localrc, local.conf, answers.txt, ...
    network_modes: tuple[str, ...]  # the first is the default
    drivers: tuple[str, ...]  # of Nova; the first is the default
    options: frozenset[str]  # keys of a lab's `stack` that it understands
    # Contrail only: releases of DevStack that it worked with; the first is the default.
    pairs: tuple[str, ...]
    # The keys are "controller" or "compute", or one of them with a mode: "compute ovn".
    services: Mapping[str, tuple[str, ...]]
    replaced: Mapping[str, str]  # a service of other releases -> the one that replaces it here
    inert: Mapping[str, str]  # variables that it does not read -> the reason
    bugs: tuple[Bug, ...]
    traits: Mapping[str, str | tuple[str, ...]]  # facts that only its own renderer needs

    @property
    def is_alive(self) -> bool:
        """Return True if upstream still supports it."""
        return self.dead is None

    def text(self, trait: str) -> str:
        """Return a trait that is a single text; "" where the release does not have it.

        Raises LabError for a trait that is a list: its row in the table is wrong.
        """
        value = self.traits.get(trait, "")
        if not isinstance(value, str):
            raise LabError(
                f"{_TABLE}: {self.installer} {self.name}: {trait} is not a single value",
                hint=f"git diff {_TABLE}",
            )
        return value

    def words(self, trait: str) -> tuple[str, ...]:
        """Return a trait that is a list; empty where the release does not have it."""
        value = self.traits.get(trait, ())
        return (value,) if isinstance(value, str) else value

    def mapping(self, trait: str) -> Mapping[str, str]:
        """Return a trait that is a list of NAME=VALUE, as a mapping in the list's order."""
        values: dict[str, str] = {}
        for word in self.words(trait):
            name, value = word.split("=", 1)
            values[name] = value
        return MappingProxyType(values)
