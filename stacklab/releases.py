"""The releases of each installer and what is true of each: localrc/releases.yaml, read once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from stacklab import facts
from stacklab.errors import LabError
from stacklab.model.release import Bug, Release, When
from stacklab.model.stack import Driver, Installer
from stacklab.paths.project import PROJECT

TABLE = PROJECT / "localrc" / "releases.yaml"
# An installer that is not in the table brings its rows in its own folder: <word>/releases.yaml.
KITS_FOLDER = Path(__file__).with_name("installers")

Item = TypeVar("Item")

# A release that is `like` another one adds to these keys; all other keys it replaces.
_ADDED_TO = ("traits", "services", "replaced", "inert")


def of(installer: Installer) -> Mapping[str, Release]:
    """Return an installer's releases by name, in the table's order; the first is the default."""
    rows = _table().get(installer)
    if rows is None:
        rows = _rows_of_kit(installer, KITS_FOLDER / installer / "releases.yaml")
    return rows


def find(installer: Installer, name: str) -> Release:
    """Return the release of that name; raise KeyError if the installer does not have it."""
    return of(installer)[name]


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
