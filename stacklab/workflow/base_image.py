"""Choose a lab's base image: the first of its list whose source can be reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stacklab.errors import ImageError
from stacklab.images import catalogue, download, store
from stacklab.images.build import Builder
from stacklab.images.catalogue import Image, ImageSourceKind
from stacklab.images.store import StoredImage
from stacklab.model.lab import Lab, NodeKind
from stacklab.record import LabRecord
from stacklab.tools.host import accelerator
from stacklab.workflow.context import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The base image of a lab; `passed_over` says why each image before it was not taken."""

    image: Image
    stored: StoredImage
    passed_over: Mapping[str, str]


def builder(context: Context) -> Builder:
    """Return the builder of this host's images."""
    return Builder(
        paths=context.host,
        runner=context.runner,
        progress=context.progress,
        pick_accelerator=lambda kernel: accelerator.pick(
            context.host, context.runner, kernel=kernel
        ),
    )


def recorded(context: Context, record: LabRecord) -> Choice:
    """Return the image under the lab's overlays; raises ImageError if it is gone or was changed."""
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
    """Return True if the store holds one of the lab's images, so that nothing has to be built."""
    return built_key(context, lab) is not None


def built_key(context: Context, lab: Lab) -> str | None:
    """Return the key of the first of the lab's images that the store holds; None for none."""
    images = catalogue.load()
    for name in lab.images:
        image = catalogue.get(images, name)
        stored = None if why_no_node(lab, image) else store.find(context.host, image)
        if stored is not None:
            return stored.key
    return None


def why_no_node(lab: Lab, image: Image) -> str:
    """Return why the lab's nodes can't be made from an image; "" if they can."""
    return image.no_container if lab.of_kind(NodeKind.CONTAINER) else ""


def choose(context: Context, lab: Lab) -> Choice:
    """Take the first image that is built or can be built; raises ImageError if none can."""
    if not lab.images:
        raise ImageError(
            f"lab {lab.name} names no image", hint=f"./invoke lab.validate labs/{lab.name}.yaml"
        )
    images = catalogue.load()
    passed_over: dict[str, str] = {}
    usable: list[Image] = []
    for name in lab.images:
        image = catalogue.get(images, name)
        why_not = why_no_node(lab, image)
        if why_not:
            passed_over[name] = why_not
        else:
            usable.append(image)
    if not usable:
        raise _no_containers_error(lab, passed_over)
    for image in usable[:-1]:
        name = image.name
        # Asked first: a build would try for minutes before it gave up.
        why_unreachable = _why_unreachable(context, image)
        if why_unreachable:
            passed_over[name] = why_unreachable
            continue
        try:
            return _build_choice(context, image, passed_over)
        except ImageError as error:
            # The first line alone: the others are the build's output.
            passed_over[name] = error.message.partition("\n")[0]
    # This is the last choice: if it can't be built, its error is what the user has to know.
    return _build_choice(context, usable[-1], passed_over)


def _no_containers_error(lab: Lab, passed_over: Mapping[str, str]) -> ImageError:
    containers = ", ".join(node.name for node in lab.of_kind(NodeKind.CONTAINER))
    reasons = "; ".join(f"{name}: {reason}" for name, reason in passed_over.items())
    return ImageError(
        f"no image of lab {lab.name} can be a container ({containers}): {reasons}",
        hint="leave out --as containers and kind: container, or add another image to "
        f"{lab.source}: ./invoke image.list",
    )


def _build_choice(context: Context, image: Image, passed_over: Mapping[str, str]) -> Choice:
    stored = builder(context).build(image)
    if passed_over:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in passed_over.items())
        context.progress.note("host", f"image {image.name} taken, not {reasons}")
    return Choice(image=image, stored=stored, passed_over=dict(passed_over))


def _why_unreachable(context: Context, image: Image) -> str:
    """Return why the image can't be had now; "" if it is built, or its source can be used."""
    if store.find(context.host, image) is not None:
        return ""
    if image.source is ImageSourceKind.BOOTSTRAP:
        return ""  # made from the host's own mirror, which the build itself asks
    if download.is_complete(image.url, image.digest, context.host.downloads):
        return ""
    if download.is_reachable(image.url):
        return ""
    return "its source can't be reached"
