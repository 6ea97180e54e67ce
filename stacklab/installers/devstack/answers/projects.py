"""Projects that DevStack clones: their variables and branches, and the plugins of drivers."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from stacklab import facts
from stacklab.errors import RenderError
from stacklab.installers.kit.git import git_base
from stacklab.installers.kit.sources import GitProject
from stacklab.model.lab import Lab
from stacklab.model.release import Release
from stacklab.model.stack import Driver, Plugin
from stacklab.paths.project import PROJECT
from stacklab.words import suggest

TABLE = PROJECT / "localrc" / "devstack" / "projects.yaml"
DEVSTACK = "devstack"  # may stand in `refs` as well: the installer itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project that DevStack of some releases clones."""

    name: str
    variable: str  # NOVA, of NOVA_BRANCH
    is_library: bool  # comes from PyPI unless LIBS_FROM_GIT names it
    releases: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """A repository that a driver needs beside DevStack."""

    name: str
    path: str
    refs: Mapping[str, str]  # by release, where it is not the driver's own


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Sources of a node's DevStack, as localrc names them."""

    git_base: str
    branches: Mapping[str, str]  # NOVA_BRANCH -> branch, tag or change
    libraries: tuple[str, ...]  # LIBS_FROM_GIT
    plugins: tuple[Plugin, ...]  # in the order in which they are enabled


def cloned(release: Release) -> Mapping[str, Project]:
    """Return what a release clones, by name."""
    return {
        project.name: project for project in table().projects if release.name in project.releases
    }


def sources(lab: Lab, release: Release) -> Sources:
    """Return what localrc says about sources.

    Raises RenderError for a project that this release does not clone.
    """
    known = cloned(release)
    default_ref = release.text("projects_ref")
    branches = {f"{word}_BRANCH": default_ref for word in release.words("projects")}
    plugins = _find_plugins(lab, release)
    # Plugins get their refs where they are enabled, and DevStack where it is cloned.
    elsewhere = {DEVSTACK}
    elsewhere.update(plugin.name for plugin in (*plugins, *driver_plugins(lab, release)))
    libraries: list[str] = []
    for name, ref in lab.stack.refs:
        if name in known:
            project = known[name]
            branches[f"{project.variable}_BRANCH"] = ref
            # Without its name in LIBS_FROM_GIT, a library comes from PyPI whatever its branch.
            if project.is_library:
                libraries.append(name)
        elif name not in elsewhere:
            right = suggest(name, [*known, *elsewhere], label="it clones")
            raise RenderError(
                f"stack.refs: DevStack {release.name} does not clone {name!r}",
                hint=f"{right}; a project with a plugin of its own goes under stack.plugins",
            )
    return Sources(
        git_base=git_base(lab, release.text("git_base")),
        branches=branches,
        libraries=tuple(libraries),
        plugins=plugins,
    )


def devstack_url(lab: Lab, release: Release) -> str:
    """Return where DevStack itself is cloned from; the spec's git_base has it, too."""
    base = git_base(lab, "")
    if not base:
        return release.repository
    return f"{base}{urlsplit(release.repository).path}"


def devstack_ref(lab: Lab, release: Release) -> str:
    """Return the branch, tag or change of DevStack itself."""
    return dict(lab.stack.refs).get(DEVSTACK, release.ref)


def driver_plugins(lab: Lab, release: Release) -> tuple[Plugin, ...]:
    """Return the repositories that the driver needs, at the release's branches."""
    driver_ref = release.text(f"{lab.stack.driver}_ref")
    if not driver_ref:
        return ()
    base, refs = git_base(lab), dict(lab.stack.refs)
    plugins: list[Plugin] = []
    for needed in table().plugins.get(str(lab.stack.driver), ()):
        # The spec's ref, then the release's for this repository, then the driver's.
        ref = refs.get(needed.name, needed.refs.get(release.name, driver_ref))
        plugins.append(Plugin(name=needed.name, url=f"{base}/{needed.path}", ref=ref))
    return tuple(plugins)


