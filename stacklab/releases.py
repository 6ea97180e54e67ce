"""The releases of each installer and what is true of each: localrc/releases.yaml, read once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from stacklab import facts
from stacklab.errors import LabError
from stacklab.model.stack import Driver, Installer
from stacklab.paths import PROJECT

TABLE = PROJECT / "localrc" / "releases.yaml"
# An installer that is not in the table brings its rows in its own folder: <word>/releases.yaml.
KITS_FOLDER = Path(__file__).with_name("installers")

Item = TypeVar("Item")

# A release that is `like` another one adds to these keys; all other keys it replaces.
_ADDED_TO = ("traits", "services", "replaced", "inert")


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
        """Return a trait that is a single text; "" where the release does not have it."""
        value = self.traits.get(trait, "")
        if not isinstance(value, str):
            raise LabError(f"{TABLE}: {self.installer} {self.name}: {trait} is not a single value")
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


def of(installer: Installer) -> Mapping[str, Release]:
    """Return an installer's releases by name, in the table's order; the first is the default."""
    rows = _table().get(installer)
    if rows is None:
        rows = _rows_of_kit(installer, KITS_FOLDER / installer / "releases.yaml")
    return rows


def find(installer: Installer, name: str) -> Release:
    """Return the release of that name; raise KeyError if the installer does not have it."""
    return of(installer)[name]


def operating_system(image: str) -> str:
    """Return the operating system of a catalogue's image: debian-12 for debian-12-cloud."""
    return image.removesuffix("-cloud")


def plain_name(name: str) -> str:
    """Return the release that a branch or tag is of: mitaka for stable/mitaka and mitaka-eol."""
    for prefix in ("stable/", "unmaintained/"):
        name = name.removeprefix(prefix)
    for suffix in ("-eol", "-eom"):
        name = name.removesuffix(suffix)
    return name


@functools.cache
def _table(path: Path = TABLE) -> Mapping[Installer, Mapping[str, Release]]:
    releases: dict[Installer, Mapping[str, Release]] = {}
    for word, rows in facts.read(path).items():
        installer = Installer(word)
        releases[installer] = _read_releases(installer, rows)
    return MappingProxyType(releases)


@functools.cache
def _rows_of_kit(installer: Installer, path: Path) -> Mapping[str, Release]:
    """Read the rows that a kit brings; none where it brings no file."""
    if not path.is_file():
        return MappingProxyType({})
    return _read_releases(installer, facts.read(path))


def _read_releases(
    installer: Installer, rows: Mapping[str, Mapping[str, object]]
) -> Mapping[str, Release]:
    merged: dict[str, dict[str, object]] = {}
    for name, row in rows.items():
        row = row or {}
        parent = str(row.get("like", ""))
        if parent and parent not in merged:
            raise LabError(
                f"{TABLE}: {installer} {name}: like {parent}, which is not above it",
                hint=f"git diff {TABLE}",
            )
        merged[str(name)] = _merge_rows(merged.get(parent, {}), row)
    releases: dict[str, Release] = {}
    for name, row in merged.items():
        # Names that begin with _ exist only for others to be `like` them.
        if not name.startswith("_"):
            releases[name] = _read_release(installer, name, row)
    return MappingProxyType(releases)


def _merge_rows(parent: Mapping[str, object], row: Mapping[str, object]) -> dict[str, object]:
    """Return a release's row completed by that of the release that it is `like`."""
    merged = {**parent, **row}
    merged.pop("like", None)
    for key in _ADDED_TO:
        inherited = _read_mapping(parent.get(key))
        own = _read_mapping(row.get(key))
        merged[key] = _without_empty({**inherited, **own})
    return merged


def _read_release(installer: Installer, name: str, row: Mapping[str, object]) -> Release:
    try:
        return Release(
            installer=installer,
            name=name,
            year=int(str(row["year"])),
            ref=str(row["ref"]),
            repository=str(row["repository"]),
            dead=int(str(row["dead"])) if row.get("dead") else None,
            grave=str(row.get("grave", "")),
            images=_read_words(row["images"]),
            file=str(row["file"]),
            network_modes=_read_words(row["network_modes"]),
            drivers=_read_words(row.get("drivers")),
            options=frozenset(_read_words(row["options"])),
            pairs=_read_words(row.get("pairs")),
            services=_read_each(row["services"], _read_words),
            replaced=_read_each(row["replaced"], str),
            inert=_read_each(row["inert"], str),
            bugs=tuple(map(_read_bug, _read_list(row.get("bugs")))),
            traits=_read_each(row["traits"], _read_trait),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise LabError(
            f"{TABLE}: {installer} {name}: {error!r}", hint=f"git diff {TABLE}"
        ) from error


def _read_bug(value: object) -> Bug:
    row = _read_mapping(value)
    return Bug(
        id=str(row["id"]),
        symptom=str(row["symptom"]),
        fix=str(row["fix"]),
        images=_read_words(row.get("images")),
        driver=Driver(str(row["driver"])) if "driver" in row else None,
        role=str(row.get("role", "all")),
        when=When(str(row.get("when", When.BEFORE))),
        commands=_read_words(row.get("commands")),
        done=str(row.get("done", "")),
        localrc=_read_words(row.get("localrc")),
    )


def _read_trait(value: object) -> str | tuple[str, ...]:
    return _read_words(value) if isinstance(value, list) else str(value)


def _read_mapping(value: object) -> dict[str, object]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is not a mapping")
    return {str(key): item for key, item in value.items()}


def _read_each(value: object, read_item: Callable[[object], Item]) -> Mapping[str, Item]:
    """Return a mapping whose values are read one by one; it can't be changed."""
    items = {key: read_item(item) for key, item in _read_mapping(value).items()}
    return MappingProxyType(items)


def _without_empty(row: dict[str, object]) -> dict[str, object]:
    """Drop the keys without a value: by an empty value a row removes what `like` brought."""
    return {key: value for key, value in row.items() if value not in ("", None, [])}


def _read_list(value: object) -> list[object]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is not a list")
    return value


def _read_words(value: object) -> tuple[str, ...]:
    """Return the items of a list, or the words of a text that is separated by blanks."""
    if isinstance(value, str):
        return tuple(value.split())
    return tuple(str(item) for item in _read_list(value))
