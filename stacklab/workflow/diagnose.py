"""`doctor`: the probes, fed with what libvirt, the catalogue and the records say."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from stacklab import doctor
from stacklab.images import catalogue, download
from stacklab.images.catalogue import SourceKind
from stacklab.model import Lab
from stacklab.workflow.context import Context


def full(context: Context, lab: Lab | None) -> tuple[doctor.ProbeResult, ...]:
    """Every probe; for a lab, also whether this host has room for it."""
    accelerator = context.accelerator()
    return doctor.full(
        lab,
        context.host,
        context.machine,
        connect=context.why_unreachable,
        accelerator=(accelerator.qemu_name, accelerator.reason),
        others=context.other_labs(lab.name if lab else ""),
        sources=_sources(lab),
    )


def _sources(lab: Lab | None) -> dict[str, str | None]:
    """Where images are downloaded from, and what is wrong with that; all the catalogue's without a lab."""
    images = catalogue.load()
    wanted = [images[name] for name in lab.images] if lab else list(images.values())
    urls = [(image.name, image.url) for image in wanted if image.source is not SourceKind.BOOTSTRAP]
    if not urls:
        return {}
    with ThreadPoolExecutor(max_workers=len(urls)) as pool:
        reachable = pool.map(lambda item: download.is_reachable(item[1]), urls)
        return {
            f"{name}: {url}": None if there else "does not answer"
            for (name, url), there in zip(urls, reachable, strict=True)
        }
