"""DevStack: stack.sh on every node, the controller first."""

from __future__ import annotations

from collections.abc import Iterator

from stacklab.installers.contract import Kit
from stacklab.installers.devstack.answers import access, files, mirrored, projects, steps
from stacklab.installers.devstack.answers.seat import seat
from stacklab.installers.kit.release import release_of
from stacklab.installers.kit.sources import (
    RemoteSource,
    SourceKind,
    git_source,
    package_source,
    pip_source,
    plugin_sources,
    project_sources,
)
from stacklab.lint.kinds import Linting
from stacklab.model.lab import Lab, Node
from stacklab.model.release import Release
from stacklab.model.stack import Driver, Installer

# The stages that fetch: cloning DevStack itself, and what stack.sh does.
_SOURCES = "sources"
_STACK = "stack"
# What devstack-plugin-container of every branch downloads, and the variable that replaces it.
_DOCKER = "https://download.docker.com/linux/ubuntu/gpg"
_GITHUB_FILES = (
    ("containernetworking/plugins", "CNI_PLUGINS_DOWNLOAD_URL"),
    ("kubernetes-sigs/cri-tools", "CRICTL_DOWNLOAD_URL"),
)


def _linting() -> Linting:
    from stacklab.installers.devstack.lint.linting import LINTING

    return LINTING


def _sources(lab: Lab, node: Node) -> Iterator[RemoteSource]:
    release = release_of(lab)
    yield package_source(lab, phases=(_SOURCES, _STACK))
    yield git_source(
        projects.devstack_url(lab, release),
        projects.devstack_ref(lab, release),
        phases=(_SOURCES,),
    )
    yield from project_sources(lab, release, phases=(_STACK,))
    yield from plugin_sources(lab, phases=(_STACK,))
    yield from _driver_sources(lab, release, node)
    yield pip_source(lab, phases=(_STACK,))


def _driver_sources(lab: Lab, release: Release, node: Node) -> Iterator[RemoteSource]:
    for plugin in projects.cloned_driver_plugins(lab, release):
        yield git_source(plugin.url, plugin.ref, phases=(_STACK,))
    if lab.stack.driver is Driver.ZUN:
        lines = lab.stack.lines_for(node.role)
        yield RemoteSource(
            kind=SourceKind.FILE,
            url=_DOCKER,
            phases=(_STACK,),
            settings="a package docker-ce that is on the nodes already",
        )
        for project, variable in _GITHUB_FILES:
            if any(line.startswith(f"{variable}=") for line in lines):
                continue
            yield RemoteSource(
                kind=SourceKind.FILE,
                url=f"https://github.com/{project}/releases",
                phases=(_STACK,),
                settings=f"{variable} in stack.localrc",
            )


def _unit_patterns(lab: Lab, node: Node) -> tuple[str, ...]:
    """Return the pattern of DevStack's own units; before Queens its services ran in screen(1)."""
    release = release_of(lab)
    if not release.text("units") or seat(lab, release, node) is None:
        return ()
    return (steps.UNITS,)


KIT = Kit(
    word=Installer.DEVSTACK,
    secret_names=files.secret_names,
    render=files.render,
    stages=steps.stages,
    linting=_linting,
    sources=_sources,
    git_projects=mirrored.git_projects,
    unit_patterns=_unit_patterns,
    service_prefix=steps.UNITS.removesuffix("*"),
    access=access.access,
    log_places=(files.LOGS,),
)
