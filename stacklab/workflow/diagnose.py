"""`doctor`: feed the probes with what the provider, the catalogue and the records say."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from stacklab import doctor
from stacklab.images import catalogue, download
from stacklab.images.catalogue import ImageSourceKind
from stacklab.model.lab import Lab
from stacklab.model.state import NodeState
from stacklab.providers import registry
from stacklab.workflow.context import Context
from stacklab.workflow.lab import kinds


def full(context: Context, lab: Lab | None) -> tuple[doctor.ProbeResult, ...]:
    """Run every probe; for a lab, also those of the room that it needs on this host."""
    accelerator = context.accelerator()
    starting = None
    if lab is not None:
        # Its nodes may be up as containers, whatever the spec says.
        lab = kinds.chosen(lab, registry.read(context.host.lab(lab.name)), None)
        # Only nodes that do not run yet need memory that the host must have free.
        running = _running_nodes(context, lab.name)
        starting = [node.name for node in lab.nodes if node.name not in running]
    return doctor.full(
        lab,
        context.host,
        context.machine,
        connect=context.why_not,
        accelerator=(
            accelerator.qemu_name,
            f"{accelerator.reason}; the verdict is kept: "
            f"rm {context.host.accelerator} has it tried again",
        ),
        others=context.other_labs(lab.name if lab else ""),
        starting=starting,
        sources=_troubles_of_sources(lab),
    )


def _running_nodes(context: Context, name: str) -> frozenset[str]:
    """Return the nodes that run, and so have their memory already; none where nobody can tell."""
    lab_record = registry.read(context.host.lab(name))
    states = context.states(lab_record) if lab_record else {}
    return frozenset(node for node, state in states.items() if state is NodeState.RUNNING)


def _troubles_of_sources(lab: Lab | None) -> dict[str, str | None]:
    """Return where images come from and what is wrong with it; all of them without a lab."""
    images = catalogue.load()
    names = lab.images if lab else tuple(images)
    # A bootstrapped image is made from the host's own mirror: it does not have a URL to ask.
    wanted = [
        images[name] for name in names if images[name].source is not ImageSourceKind.BOOTSTRAP
    ]
    if not wanted:
        return {}
    # At once: a source that does not answer takes seconds.
    with ThreadPoolExecutor(max_workers=len(wanted)) as pool:
        answers = list(pool.map(download.is_reachable, [image.url for image in wanted]))
    troubles: dict[str, str | None] = {}
    for image, is_reachable in zip(wanted, answers, strict=True):
        trouble = None if is_reachable else "does not answer"
        troubles[f"{image.name}: {image.url}"] = trouble
    return troubles
