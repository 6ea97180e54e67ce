"""The stages of a lab's installer, and digests of all that they work with."""

from __future__ import annotations

from collections.abc import Mapping

from stacklab.errors import LabError
from stacklab.installers import rendering
from stacklab.installers.kit.write import digest
from stacklab.installers.rendering import Rendered
from stacklab.model.lab import Lab
from stacklab.model.stack import NO_INSTALLER
from stacklab.stages.selection import input_digest
from stacklab.stages.stage import Stage
from stacklab.tools.host.mirrors import host_mirrors
from stacklab.workflow.context import Context


def stages_of(context: Context, lab: Lab) -> tuple[Stage, ...]:
    """Return a lab's stages; raises LabError for a lab without an installer."""
    stages = rendering.stages(lab, mirrors=host_mirrors(context.runner))
    if lab.stack.installer is NO_INSTALLER or not stages:
        raise LabError(
            f"lab {lab.name} has no installer: there is nothing to run on its nodes",
            hint=f"name one in labs/{lab.name}.yaml (stack: installer:), or choose a lab that has "
            "one: ./invoke lab.list",
        )
    return stages


def input_digests(context: Context, lab: Lab, rendered: Rendered) -> Mapping[str, str]:
    """Return the digests of all stages of the lab's installer."""
    return digests(stages_of(context, lab), rendered)


def digests(stages: tuple[Stage, ...], rendered: Rendered) -> Mapping[str, str]:
    """Return a digest of what each of these stages does, and does it with."""
    answers = {node: digest(answer_files) for node, answer_files in rendered.items()}
    return {stage.name: input_digest(stage, answers) for stage in stages}
