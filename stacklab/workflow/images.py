"""Tasks about base images: build, list, verify, prune."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stacklab import record
from stacklab.errors import ImageError
from stacklab.images import build as image_build
from stacklab.images import catalogue, root, store
from stacklab.images.catalogue import Image
from stacklab.images.store import StoredImage
from stacklab.providers import registry
from stacklab.workflow import base_image
from stacklab.workflow.context import Context
from stacklab.workflow.snapshots import listing
from stacklab.workflow.snapshots import store as snapshots


def build(context: Context, name: str, *, force: bool) -> StoredImage:
    """Build one image of the catalogue."""
    image = catalogue.get(catalogue.load(), name)
    # This may be the first command on this host.
    context.prepare_root()
    return base_image.builder(context).build(image, force=force)


def overview(
    context: Context,
) -> tuple[Mapping[str, Image], tuple[StoredImage, ...], Mapping[str, str]]:
    """Return the catalogue, what is stored, and the key that each image would get today."""
    images = catalogue.load()
    addresses = {name: store.address(image) for name, image in images.items()}
    return images, store.everything(context.host), addresses


def verify(context: Context, names: Sequence[str]) -> tuple[str, ...]:
    """Read the named images whole, or all of them, and compare each with its digest.

    The raw disk that containers run from, where there is one, is read as well.
    Returns their keys; raises ImageError for the first one that was changed.
    """
    stored = store.everything(context.host)
    stored_names = {image.name for image in stored}
    # Before the first one is read, which takes seconds.
    for name in names:
        if name not in stored_names:
            raise ImageError(f"image {name} is not built", hint=f"./invoke image.build {name}")
    chosen = [image for image in stored if not names or image.name in names]
    for image in chosen:
        with context.progress.stage(image.key, "verify"):
            store.verify(image)
            root.verify(context.host, image.key)
    return tuple(image.key for image in chosen)


def prune(context: Context) -> tuple[str, ...]:
    """Delete the images that no lab uses and no `lab.up` would take; returns their keys."""
    image_build.clean_up(context.host, context.runner)
    # What an import that was killed has left is below no snapshot, but takes as much.
    listing.sweep_all(context)
    in_use = _keys_in_use(context)
    current = _current_keys(context)
    unused = store.unused(context.host, in_use, current)
    for image in unused:
        store.remove(image)
    return tuple(image.key for image in unused)


def _keys_in_use(context: Context) -> set[str]:
    """Return the keys of the images under this host's labs and their snapshots."""
    keys: set[str] = set()
    for name in record.names(context.host):
        # One that is damaged raises: nobody knows which image is under its overlays.
        lab_record = registry.read(context.host.lab(name))
        if lab_record is not None:
            keys.add(lab_record.image)
    return keys | snapshots.images(context.host)


def _current_keys(context: Context) -> set[str]:
    """Return the keys of the images that are built from today's inputs."""
    keys: set[str] = set()
    for image in catalogue.load().values():
        stored = store.find(context.host, image)
        if stored is not None:
            keys.add(stored.key)
    return keys
