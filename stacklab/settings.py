"""What the owner of this host wants of stacklab: H/settings.yaml, which people write."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stacklab import files
from stacklab.errors import HostError
from stacklab.paths import HostPaths

_KEYS = ("cache", "labs", "overcommit", "secrets")
# More than this nobody means: it would be a typing error.
MOST_OVERCOMMIT = 10.0
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a host; the defaults are those of a host without the file."""

    # What the pristine snapshots may take, 0: none is made; None: a share of the disk.
    cache_bytes: int | None = None
    # Nodes may be given this many times the memory that is free.
    memory_overcommit: float = 1.0
    # Directories with labs, beside the project's own.
    labs: tuple[Path, ...] = ()
    # Variables, and paths of files, that a spec may take secrets from.
    secrets: tuple[str, ...] = ()


def read(host: HostPaths) -> Settings:
    """Return the settings of this host; raises HostError where they are wrong."""
    data = _read_mapping(host)
    for key in data:
        if key not in _KEYS:
            raise _wrong(host, f"unknown key {key!r} (known: {', '.join(_KEYS)})")
    return Settings(
        cache_bytes=_cache_bytes(host, data.get("cache")),
        memory_overcommit=_memory_overcommit(host, data.get("overcommit")),
        labs=_labs(host, data.get("labs")),
        secrets=_secrets(host, data.get("secrets")),
    )


def _read_mapping(host: HostPaths) -> Mapping[object, object]:
    try:
        text = files.read_regular(host.settings).decode()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise _wrong(host, f"it can't be read: {error}") from error
    # Not at the top: TAB and lab.list ask for settings, and few hosts have any.
    import yaml

    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _wrong(host, f"it can't be read: {error}") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise _wrong(host, "it has to be a mapping")
    return data


def _cache_bytes(host: HostPaths, value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, int) and value == 0:
        return 0
    # Not at the top, as TAB needs no sizes.
    from stacklab.model.lab import Size

    try:
        return Size.parse(str(value)).bytes
    except ValueError as error:
        wanted = "write for example `cache: 20GiB`, or `cache: 0` to keep no pristine snapshots"
        raise _wrong(host, f"cache: {error}", wanted) from error


def _memory_overcommit(host: HostPaths, value: object) -> float:
    if value is None:
        return 1.0
    wanted = "write for example `overcommit: {memory: 1.5}`"
    if not isinstance(value, dict) or set(value) != {"memory"}:
        raise _wrong(host, "overcommit: it has to be a mapping with the key memory alone", wanted)
    factor = value["memory"]
    is_number = isinstance(factor, int | float) and not isinstance(factor, bool)
    if not is_number or not 1 <= factor <= MOST_OVERCOMMIT:
        why = f"overcommit: memory: {factor!r} is not a number from 1 to {MOST_OVERCOMMIT:.0f}"
        raise _wrong(host, why, wanted)
    return float(factor)


def _labs(host: HostPaths, value: object) -> tuple[Path, ...]:
    """Return directories; a relative one begins where the settings are."""
    if value is None:
        return ()
    wrong = _wrong(
        host, "labs: it has to be a directory or a list of them", "write `labs: [~/my-labs]`"
    )
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list):
        raise wrong
    directories: list[Path] = []
    for word in words:
        if not isinstance(word, str) or not word:
            raise wrong
        directories.append(host.root / files.expanded(word))
    return tuple(directories)


def _secrets(host: HostPaths, value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    wanted = "write for example `secrets: [MY_ADMIN_PASSWORD, ~/secrets/admin]`"
    if not isinstance(value, list):
        raise _wrong(host, "secrets: it has to be a list", wanted)
    for place in value:
        if not _is_place_of_secret(place):
            why = f"secrets: {place!r} is neither the name of a variable nor a path"
            raise _wrong(host, why, wanted)
    return tuple(value)


def _is_place_of_secret(place: object) -> bool:
    """Return True for a path that begins at the root or at a home, and for a variable's name."""
    if not isinstance(place, str):
        return False
    return place.startswith(("/", "~/")) or _VARIABLE.fullmatch(place) is not None


def _wrong(host: HostPaths, why: str, wanted: str = "") -> HostError:
    return HostError(f"{host.settings}: {why}", hint=wanted or f"correct {host.settings}")
