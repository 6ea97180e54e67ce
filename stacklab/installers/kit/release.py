"""A lab's release and its known bugs: which of them a node can meet, and the steps around them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from stacklab import releases
from stacklab.errors import RenderError
from stacklab.model.lab import Lab, Node
from stacklab.model.release import Bug, Release, When
from stacklab.model.release_names import operating_system
from stacklab.stages.stage import Step


def release_of(lab: Lab) -> Release:
    """Return the lab's release; raises RenderError for one that the table lacks."""
    stack = lab.stack
    known = releases.of(stack.installer)
    release = known.get(stack.release)
    if release is None:
        raise RenderError(
            f"stack.release: no {stack.release!r} of {stack.installer} (known: {', '.join(known)})"
        )
    return release


def bugs_on(lab: Lab, release: Release, node: Node) -> tuple[Bug, ...]:
    """Return the known bugs that a node can meet.

    They are bugs of the release that fit the lab's systems and driver, and the node's role.
    """
    # Whatever its role is called, the lab's controller meets the controller's bugs.
    is_controller = node.name == lab.controller.name
    role = "controller" if is_controller else str(node.role)
    met = []
    for bug in release.bugs:
        concerns_role = bug.role in ("all", role)
        if concerns_role and bug.concerns(lab.stack.driver) and _concerns_images(bug, lab):
            met.append(bug)
    return tuple(met)


def _concerns_images(bug: Bug, lab: Lab) -> bool:
    """Return True if a bug is on some image of the lab; one without images is on all."""
    if not bug.images:
        return True
    systems = {operating_system(image) for image in lab.images}
    return not systems.isdisjoint(bug.images)


def workarounds(
    lab: Lab, release: Release, node: Node, when: When, *, tree: PurePosixPath | None = None
) -> Iterator[Step]:
    """Yield the steps around a release's bugs for that moment.

    Those for after the clone run as stack, within the clone (`tree`); the others as root.
    """
    is_in_clone = when is When.AFTER_CLONE
    user = "stack" if is_in_clone else "root"  # the clone is stack's
    prefix = f"cd {tree} && " if is_in_clone else ""
    for bug in bugs_on(lab, release, node):
        if bug.when is not when:
            continue
        # One test for all of a bug's commands: it must hold only after the last of them.
        done = f"{prefix}{bug.done}" if bug.done else ""
        for command in bug.commands:
            yield Step(
                node=node.name,
                user=user,
                title=f"work around {bug.id}: {bug.symptom}",
                command=f"{prefix}{command}",
                done=done,
            )
