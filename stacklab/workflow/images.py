"""Tasks about base images: build, list, verify, prune."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stacklab import record
from stacklab.errors import ImageError
from stacklab.images import build as building
from stacklab.images import catalogue, store
from stacklab.images.catalogue import Image
from stacklab.images.store import StoredImage
from stacklab.providers import registry
from stacklab.workflow import base_image as base
from stacklab.workflow.context import Context


def build(context: Context, name: str, *, force: bool) -> StoredImage:
    """Build one image of the catalogue."""
    image = catalogue.get(catalogue.load(), name)
    context.prepare_root()
    return base.builder(context).build(image, force=force)


def overview(
    context: Context,
) -> tuple[Mapping[str, Image], tuple[StoredImage, ...], Mapping[str, str]]:
    """The catalogue, what is stored, and each image's address as of today's inputs."""
    images = catalogue.load()
    return (
        images,
        store.everything(context.host),
        {name: store.address(image) for name, image in images.items()},
    )


def verify(context: Context, names: Sequence[str]) -> tuple[str, ...]:
    """Read these images whole (all, if none is named); returns their keys, raises ImageError for the first bad one."""
    found = store.everything(context.host)
    unknown = [name for name in names if name not in {image.name for image in found}]
    if unknown:
        raise ImageError(
            f"image {unknown[0]} is not built", hint=f"./invoke image.build {unknown[0]}"
        )
    chosen = [image for image in found if not names or image.name in names]
    for image in chosen:
        with context.progress.stage(image.key, "verify"):
            store.verify(image)
    return tuple(image.key for image in chosen)


def prune(context: Context) -> tuple[str, ...]:
    """Delete what no lab uses and no lab.up would take; returns the keys."""
    building.clean_up(context.host, context.runner)
    records = [registry.read(context.host.lab(name)) for name in record.names(context.host)]
    in_use = {kept.image for kept in records if kept is not None}
    current = {
        stored.key
        for image in catalogue.load().values()
        if (stored := store.find(context.host, image))
    }
    unused = store.unused(context.host, in_use, current)
    for image in unused:
        store.remove(image)
    return tuple(image.key for image in unused)