def cloned_driver_plugins(lab: Lab, release: Release) -> tuple[Plugin, ...]:
    """Return the driver's repositories, without those that the spec has elsewhere."""
    replaced = {plugin.name for plugin in lab.stack.plugins}
    plugins = driver_plugins(lab, release)
    return tuple(plugin for plugin in plugins if plugin.name not in replaced)


def driver_projects(lab: Lab, release: Release) -> tuple[GitProject, ...]:
    """Return what a mirror of git needs for the driver: its plugins, and what these clone."""
    # Their URLs end in their paths below the same base.
    base = git_base(lab)
    plugins = [
        GitProject(path=plugin.url.removeprefix(f"{base}/"), ref=plugin.ref)
        for plugin in cloned_driver_plugins(lab, release)
    ]
    if not plugins:
        return ()
    return (*plugins, *table().cloned_by_plugins.get(str(lab.stack.driver), ()))


def _find_plugins(lab: Lab, release: Release) -> tuple[Plugin, ...]:
    """Return the driver's plugins, then the spec's.

    A plugin that is enabled twice ends stack.sh, so the spec's replaces the driver's.
    """
    plugins: dict[str, Plugin] = {}
    # In older releases nova-docker is part of the tree, or its files are copied into it.
    is_copied = lab.stack.driver is Driver.DOCKER and release.text("docker_style") != "plugin"
    if not is_copied:
        plugins = {plugin.name: plugin for plugin in driver_plugins(lab, release)}
    refs = dict(lab.stack.refs)
    default_ref = release.text("projects_ref") or release.ref
    for plugin in lab.stack.plugins:
        ref = refs.get(plugin.name, plugin.ref or default_ref)
        plugins[plugin.name] = Plugin(name=plugin.name, url=plugin.url, ref=ref)
    return tuple(plugins.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectTable:
    """The whole of projects.yaml."""

    order: tuple[str, ...]  # DevStack's releases, the oldest first
    projects: tuple[Project, ...]
    plugins: Mapping[str, tuple[Needed, ...]]  # by driver
    cloned_by_plugins: Mapping[str, tuple[GitProject, ...]]  # by driver


@functools.cache
def table() -> ProjectTable:
    """Return the table of projects, read once."""
    rows = facts.read(TABLE)
    order = tuple(rows["order"])
    projects: list[Project] = []
    for kind, is_library in (("servers", False), ("libraries", True)):
        for name, row in rows[kind].items():
            projects.append(_read_project(name, row, order, is_library=is_library))
    plugins = {driver: _read_needed(needed) for driver, needed in rows["plugins"].items()}
    by_plugins = {
        driver: tuple(GitProject(path=row["path"], ref=row["ref"]) for row in cloned_rows.values())
        for driver, cloned_rows in rows["cloned_by_plugins"].items()
    }
    return ProjectTable(
        order=order,
        projects=tuple(projects),
        plugins=MappingProxyType(plugins),
        cloned_by_plugins=MappingProxyType(by_plugins),
    )


def _read_needed(rows: Mapping[str, Mapping[str, Any]]) -> tuple[Needed, ...]:
    """Read the repositories that a driver needs."""
    repositories: list[Needed] = []
    for name, row in rows.items():
        repositories.append(Needed(name=name, path=row["path"], refs=row.get("refs", {})))
    return tuple(repositories)


def _read_project(name: str, row: str, order: tuple[str, ...], *, is_library: bool) -> Project:
    """Read a row such as `NOVA havana..kilo`; without an end, or both, the span is open there."""
    variable, _, span = row.partition(" ")
    first, _, last = span.partition("..")
    since = order.index(first) if first else 0
    until = order.index(last) + 1 if last else len(order)
    return Project(
        name=name,
        variable=variable,
        is_library=is_library,
        releases=order[since:until],
    )
