"""Serve a lab's mirror of git to its nodes, while the lab is up."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from stacklab import installers
from stacklab.errors import HostError
from stacklab.installers.kit.git import served_at, served_directory
from stacklab.model.lab import Lab
from stacklab.paths import HostPaths, LabPaths
from stacklab.tools.host import git_daemon, git_mirror
from stacklab.workflow.context import Context


def with_mirror(lab: Lab, host: HostPaths) -> Lab:
    """Return the lab with this host's own mirror, if that has all that its nodes clone."""
    stack = lab.stack
    if stack.git_base or stack.mirrors.git_from or not host.git.is_dir():
        return lab
    projects = installers.git_projects(lab)
    if not projects:
        return lab
    if not all(git_mirror.has(host.git, project.path, project.ref) for project in projects):
        return lab
    mirrors = dataclasses.replace(stack.mirrors, git_from=str(host.git))
    return dataclasses.replace(lab, stack=dataclasses.replace(stack, mirrors=mirrors))


def start(context: Context, lab: Lab, paths: LabPaths) -> None:
    """Serve the lab's mirror, if it has one that is a directory of this host."""
    directory = served_directory(lab)
    if not directory:
        end(paths)  # of a spec that had one
        return
    if not Path(directory).is_dir():
        raise HostError(
            f"the mirror of git of lab {lab.name}, {directory}, is not a directory of this host",
            hint=f"./invoke mirror.fill {lab.name} --from CLONES",
        )
    git_daemon.start(context.runner, Path(directory), paths.git_daemon, address=str(served_at(lab)))


def end(paths: LabPaths) -> None:
    """End what serves the lab's nodes; there may be nothing."""
    git_daemon.end(paths.git_daemon)
