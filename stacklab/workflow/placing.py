"""Answer files: rendered with a lab's secrets, and copied to a node that runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath

from stacklab import files, record, secrets, settings
from stacklab.errors import LabError
from stacklab.installers import rendering as answers
from stacklab.installers.kit.write import digest
from stacklab.installers.rendering import Rendered
from stacklab.model import certificate
from stacklab.model.lab import Lab
from stacklab.nodes import seed
from stacklab.paths import LabPaths
from stacklab.record import LabRecord
from stacklab.tools import openssl
from stacklab.tools.host.mirrors import host_mirrors
from stacklab.workflow.context import Context
from stacklab.workflow.copying import copy_to_node


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A file of a node that differs from what would be rendered today.

    `lines` is a unified diff with secrets masked; foreign text in part.
    """

    node: str
    path: PurePosixPath
    lines: tuple[str, ...]


def render_answers(
    context: Context, lab: Lab, paths: LabPaths
) -> tuple[Rendered, Mapping[str, str]]:
    """Render every answer file with the lab's secrets; secrets that do not exist are made.

    Returns both. The caller holds the lab's lock.
    """
    names = answers.secret_names(lab)
    makers = _makers(context, lab, paths)
    known = secrets.load_or_make(
        paths.secrets,
        names,
        lab.stack.secrets,
        makers,
        allowed=settings.read(context.host).secrets,
    )
    return answers.render(lab, known, mirrors=host_mirrors(context.runner)), known


def _makers(context: Context, lab: Lab, paths: LabPaths) -> Mapping[str, secrets.Maker]:
    """Return what makes the secrets that are not passwords: a certificate, where there is one."""
    server = answers.certified(lab)
    if server is None:
        return {}
    files.make_directory(paths.root)
    return {certificate.SECRET: partial(openssl.kept_or_new, context.runner, paths.root, server)}


def render_as_known(context: Context, lab: Lab, paths: LabPaths) -> Rendered:
    """Render every answer file with the secrets that exist, and placeholders for others.

    Changes nothing: no secret is made.
    """
    known = secrets.kept(paths.secrets)
    wanted = {name: known.get(name, answers.PLACEHOLDER) for name in answers.secret_names(lab)}
    return answers.render(lab, wanted, mirrors=host_mirrors(context.runner))


def place_changed(
    context: Context,
    lab: Lab,
    paths: LabPaths,
    lab_record: LabRecord,
    rendered: Rendered,
    *,
    fresh: Collection[str] = (),
) -> LabRecord:
    """Copy answer files to the running nodes whose record says that they have others.

    `fresh` nodes have theirs from their seeds. Returns the record as it is then.
    """
    for node in lab.nodes:
        answer_files = rendered[node.name]
        wanted = digest(answer_files)
        node_record = lab_record.node(node.name)
        if node_record is None:
            raise LabError(f"{node.name} is not on record", hint=f"./invoke lab.rebuild {lab.name}")
        if node.name in fresh or node_record.answers == wanted or not answer_files:
            continue
        place_answers(context, lab, paths, node.name, answer_files)
        # Recorded one by one: a run that is cut off here goes on with the next node.
        lab_record = lab_record.with_node(dataclasses.replace(node_record, answers=wanted))
        record.write(paths, lab_record)
    return lab_record


def place_answers(
    context: Context,
    lab: Lab,
    paths: LabPaths,
    node: str,
    answer_files: Mapping[PurePosixPath, str],
) -> None:
    """Copy answer files to a running node, over those that are there."""
    copy_to_node(context, paths, node, seed.answer_entries(lab, answer_files), what="answers")
