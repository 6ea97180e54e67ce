"""Projects that DevStack clones: their variables and branches, and the plugins of drivers."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlsplit

from stacklab import facts
from stacklab.errors import RenderError
from stacklab.installers.kit.git import git_base
from stacklab.model.lab import Lab
from stacklab.model.release import Release
from stacklab.model.stack import Driver, Plugin
from stacklab.paths import PROJECT
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

    def plugin(self, base: str, release: str, ref: str) -> Plugin:
        """Return it as a plugin of a release; `ref` is the driver's."""
        return Plugin(name=self.name, url=f"{base}/{self.path}", ref=self.refs.get(release, ref))


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
    branches = {
        f"{word}_BRANCH": release.text("projects_ref") for word in release.words("projects")
    }
    plugins = _plugins(lab, release)
    elsewhere = {DEVSTACK, *(plugin.name for plugin in (*plugins, *driver_plugins(lab, release)))}
    libraries = []
    for name, ref in lab.stack.refs:
        if name in known:
            branches[f"{known[name].variable}_BRANCH"] = ref
            libraries += [name] if known[name].is_library else []
        elif name not in elsewhere:
            right = suggest(name, [*known, *elsewhere], label="it clones")
            hint = f"{right}; a project with a plugin of its own goes under stack.plugins"
            raise RenderError(
                f"stack.refs: DevStack {release.name} does not clone {name!r}", hint=hint
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
    return f"{base}{urlsplit(release.repository).path}" if base else release.repository


def devstack_ref(lab: Lab, release: Release) -> str:
    """Return the branch, tag or change of DevStack itself."""
    return dict(lab.stack.refs).get(DEVSTACK, release.ref)


def driver_plugins(lab: Lab, release: Release) -> tuple[Plugin, ...]:
    """Return the repositories that the driver needs, at the release's branches."""
    series = release.text(f"{lab.stack.driver}_ref")
    base, refs = git_base(lab), dict(lab.stack.refs)
    plugins = (
        plugin.plugin(base, release.name, series)
        for plugin in table().plugins.get(str(lab.stack.driver), ())
    )
    return (
        tuple(Plugin(name=p.name, url=p.url, ref=refs.get(p.name, p.ref)) for p in plugins)
        if series
        else ()
    )


def _plugins(lab: Lab, release: Release) -> tuple[Plugin, ...]:
    """Return the driver's plugins, then the spec's.

    A plugin that is enabled twice ends stack.sh, so the spec's replaces the driver's.
    """
    is_copied = lab.stack.driver is Driver.DOCKER and release.text("docker_style") != "plugin"
    plugins = {} if is_copied else {plugin.name: plugin for plugin in driver_plugins(lab, release)}
    refs, default_ref = dict(lab.stack.refs), release.text("projects_ref") or release.ref
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


@functools.cache
def table() -> ProjectTable:
    """Return the table of projects, read once."""
    rows = facts.read(TABLE)
    order = tuple(rows["order"])
    kinds = (("servers", False), ("libraries", True))
    return ProjectTable(
        order=order,
        projects=tuple(
            _project(name, row, order, lib)
            for kind, lib in kinds
            for name, row in rows[kind].items()
        ),
        plugins=MappingProxyType(
            {
                driver: tuple(
                    Needed(name=n, path=row["path"], refs=row.get("refs", {}))
                    for n, row in needed.items()
                )
                for driver, needed in rows["plugins"].items()
            }
        ),
    )


def _project(name: str, row: str, order: tuple[str, ...], is_library: bool) -> Project:
    variable, _, span = row.partition(" ")
    first, _, last = span.partition("..")
    since = order.index(first) if first else 0
    until = order.index(last) + 1 if last else len(order)
    return Project(name=name, variable=variable, is_library=is_library, releases=order[since:until])
