"""Which base image a lab gets: the first of its list whose source can be had."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stacklab import accelerator
from stacklab.errors import ImageError
from stacklab.images import catalogue, download, store
from stacklab.images.build import Builder
from stacklab.images.catalogue import Image, SourceKind
from stacklab.images.store import StoredImage
from stacklab.model.lab import Lab
from stacklab.record import LabRecord
from stacklab.workflow.context import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The base image taken, and why those before it were not."""

    image: Image
    stored: StoredImage
    passed_over: Mapping[str, str]


def builder(context: Context) -> Builder:
    """What builds images on this host."""
    return Builder(
        paths=context.host,
        runner=context.runner,
        progress=context.progress,
        pick_accelerator=lambda kernel: accelerator.pick(
            context.host, context.runner, kernel=kernel
        ),
    )


def recorded(context: Context, record: LabRecord) -> Choice:
    """The image that the lab's overlays lie on; raises ImageError by name if it is gone or was changed."""
    stored = store.by_key(context.host, record.image)
    if stored is None:
        raise ImageError(
            f"base image {record.image}, under the overlays of lab {record.name}, is gone",
            hint=f"./invoke lab.rebuild {record.name}",
        )
    store.check(stored)
    image = catalogue.get(catalogue.load(), stored.name)
    return Choice(image=image, stored=stored, passed_over=record.passed_over)


def is_built(context: Context, lab: Lab) -> bool:
    """Whether one of the lab's images is in the store, so that no builder is needed."""
    images = catalogue.load()
    return any(
        store.find(context.host, catalogue.get(images, name)) is not None for name in lab.images
    )


def choose(context: Context, lab: Lab) -> Choice:
    """Take the first image that is built or can be; raises ImageError when there is none."""
    images = catalogue.load()
    passed_over: dict[str, str] = {}
    for position, name in enumerate(lab.images):
        image = catalogue.get(images, name)
        is_last = position == len(lab.images) - 1
        stored = store.find(context.host, image)
        if stored is None and not is_last and (why := _unobtainable(context, image)):
            passed_over[name] = why
            continue
        try:
            stored = builder(context).build(image)
        except ImageError as error:
            if is_last:
                raise
            passed_over[name] = error.message.partition("\n")[0]
            continue
        if passed_over:
            reasons = "; ".join(f"{other}: {why}" for other, why in passed_over.items())
            context.progress.note("host", f"image {name} taken, not {reasons}")
        return Choice(image=image, stored=stored, passed_over=passed_over)
    raise ImageError(
        f"lab {lab.name} names no image", hint=f"./invoke lab.validate labs/{lab.name}.yaml"
    )


def _unobtainable(context: Context, image: Image) -> str | None:
    if image.source is SourceKind.BOOTSTRAP or download.is_complete(
        image.url, image.digest, context.host.downloads
    ):
        return None
    return None if download.is_reachable(image.url) else "its source can't be reached"
