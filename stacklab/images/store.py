"""Base images on this host: content-addressed, read-only, each with a manifest.

An image's address is a digest of everything that goes into it (its catalogue entry,
the templates, scripts and files under packer/), so it is rebuilt when, and only
when, one of them changed. Which packages a mirror holds today is not among them:
`image.build NAME --force` takes newer ones. What came out is in its key too, so that
such a build lies beside the one before, on which there may be overlays.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stacklab import files
from stacklab.errors import ImageError
from stacklab.images import bootstrap, catalogue
from stacklab.images.catalogue import Image, SourceKind
from stacklab.paths import PROJECT, HostPaths

DISK = catalogue.DISK

_INPUTS = {
    SourceKind.BOOTSTRAP: ("bootstrap", "image", "scripts", "files"),
    SourceKind.CLOUD: ("cloud", "image", "scripts", "files"),
    SourceKind.INSTALLER: ("answers", "image", "scripts", "files"),
}
_KEY = re.compile("-[0-9a-f]{12}-[0-9a-f]{8}")  # of a key, what follows the image's name
_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """A base image in the store, as its manifest tells; `built_at` is seconds since the epoch."""

    name: str
    address: str
    path: Path
    sha256: str
    size_bytes: int
    mtime_ns: int
    built_at: float
    took_s: float

    @property
    def key(self) -> str:
        """Its name in records and tables: name, address, 8 digits of its content's digest."""
        return self.path.stem

    @property
    def is_untouched(self) -> bool:
        """Whether the file looks as it was left: size and time, no reading."""
        try:
            stat = self.path.stat()
        except OSError:
            return False
        return (stat.st_size, stat.st_mtime_ns) == (self.size_bytes, self.mtime_ns)


def address(image: Image, *, packer: Path = PROJECT / "packer") -> str:
    """Twelve hex digits that change when an input of the image changes."""
    whole = hashlib.sha256()
    entry = {k: v for k, v in dataclasses.asdict(image).items() if k != "description"}
    recipe: Sequence[str] = bootstrap.recipe(image) if image.source is SourceKind.BOOTSTRAP else ()
    whole.update(
        json.dumps(
            {"entry": entry, "disk_mib": DISK.mib, "recipe": recipe}, sort_keys=True
        ).encode()
    )
    for path in inputs(image, packer=packer):
        content = path.read_bytes()
        whole.update(f"\0{path.relative_to(packer)}\0{len(content)}\0".encode() + content)
    return whole.hexdigest()[:12]


def inputs(image: Image, *, packer: Path = PROJECT / "packer") -> tuple[Path, ...]:
    """The files under packer/ that go into an image, sorted."""
    found = (
        path
        for name in _INPUTS[image.source]
        for path in (packer / name).rglob("*")
        if path.is_file()
    )
    found = (
        path for path in found if not (path.name.startswith(".") or path.name.endswith("~"))
    )  # an editor's
    if image.source is SourceKind.INSTALLER:
        found = (p for p in found if p.parent.name != "answers" or p.name == image.answers)
    return tuple(sorted(found))


def find(paths: HostPaths, image: Image) -> StoredImage | None:
    """The image as it is to be built from today's inputs, if it is in the store: its newest build."""
    manifests = paths.images.glob(f"{image.name}-{address(image)}-*.json")
    return max(filter(None, map(read, manifests)), key=lambda stored: stored.built_at, default=None)


def everything(paths: HostPaths) -> tuple[StoredImage, ...]:
    """All images of the store, older addresses included, sorted by name."""
    manifests = sorted(paths.images.glob("*.json")) if paths.images.is_dir() else []
    return tuple(image for path in manifests if (image := read(path)) is not None)


def by_key(paths: HostPaths, key: str) -> StoredImage | None:
    """The image of that key, if it is in the store."""
    return read(paths.manifest(key))


def read(manifest: Path) -> StoredImage | None:
    """Read a manifest; None where there is none, ImageError where it is damaged."""
    try:
        data = json.loads(manifest.read_text())
        return StoredImage(**{**data, "path": manifest.with_suffix(".qcow2")})
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise ImageError(
            f"{manifest} is damaged: {error}",
            hint=f"rm {manifest}, then ./invoke image.build its image",
        ) from error


def add(paths: HostPaths, image: Image, built: Path, *, now: float, took_s: float) -> StoredImage:
    """Move a finished qcow2 into the store and write its manifest, which makes it exist."""
    built.chmod(0o444)
    digest = sha256(built)
    key = f"{image.name}-{address(image)}-{digest[:8]}"
    target = paths.images / f"{key}.qcow2"
    is_known = target.exists()  # the same bytes again: overlays on them do not mind
    built.replace(target)
    stat = target.stat()
    stored = StoredImage(
        name=image.name,
        address=address(image),
        path=target,
        sha256=digest,
        size_bytes=stat.st_size,
        mtime_ns=stat.st_mtime_ns,
        built_at=now,
        took_s=took_s,
    )
    data: Mapping[str, object] = {
        k: v for k, v in dataclasses.asdict(stored).items() if k != "path"
    }
    try:
        files.write(paths.manifest(key), json.dumps(data, indent=2) + "\n")
    except BaseException:
        if not is_known:
            target.unlink()
        raise
    return stored


def verify(stored: StoredImage) -> None:
    """Read the whole file; raises ImageError naming it if it is not what was built."""
    if not stored.path.is_file():
        raise ImageError(
            f"base image {stored.key} is gone: {stored.path}",
            hint=f"./invoke image.build {stored.name}, then ./invoke lab.rebuild each lab",
        )
    if sha256(stored.path) != stored.sha256:
        raise ImageError(
            f"base image {stored.key} was changed since it was built: {stored.path}\n"
            "  the overlays of every lab on it are damaged by that",
            hint=f"./invoke image.build {stored.name} --force, then ./invoke lab.rebuild each lab",
        )


def check(stored: StoredImage) -> None:
    """Verify in microseconds when size and time are as left; read it all when they are not."""
    if not stored.is_untouched:
        verify(stored)


def remove(stored: StoredImage) -> None:
    """Delete an image; the manifest first, so that half of it is never found."""
    stored.path.with_suffix(".json").unlink(missing_ok=True)
    stored.path.unlink(missing_ok=True)
    stored.path.with_suffix(".vmlinuz").unlink(missing_ok=True)


def unused(
    paths: HostPaths, keys_in_use: Collection[str], current: Collection[str]
) -> tuple[StoredImage, ...]:
    """What `image.prune` may delete: no lab's base, and not what `lab.up` would take today."""
    return tuple(i for i in everything(paths) if i.key not in keys_in_use and i.key not in current)


def remove_halves(paths: HostPaths, name: str) -> None:
    """Delete what a killed `add` or `remove` of image `name` left: files that no manifest tells of.

    To be called by who holds the image's lock.
    """
    for path in paths.images.glob(f"{name}-*"):
        is_half = path.suffix in (".qcow2", ".vmlinuz") and not path.with_suffix(".json").exists()
        if is_half and _KEY.fullmatch(path.stem.removeprefix(name)):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()


def sha256(path: Path) -> str:
    """A file's digest, read in pieces."""
    whole = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            whole.update(chunk)
    return whole.hexdigest()
