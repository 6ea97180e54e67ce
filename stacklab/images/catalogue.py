"""The catalogue of images as data: packer/catalogue.yaml, read and checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import yaml

from stacklab.errors import ImageError
from stacklab.model.lab import NetworkStyle, Size
from stacklab.paths import CATALOGUE

DISK = Size.parse("48GiB")  # the seed's author ran out at less than 40; thin, so it costs nothing

_DIGEST = re.compile(r"(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})")
# part of file names: no `_`, which ends it there
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")
_COMMON = {"description", "source", "network", "cpu"}
_KEYS = {
    "bootstrap": _COMMON | {"suite", "packages"},
    "cloud": _COMMON | {"url", "digest"},
    "installer": _COMMON | {"url", "digest", "answers", "boot_command"},
}


class SourceKind(StrEnum):
    """Where an image's first bytes come from."""

    BOOTSTRAP = "bootstrap"
    CLOUD = "cloud"
    INSTALLER = "installer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One entry of the catalogue; fields of other kinds than its own are empty."""

    name: str
    description: str
    source: SourceKind
    network: NetworkStyle
    cpu: str
    suite: str = ""
    packages: tuple[str, ...] = ()
    url: str = ""
    digest: str = ""
    answers: str = ""
    boot_command: tuple[str, ...] = ()


def load(path: Path = CATALOGUE) -> Mapping[str, Image]:
    """Read the catalogue; raises ImageError naming the entry that is wrong."""
    try:
        data = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ImageError(f"{path}: {error}") from error
    if not isinstance(data, dict):
        raise ImageError(f"{path}: it is no mapping of names to images")
    return {str(name): _image(path, str(name), entry) for name, entry in data.items()}


def get(catalogue: Mapping[str, Image], name: str) -> Image:
    """The image of that name; raises ImageError listing the known ones."""
    if name not in catalogue:
        raise ImageError(
            f"no image {name!r} (known: {', '.join(catalogue)})", hint="./invoke image.list"
        )
    return catalogue[name]


def _image(path: Path, name: str, entry: object) -> Image:
    if not _NAME.fullmatch(name) or not isinstance(entry, dict):
        raise ImageError(
            f"{path}: {name}: write a name of a-z, 0-9, . and -, and under it what the image is"
        )
    kind = str(entry.get("source", ""))
    if kind not in _KEYS:
        raise ImageError(f"{path}: {name}.source: {kind!r} is none of {', '.join(_KEYS)}")
    unknown = sorted(set(entry) - _KEYS[kind])
    missing = sorted(_KEYS[kind] - {"cpu"} - set(entry))
    if unknown or missing:
        raise ImageError(f"{path}: {name}: unknown keys {unknown}, missing keys {missing}")
    digest = str(entry.get("digest", ""))
    if kind != "bootstrap" and not _DIGEST.fullmatch(digest):
        raise ImageError(
            f"{path}: {name}.digest: write sha256:<64 hex digits> or sha512:<128 hex digits>"
        )
    if kind != "bootstrap" and not re.match("https?://", str(entry["url"])):
        raise ImageError(f"{path}: {name}.url: {entry['url']} is neither http:// nor https://")
    for key in ("packages", "boot_command"):
        if key in entry and not (isinstance(entry[key], list) and entry[key]):
            raise ImageError(f"{path}: {name}.{key}: write a list")
    try:
        network = NetworkStyle(str(entry["network"]))
    except ValueError as error:
        raise ImageError(
            f"{path}: {name}.network: {error} (known: {', '.join(NetworkStyle)})"
        ) from error
    return Image(
        name=name,
        description=str(entry["description"]),
        source=SourceKind(kind),
        network=network,
        cpu=str(entry.get("cpu", "qemu64")),
        suite=str(entry.get("suite", "")),
        packages=_strings(entry.get("packages")),
        url=str(entry.get("url", "")),
        digest=digest,
        answers=str(entry.get("answers", "")),
        boot_command=_strings(entry.get("boot_command")),
    )


def _strings(value: object) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list) else ()
