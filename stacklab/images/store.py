"""Store of base images on this host: read-only files, each with a manifest.

An image's address is a digest of all that goes into it: its catalogue entry and the templates,
scripts and files under packer/. So an image is rebuilt when one of them changes, and only then.
The packages that a mirror has today are not part of the address; `image.build NAME --force` takes
newer ones. Its key also contains a digest of the built file, so that such a build is stored
beside the older one, on which there may be overlays.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stacklab import files
from stacklab.errors import ImageError
from stacklab.images import bootstrap, catalogue
from stacklab.images.catalogue import Image, ImageSourceKind
from stacklab.paths import HostPaths
from stacklab.paths.project import PROJECT

DISK = catalogue.DISK

_INPUTS = {
    ImageSourceKind.BOOTSTRAP: ("bootstrap", "image", "scripts", "files"),
    ImageSourceKind.CLOUD: ("cloud", "image", "scripts", "files"),
    ImageSourceKind.INSTALLER: ("answers", "image", "scripts", "files"),
}
# What lies beside an image's .qcow2 and .json, by its suffix.
_BESIDE = (".vmlinuz", ".raw", ".raw-facts", ".raw-part")
# The address of images that came with bundles. No image of the catalogue has it, so that no new
# lab is ever made from what somebody else has built.
_IMPORTED = "0" * 12
_KEY_END = re.compile("-[0-9a-f]{12}-[0-9a-f]{8}$")  # what follows the image's name in a key


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """A base image in the store, from its manifest; `built_at` is in seconds since the epoch."""

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
        """Return its name in records and tables: NAME-ADDRESS-DIGEST."""
        return self.path.stem

    @property
    def is_untouched(self) -> bool:
        """Return True if the file's size and time are as recorded; its content is not read."""
        try:
            stat = self.path.stat()
        except OSError:
            return False
        return (stat.st_size, stat.st_mtime_ns) == (self.size_bytes, self.mtime_ns)


