"""Which releases each installer has, and what is true of each: localrc/releases.yaml, read once."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from stacklab import facts
from stacklab.errors import LabError
from stacklab.model.stack import Driver, Installer
from stacklab.paths import PROJECT

TABLE = PROJECT / "localrc" / "releases.yaml"
# An installer that is not in the table brings its rows in its own folder: <word>/releases.yaml.
KITS_FOLDER = Path(__file__).with_name("installers")


class When(StrEnum):
    """At which moment a bug's commands are run, and as whom."""

    BEFORE = "before"  # the installer, as root
    AFTER_CLONE = "after-clone"  # of the installer's repository, within it, as stack
    AFTER = "after"  # the installer, as root


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """A known bug of a release, and the way around it.

    `commands` are run on the nodes of `role`; `localrc` are lines for the answer
    files; with neither, `fix` is for people.
    """

    id: str
    symptom: str
    fix: str
    images: tuple[str, ...] = ()  # operating systems it shows itself on; none: all
    driver: Driver | None = None  # with which it shows itself; None: any
    role: str = "all"
    when: When = When.BEFORE
    commands: tuple[str, ...] = ()
    done: str = ""  # succeeds where the command, then the only one, has nothing left to do
    localrc: tuple[str, ...] = ()

    @property
    def is_worked_around(self) -> bool:
        """Whether answers and steps see to it, so that nobody has to."""
        return bool(self.commands or self.localrc)

    def concerns(self, driver: Driver) -> bool:
        """Whether a cloud with that driver can meet it."""
        return self.driver in (None, driver)


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One release of one installer: everything that differs from the next one."""

    installer: Installer
    name: str
    year: int  # in which it came out
    ref: str  # the branch or tag of the installer's repository that exists today
    repository: str
    dead: int | None  # the year in which upstream ended it
    grave: str  # what is gone of it
    images: tuple[str, ...]  # operating systems it supports, in the catalogue's words: ubuntu-24.04
    file: str  # what the answers are written to: localrc, local.conf, answers.txt, ...
    network_modes: tuple[str, ...]  # the first is the default
    drivers: tuple[str, ...]  # of nova; the first is the default
    options: frozenset[str]  # keys of a lab's `stack` that it understands
    pairs: tuple[
        str, ...
    ]  # releases of DevStack that it worked with (contrail only); the first is the default
    services: Mapping[
        str, tuple[str, ...]
    ]  # "controller", "compute", or with a mode: "compute ovn"
    replaced: Mapping[str, str]  # a service's name elsewhere -> the one that does its work here
    inert: Mapping[str, str]  # variables that it does not read, each with why
    bugs: tuple[Bug, ...]
    traits: Mapping[str, str | tuple[str, ...]]  # what only its own renderer asks for

    @property
    def is_alive(self) -> bool:
        """Whether upstream still keeps it."""
        return self.dead is None

    def text(self, trait: str) -> str:
        """A trait that is one word; "" where the release has none."""
        found = self.traits.get(trait, "")
        if not isinstance(found, str):
            raise LabError(f"{TABLE}: {self.installer} {self.name}: {trait} is no single value")
        return found

    def words(self, trait: str) -> tuple[str, ...]:
        """A trait that is a list; empty where the release has none."""
        found = self.traits.get(trait, ())
        return (found,) if isinstance(found, str) else found

    def mapping(self, trait: str) -> Mapping[str, str]:
        """A trait that is a list of NAME=VALUE, in its order; empty where the release has none."""
        return MappingProxyType(dict(word.split("=", 1) for word in self.words(trait)))


def of(installer: Installer) -> Mapping[str, Release]:
    """Every release of an installer by name, in the table's order; the first is the default."""
    rows = _table().get(installer)
    if rows is None:
        rows = _rows_of_kit(installer, KITS_FOLDER / installer / "releases.yaml")
    return rows


def find(installer: Installer, name: str) -> Release:
    """The release of that name; raises KeyError."""
    return of(installer)[name]


def operating_system(image: str) -> str:
    """What a catalogue's image is an image of, in the table's words: debian-12-cloud is debian-12."""
    return image.removesuffix("-cloud")


