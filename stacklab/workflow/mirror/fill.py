"""`mirror.fill`: make or update the mirror of git that a lab's nodes clone from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from stacklab import files, installers, locks
from stacklab.errors import LabError, ToolError
from stacklab.foreign import printable
from stacklab.installers.kit.git import served_directory
from stacklab.installers.kit.sources import GitProject
from stacklab.model.lab import Lab
from stacklab.tools.host import git_mirror
from stacklab.workflow.context import Context

_WAIT_S = 5.0
_MOST_WORDS = 300  # of git's own, about a project that is missing


class FillOutcome(StrEnum):
    """Ends of the work on one project."""

    FILLED = "filled"
    THERE = "there"  # nothing gave it, and the mirror has it from before
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class FilledProject:
    """A project of the mirror; `why` says what is wrong with a missing one."""

    project: GitProject
    outcome: FillOutcome
    why: str = ""


def fill(
    context: Context, lab: Lab, *, source: str, depth: int
) -> tuple[Path, tuple[FilledProject, ...]]:
    """Fetch what the lab's nodes clone from `source`, clones in a directory or a server.

    "" is where each project is in the world. Returns the mirror, and how it ended for each project.
    """
    projects = installers.git_projects(lab)
    if not projects:
        raise LabError(
            f"lab {lab.name} clones nothing that a mirror of git would have "
            f"(stack.installer: {lab.stack.installer})",
            hint="labs that do are DevStack's: ./invoke lab.list",
        )
    mirror = _place(context, lab)
    context.prepare_root()
    files.make_directory(mirror)
    filled: list[FilledProject] = []
    lock = context.host.locks / "git-mirror.lock"
    with locks.held(lock, "mirror.fill", wait_s=_WAIT_S):
        for project in projects:
            with context.progress.stage("mirror", project.path):
                filled.append(_fill_one(context, mirror, project, source=source, depth=depth))
    return mirror, tuple(filled)


def raise_for(lab: Lab, mirror: Path, filled: tuple[FilledProject, ...]) -> None:
    """Raise LabError if the lab would still miss something."""
    missing = [row.project for row in filled if row.outcome is FillOutcome.MISSING]
    if missing:
        names = ", ".join(f"{project.path} ({project.ref or 'any'})" for project in missing)
        raise LabError(
            f"{mirror} does not have all that lab {lab.name} clones: {names}",
            hint=f"./invoke mirror.fill {lab.name} --from DIRECTORY-OR-URL that has it",
        )


def _place(context: Context, lab: Lab) -> Path:
    """Return the directory that is filled: the spec's, or the host's own."""
    wanted = lab.stack.mirrors.git_from
    if wanted and not served_directory(lab):
        raise LabError(
            f"the mirror of git of lab {lab.name} is {wanted}, which is not on this host",
            hint="write a directory there (stack: mirrors: git:), or nothing",
        )
    return Path(wanted) if wanted else context.host.git


def _fill_one(
    context: Context, mirror: Path, project: GitProject, *, source: str, depth: int
) -> FilledProject:
    try:
        url = _source_of(project, source)
        git_mirror.fetch(
            context.runner, mirror, project.path, source=url, ref=project.ref, depth=depth
        )
    except ToolError as error:
        if git_mirror.has(mirror, project.path, project.ref):
            return FilledProject(project=project, outcome=FillOutcome.THERE)
        why = printable(error.message)[:_MOST_WORDS]
        return FilledProject(project=project, outcome=FillOutcome.MISSING, why=why)
    return FilledProject(project=project, outcome=FillOutcome.FILLED)


def _source_of(project: GitProject, source: str) -> str:
    """Return where git fetches a project from; raises ToolError if no clone is there."""
    if not source:
        return f"{project.home}/{project.path}"
    if "://" in source:
        return f"{source.rstrip('/')}/{project.path}"
    directory = Path(source).absolute()
    clone = git_mirror.find_clone(directory, project.path)
    if clone is None:
        raise ToolError(f"{directory} has no clone of {project.path}")
    # As a URL: from a plain path git takes the whole history, however little is asked for.
    return f"file://{clone}"
