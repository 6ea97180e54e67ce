"""Remote sources: where an installer fetches from while it runs."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from stacklab.installers.kit.git import OPENDEV, git_base
from stacklab.model.lab import Lab
from stacklab.model.release import Release


class SourceKind(StrEnum):
    """The program that fetches: each can be given a mirror of its own."""

    GIT = "git"
    PIP = "pip"
    PACKAGES = "packages"
    REGISTRY = "registry"  # of container images
    FILE = "file"  # a tarball or an image, by HTTP


_GIT_SETTINGS = "stack.git_base, or `mirrors: git:`"
# What in a spec, or on this host, replaces a source that can't be reached.
SETTINGS = {
    SourceKind.GIT: _GIT_SETTINGS,
    SourceKind.PIP: "stack.mirrors.pip, or index-url in this host's pip.conf",
    SourceKind.PACKAGES: "stack.mirrors.apt; the image has its sources from this host's APT",
    SourceKind.REGISTRY: "the registry's key in stack.answers",
    SourceKind.FILE: "the variable that names it, in stack.localrc",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteSource:
    """A URL that a node fetches from; "" if it names no place.

    PACKAGES without a URL are the sources in the node's own configuration. A URL of GIT is a
    repository's, unless `is_base`: then repositories are below it.
    """

    kind: SourceKind
    url: str
    ref: str = ""  # GIT: a branch, tag or change that has to be there
    is_base: bool = False
    # Stages that fetch from it, without @NODE; (): any stage of the node may.
    phases: tuple[str, ...] = ()
    settings: str = ""  # what replaces it; "": what replaces any source of its kind

    @property
    def replaced_by(self) -> str:
        """Return the settings that replace it."""
        return self.settings or SETTINGS[self.kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class GitProject:
    """A repository that a mirror of git needs: where it stands there, and what of it is cloned."""

    path: str  # openstack/nova
    ref: str  # a branch, a tag, a change; "": all that there is
    home: str = OPENDEV  # the server that it is on in the world

    @property
    def name(self) -> str:
        """Return the last word of its path: nova."""
        return self.path.rpartition("/")[2]


def git_source(
    url: str, ref: str = "", *, phases: tuple[str, ...] = (), settings: str = ""
) -> RemoteSource:
    """Return a repository that git fetches a ref from."""
    return RemoteSource(
        kind=SourceKind.GIT, url=url, ref=ref, phases=phases, settings=settings or _GIT_SETTINGS
    )


def package_source(lab: Lab, *, phases: tuple[str, ...] = ()) -> RemoteSource:
    """Return where a node has packages from: the spec's mirror, or its own configuration."""
    return RemoteSource(kind=SourceKind.PACKAGES, url=lab.stack.mirrors.apt, phases=phases)


def pip_source(lab: Lab, *, phases: tuple[str, ...] = ()) -> RemoteSource:
    """Return where a node has Python packages from: the spec's mirror, or pip's own default."""
    index = lab.stack.mirrors.pip or pip_index()
    return RemoteSource(kind=SourceKind.PIP, url=index, phases=phases)


def pip_index() -> str:
    """Return pip's built-in index, or "" in an environment without pip.

    pip keeps the address as a constant of its own; it is asked for, not copied.
    """
    try:
        return str(importlib.import_module("pip._internal.models.index").PyPI.simple_url)
    except (ImportError, AttributeError):
        return ""


def registry_sources(registry: str) -> Iterator[RemoteSource]:
    """Yield a registry that the spec names; a name without a host is one of the engine's own."""
    host = registry.partition("/")[0]
    if "." in host or ":" in host:
        yield RemoteSource(kind=SourceKind.REGISTRY, url=f"https://{host}/v2/")


def plugin_sources(lab: Lab, *, phases: tuple[str, ...] = ()) -> Iterator[RemoteSource]:
    """Yield where the lab's DevStack plugins are cloned from."""
    refs = dict(lab.stack.refs)
    for plugin in lab.stack.plugins:
        yield git_source(
            plugin.url,
            refs.get(plugin.name, plugin.ref),
            phases=phases,
            settings=f"the url of {plugin.name} in stack.plugins, or `mirrors: git:`",
        )


def project_sources(
    lab: Lab, release: Release, *, phases: tuple[str, ...] = ()
) -> Iterator[RemoteSource]:
    """Yield where an installer that clones every project has them from.

    Projects to which the spec gives a ref are named one by one: the ref may not exist.
    """
    # An old release's own default may no longer answer: its row says what does.
    base = git_base(lab, release.text("git_base") or OPENDEV)
    yield RemoteSource(kind=SourceKind.GIT, url=base, is_base=True, phases=phases)
    # The installer itself, and plugins, have their refs where they are cloned.
    elsewhere = {"devstack", *(plugin.name for plugin in lab.stack.plugins)}
    for project, ref in lab.stack.refs:
        if project not in elsewhere:
            yield _project_with_ref(base, project, ref, phases)


def wanted_project_sources(lab: Lab, *, phases: tuple[str, ...] = ()) -> Iterator[RemoteSource]:
    """Yield where projects come from if the spec wants any from git; else packages are enough."""
    stack = lab.stack
    if stack.git_base or stack.refs or stack.dev_mode:
        base = git_base(lab)
        yield RemoteSource(kind=SourceKind.GIT, url=base, is_base=True, phases=phases)
        for project, ref in stack.refs:
            yield _project_with_ref(base, project, ref, phases)


def _project_with_ref(base: str, project: str, ref: str, phases: tuple[str, ...]) -> RemoteSource:
    name = project.replace("_", "-")
    return git_source(
        f"{base}/openstack/{name}",
        ref,
        phases=phases,
        settings=f"{_GIT_SETTINGS}; another ref in stack.refs.{project}",
    )