def plain_name(name: str) -> str:
    """A release's name out of a branch's or a tag's: stable/mitaka and mitaka-eol are mitaka."""
    for prefix in ("stable/", "unmaintained/"):
        name = name.removeprefix(prefix)
    for suffix in ("-eol", "-eom"):
        name = name.removesuffix(suffix)
    return name


@functools.cache
def _table(path: Path = TABLE) -> Mapping[Installer, Mapping[str, Release]]:
    data = facts.read(path)
    return MappingProxyType(
        {Installer(word): _releases(Installer(word), rows) for word, rows in data.items()}
    )


@functools.cache
def _rows_of_kit(installer: Installer, path: Path) -> Mapping[str, Release]:
    """Read the rows that a kit brings; none where it brings no file."""
    return _releases(installer, facts.read(path)) if path.is_file() else MappingProxyType({})


def _releases(
    installer: Installer, rows: Mapping[str, Mapping[str, object]]
) -> Mapping[str, Release]:
    whole: dict[str, dict[str, object]] = {}
    for name, row in rows.items():
        row = row or {}
        like = str(row.get("like", ""))
        if like and like not in whole:
            raise LabError(
                f"{TABLE}: {installer} {name}: like {like}, which is not above it",
                hint=f"git diff {TABLE}",
            )
        base = whole.get(like, {})
        merged = {**base, **{key: value for key, value in row.items() if key != "like"}}
        for key in (
            "traits",
            "services",
            "replaced",
            "inert",
        ):  # these are added to, the others replaced
            merged[key] = _without_empty({**_mapping(base.get(key)), **_mapping(row.get(key))})
        whole[str(name)] = merged
    return MappingProxyType(
        {
            name: _release(installer, name, row)
            for name, row in whole.items()
            if not name.startswith("_")
        }
    )


def _release(installer: Installer, name: str, row: Mapping[str, object]) -> Release:
    try:
        return Release(
            installer=installer,
            name=name,
            year=int(str(row["year"])),
            ref=str(row["ref"]),
            repository=str(row["repository"]),
            dead=int(str(row["dead"])) if row.get("dead") else None,
            grave=str(row.get("grave", "")),
            images=_words(row["images"]),
            file=str(row["file"]),
            network_modes=_words(row["network_modes"]),
            drivers=_words(row.get("drivers")),
            options=frozenset(_words(row["options"])),
            pairs=_words(row.get("pairs")),
            services=MappingProxyType({k: _words(v) for k, v in _mapping(row["services"]).items()}),
            replaced=MappingProxyType({k: str(v) for k, v in _mapping(row["replaced"]).items()}),
            inert=MappingProxyType({k: str(v) for k, v in _mapping(row["inert"]).items()}),
            bugs=tuple(_bug(each) for each in _items(row.get("bugs"))),
            traits=MappingProxyType(
                {
                    k: _words(v) if isinstance(v, list) else str(v)
                    for k, v in _mapping(row["traits"]).items()
                }
            ),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise LabError(
            f"{TABLE}: {installer} {name}: {error!r}", hint=f"git diff {TABLE}"
        ) from error


def _bug(row: object) -> Bug:
    found = _mapping(row)
    lists = {key: _words(found[key]) for key in ("images", "commands", "localrc") if key in found}
    return Bug(
        id=str(found["id"]),
        symptom=str(found["symptom"]),
        fix=str(found["fix"]),
        role=str(found.get("role", "all")),
        driver=Driver(str(found["driver"])) if "driver" in found else None,
        when=When(str(found.get("when", When.BEFORE))),
        done=str(found.get("done", "")),
        **lists,
    )


def _mapping(value: object) -> dict[str, object]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is no mapping")
    return {str(key): item for key, item in value.items()}


def _without_empty(found: dict[str, object]) -> dict[str, object]:
    """What is left where an empty value takes away what `like` brought."""
    return {key: value for key, value in found.items() if value not in ("", None, [])}


def _items(value: object) -> list[object]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return value


def _words(value: object) -> tuple[str, ...]:
    """A list of words, or one text of blank-separated ones."""
    return (
        tuple(value.split())
        if isinstance(value, str)
        else tuple(str(item) for item in _items(value))
    )
