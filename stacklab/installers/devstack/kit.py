"""DevStack: stack.sh on every node, the controller first."""

from __future__ import annotations

from collections.abc import Iterator

from stacklab.installers.contract import Kit
from stacklab.installers.devstack.answers import access, files, mirrored, projects, steps
from stacklab.installers.kit.release import release_of
from stacklab.installers.kit.sources import (
    RemoteSource,
    git_source,
    package_source,
    pip_source,
    plugin_sources,
    project_sources,
)
from stacklab.lint.kinds import Linting
from stacklab.model.lab import Lab, Node
from stacklab.model.stack import Installer

# The stages that fetch: cloning DevStack itself, and what stack.sh does.
_SOURCES = "sources"
_STACK = "stack"


def _linting() -> Linting:
    from stacklab.installers.devstack.lint.linting import LINTING

    return LINTING


def _sources(lab: Lab, _node: Node) -> Iterator[RemoteSource]:
    release = release_of(lab)
    yield package_source(lab, phases=(_SOURCES, _STACK))
    yield git_source(
        projects.devstack_url(lab, release),
        projects.devstack_ref(lab, release),
        phases=(_SOURCES,),
    )
    yield from project_sources(lab, release, phases=(_STACK,))
    yield from plugin_sources(lab, phases=(_STACK,))
    yield pip_source(lab, phases=(_STACK,))


KIT = Kit(
    word=Installer.DEVSTACK,
    secret_names=files.secret_names,
    render=files.render,
    stages=steps.stages,
    linting=_linting,
    sources=_sources,
    git_projects=mirrored.git_projects,
    access=access.access,
    log_places=(files.LOGS,),
)
