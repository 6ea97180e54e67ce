"""A lab's release and its known bugs: which of them a node can meet, and the steps around them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from stacklab import releases
from stacklab.errors import RenderError
from stacklab.model.lab import Lab, Node
from stacklab.model.release import Bug, Release, When, operating_system
from stacklab.stages.stage import Step


def release_of(lab: Lab) -> Release:
    """Return the lab's release; raises RenderError for one that the table lacks."""
    stack = lab.stack
    known = releases.of(stack.installer)
    if stack.release not in known:
        raise RenderError(
            f"stack.release: no {stack.release!r} of {stack.installer} (known: {', '.join(known)})"
        )
    return known[stack.release]


def bugs_on(lab: Lab, release: Release, node: Node) -> tuple[Bug, ...]:
    """Return the known bugs that a node can meet.

    They are bugs of the release that fit the lab's systems and driver, and the node's role.
    """
    systems = {operating_system(image) for image in lab.images}
    role = "controller" if node.name == lab.controller.name else str(node.role)
    return tuple(
        bug
        for bug in release.bugs
        if bug.role in ("all", role)
        and bug.concerns(lab.stack.driver)
        and (not bug.images or systems & set(bug.images))
    )


def workarounds(
    lab: Lab, release: Release, node: Node, when: When, *, tree: PurePosixPath | None = None
) -> Iterator[Step]:
    """Yield the steps around a release's bugs for that moment.

    Those for after the clone run as stack, within the clone (`tree`); the others as root.
    """
    is_within = when is When.AFTER_CLONE
    prefix = f"cd {tree} && " if is_within else ""
    for bug in bugs_on(lab, release, node):
        if bug.when is not when:
            continue
        for command in bug.commands:
            yield Step(
                node=node.name,
                user="stack" if is_within else "root",
                title=f"work around {bug.id}: {bug.symptom}",
                command=f"{prefix}{command}",
                done=f"{prefix}{bug.done}" if bug.done else "",
            )