def address(image: Image, *, packer: Path = PROJECT / "packer") -> str:
    """Return twelve hex digits that change when an input of the image changes."""
    digest = hashlib.sha256()
    entry = dataclasses.asdict(image)
    # Words only: better ones must not rebuild it.
    del entry["description"]
    del entry["no_container"]
    # Without a bake, an image has the address that it had before there were bakes.
    if not image.bake:
        del entry["bake"]
    recipe: Sequence[str] = ()
    if image.source is ImageSourceKind.BOOTSTRAP:
        recipe = bootstrap.recipe(image)
    description = {"entry": entry, "disk_mib": DISK.mib, "recipe": recipe}
    digest.update(json.dumps(description, sort_keys=True).encode())
    for path in inputs(image, packer=packer):
        content = path.read_bytes()
        # With name and length, moving bytes from one file to the next changes the digest.
        digest.update(f"\0{path.relative_to(packer)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:12]


def inputs(image: Image, *, packer: Path = PROJECT / "packer") -> tuple[Path, ...]:
    """Return the files under packer/ that go into an image, sorted."""
    paths: list[Path] = []
    bakes = (image.bake,) if image.bake else ()
    directories = (*_INPUTS[image.source], *bakes)
    for directory in directories:
        found = (packer / directory).rglob("*")
        paths += [path for path in found if _is_input(path, image)]
    return tuple(sorted(paths))


def _is_input(path: Path, image: Image) -> bool:
    is_backup = path.name.startswith(".") or path.name.endswith("~")  # of an editor
    # Of programs for nodes that are Python: pip compiles all that it installs.
    is_compiled = path.parent.name == "__pycache__"
    # Each installer's image has an answer file of its own among those in packer/answers.
    is_answer_file = image.source is ImageSourceKind.INSTALLER and path.parent.name == "answers"
    is_of_other_image = is_answer_file and path.name != image.answers
    is_left_out = is_backup or is_compiled or is_of_other_image
    return path.is_file() and not is_left_out


def find(paths: HostPaths, image: Image) -> StoredImage | None:
    """Return the newest build of an image from today's inputs, or None if there is none."""
    manifests = paths.images.glob(f"{image.name}-{address(image)}-*.json")
    builds = _read_all(manifests)
    return max(builds, key=lambda stored: stored.built_at, default=None)


def everything(paths: HostPaths) -> tuple[StoredImage, ...]:
    """Return all images of the store, also those of older inputs, sorted by name."""
    manifests = sorted(paths.images.glob("*.json")) if paths.images.is_dir() else []
    return tuple(_read_all(manifests))


def _read_all(manifests: Iterable[Path]) -> list[StoredImage]:
    """Read manifests; those that were removed in the meantime are left out."""
    builds = []
    for manifest in manifests:
        stored = read(manifest)
        if stored is not None:
            builds.append(stored)
    return builds


def by_key(paths: HostPaths, key: str) -> StoredImage | None:
    """Return the image of that key, or None if it is not in the store."""
    return read(paths.manifest(key))


def read(manifest: Path) -> StoredImage | None:
    """Read a manifest; return None if there is none, raise ImageError if it is damaged."""
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
    """Move a finished qcow2 into the store and write its manifest: only then it counts."""
    built.chmod(0o444)  # a base image that is written to damages all overlays on it
    digest = sha256(built)
    key = f"{image.name}-{address(image)}-{digest[:8]}"
    target = paths.images / f"{key}.qcow2"
    is_known = target.exists()  # with the same content, so overlays on it stay intact
    built.replace(target)
    return _write_manifest(
        paths,
        image.name,
        address(image),
        target,
        sha256=digest,
        now=now,
        took_s=took_s,
        is_new=not is_known,
    )


def _write_manifest(
    paths: HostPaths,
    name: str,
    image_address: str,
    target: Path,
    *,
    sha256: str,
    now: float,
    took_s: float,
    is_new: bool,
) -> StoredImage:
    """Write the manifest of a disk that is in its place; a new one goes if that fails."""
    stat = target.stat()
    stored = StoredImage(
        name=name,
        address=image_address,
        path=target,
        sha256=sha256,
        size_bytes=stat.st_size,
        mtime_ns=stat.st_mtime_ns,
        built_at=now,
        took_s=took_s,
    )
    manifest = dataclasses.asdict(stored)
    del manifest["path"]  # it follows from the manifest's own name: the home may be moved
    try:
        files.write(paths.manifest(stored.key), json.dumps(manifest, indent=2) + "\n")
    except BaseException:
        if is_new:
            target.unlink()
        raise
    return stored


def key_of_imported(name: str, digest: str) -> str:
    """Return the key of an image that came with a bundle, from its whole digest."""
    return f"{name}-{_IMPORTED}-{digest[:8]}"


def add_imported(
    paths: HostPaths, name: str, unpacked: Path, *, sha256: str, now: float
) -> StoredImage:
    """Move an image that came with a bundle into the store; the caller has checked its digest.

    Raises ImageError where another one has its key.
    """
    unpacked.chmod(0o444)
    key = key_of_imported(name, sha256)
    target = paths.images / f"{key}.qcow2"
    if paths.manifest(key).exists():
        raise ImageError(f"another image has the key {key}: {target}", hint="./invoke image.prune")
    unpacked.replace(target)
    return _write_manifest(
        paths, name, _IMPORTED, target, sha256=sha256, now=now, took_s=0.0, is_new=True
    )


def verify(stored: StoredImage) -> None:
    """Read the whole file; raise ImageError if it is not what was built."""
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
    """Verify an image; its content is read only if its size or time has changed."""
    if not stored.is_untouched:
        verify(stored)


def remove(stored: StoredImage) -> None:
    """Delete an image; the manifest goes first, so that half an image is never found."""
    stored.path.with_suffix(".json").unlink(missing_ok=True)
    stored.path.unlink(missing_ok=True)
    for suffix in _BESIDE:
        stored.path.with_suffix(suffix).unlink(missing_ok=True)


def unused(
    paths: HostPaths, keys_in_use: Collection[str], current: Collection[str]
) -> tuple[StoredImage, ...]:
    """Return the images that are neither the base of a lab nor those that lab.up would take."""
    needed = {*keys_in_use, *current}
    return tuple(image for image in everything(paths) if image.key not in needed)


def remove_halves(paths: HostPaths, name: str) -> None:
    """Delete the files without a manifest that a killed `add` or `remove` left.

    The caller must hold the image's lock.
    """
    for path in paths.images.glob(f"{name}-*"):
        is_of_image = path.suffix in (".qcow2", *_BESIDE)
        is_half = is_of_image and not path.with_suffix(".json").exists()
        # The pattern also finds the images whose name only begins with this one.
        if is_half and _KEY_END.fullmatch(path.stem.removeprefix(name)):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()


def image_name(key: str) -> str:
    """Return the name of an image in the catalogue, from its key: NAME-ADDRESS-DIGEST."""
    end = _KEY_END.search(key)
    return key[: end.start()] if end is not None else key


def sha256(path: Path) -> str:
    """Return the digest of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
