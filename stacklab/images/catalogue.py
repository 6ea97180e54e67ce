"""The catalogue of images: packer/catalogue.yaml, read and validated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import yaml

from stacklab import facts
from stacklab.errors import ImageError
from stacklab.model.lab import NetworkStyle, Size
from stacklab.paths.project import CATALOGUE

# Less than 40 GiB was too little for some DevStack nodes. Disks are sparse: size costs nothing.
DISK = Size.parse("48GiB")

_DIGEST = re.compile(r"(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})")
# Part of file names of the form NAME_..., so without `_`.
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")
# The name of a folder below packer/.
_FOLDER = re.compile(r"[a-z0-9][a-z0-9-]*")
_COMMON = {"description", "source", "network", "cpu", "no_container"}
_OPTIONAL = {"cpu", "no_container", "bake"}
_KEYS = {
    "bootstrap": _COMMON | {"suite", "packages", "bake"},
    "cloud": _COMMON | {"url", "digest"},
    "installer": _COMMON | {"url", "digest", "answers", "boot_command"},
}


class ImageSourceKind(StrEnum):
    """The kinds of sources that an image is made from."""

    BOOTSTRAP = "bootstrap"  # made from the distribution's own mirror
    CLOUD = "cloud"  # a distribution's cloud image
    INSTALLER = "installer"  # an ISO that installs itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One entry of the catalogue; the fields of other kinds of sources are empty."""

    name: str
    description: str
    source: ImageSourceKind
    network: NetworkStyle
    cpu: str  # QEMU's model, where KVM does not run: it must suit the image's kernel
    no_container: str = ""  # why a node with it can't be a container
    # Bootstrapped from a mirror:
    suite: str = ""
    packages: tuple[str, ...] = ()
    bake: str = ""  # a folder below packer/, whose before.sh and bake.sh mmdebstrap runs
    # Downloaded, a cloud image or an installer's ISO:
    url: str = ""
    digest: str = ""  # sha256:HEX or sha512:HEX
    # Installed from an ISO:
    answers: str = ""  # a file below packer/, served to the installer
    boot_command: tuple[str, ...] = ()  # keys that Packer types at the boot prompt


def load(path: Path = CATALOGUE) -> Mapping[str, Image]:
    """Read the catalogue; raise ImageError, with its name, for a wrong entry."""
    try:
        data = facts.read(path)
    except (OSError, yaml.YAMLError) as error:
        raise ImageError(f"{path}: {error}") from error
    if not isinstance(data, dict):
        raise ImageError(f"{path}: it is not a mapping of names to images")
    whole: dict[str, object] = {}
    for name, entry in data.items():
        whole[str(name)] = _fill_in_from_other(f"{path}: {name}", entry, whole)
    return {name: _read_image(path, name, entry) for name, entry in whole.items()}


def get(catalogue: Mapping[str, Image], name: str) -> Image:
    """Return the image of that name; raise ImageError, with the known names, if there is none."""
    if name not in catalogue:
        known = ", ".join(catalogue)
        raise ImageError(f"no image {name!r} (known: {known})", hint="./invoke image.list")
    return catalogue[name]


def _fill_in_from_other(place: str, entry: object, others: Mapping[str, object]) -> object:
    """Return an entry with what it has from the one that it is `like`, if it is.

    Its own packages come on top of the other's; all its other keys take the place of the other's.
    """
    if not isinstance(entry, dict) or "like" not in entry:
        return entry
    own = {key: value for key, value in entry.items() if key != "like"}
    other = others.get(str(entry["like"]))
    if not isinstance(other, dict):
        above = ", ".join(others) or "nothing"
        raise ImageError(
            f"{place}.like: {entry['like']!r} is not an image above this one (above: {above})"
        )
    added = own.get("packages", [])
    base = other.get("packages", [])
    filled = {**other, **own}
    # What is not a list is refused later, by its own name.
    if isinstance(base, list) and isinstance(added, list) and (base or added):
        filled["packages"] = [*base, *added]
    return filled


def _read_image(path: Path, name: str, entry: object) -> Image:
    place = f"{path}: {name}"
    if not _NAME.fullmatch(name) or not isinstance(entry, dict):
        raise ImageError(
            f"{place}: write a name of a-z, 0-9, . and -, and under it what the image is"
        )
    kind = str(entry.get("source", ""))
    _check_keys(place, kind, entry)
    if kind != "bootstrap":
        _check_download(place, str(entry["url"]), str(entry["digest"]))
    bake = str(entry.get("bake", ""))
    if bake and not _is_bake(path.parent, bake):
        raise ImageError(
            f"{place}.bake: {bake!r} is not a folder beside {path} with before.sh and bake.sh"
        )
    try:
        network = NetworkStyle(str(entry["network"]))
    except ValueError as error:
        known = ", ".join(NetworkStyle)
        raise ImageError(f"{place}.network: {error} (known: {known})") from error
    return Image(
        name=name,
        description=str(entry["description"]),
        source=ImageSourceKind(kind),
        network=network,
        cpu=str(entry.get("cpu", "qemu64")),
        no_container=str(entry.get("no_container", "")),
        suite=str(entry.get("suite", "")),
        packages=_read_strings(entry.get("packages")),
        bake=bake,
        url=str(entry.get("url", "")),
        digest=str(entry.get("digest", "")),
        answers=str(entry.get("answers", "")),
        boot_command=_read_strings(entry.get("boot_command")),
    )


def _check_keys(place: str, kind: str, entry: Mapping[object, object]) -> None:
    """Raise ImageError unless an entry has exactly the keys of its kind of source."""
    if kind not in _KEYS:
        raise ImageError(f"{place}.source: {kind!r} is none of {', '.join(_KEYS)}")
    unknown = sorted(map(str, set(entry) - _KEYS[kind]))
    missing = sorted(_KEYS[kind] - _OPTIONAL - set(entry))
    if unknown or missing:
        raise ImageError(f"{place}: unknown keys {unknown}, missing keys {missing}")
    for key in ("packages", "boot_command"):
        # One that is left out passes: whether it may be is decided above.
        value = entry.get(key, ["left out"])
        if not isinstance(value, list) or not value:
            raise ImageError(f"{place}.{key}: write a list")


def _check_download(place: str, url: str, digest: str) -> None:
    if not _DIGEST.fullmatch(digest):
        raise ImageError(f"{place}.digest: write sha256:<64 hex digits> or sha512:<128 hex digits>")
    if not re.match("https?://", url):
        raise ImageError(f"{place}.url: {url} is neither http:// nor https://")


def _is_bake(packer: Path, folder: str) -> bool:
    """Return True for a folder of packer/ with both scripts; no path leads out of packer/."""
    scripts = (packer / folder / name for name in ("before.sh", "bake.sh"))
    return bool(_FOLDER.fullmatch(folder)) and all(script.is_file() for script in scripts)


def _read_strings(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(str(item) for item in value)
