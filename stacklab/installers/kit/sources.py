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


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteSource:
    """A URL that a node fetches from; "" if it names no place."""

    kind: SourceKind
    url: str


def git_source(url: str) -> RemoteSource:
    """Return a source that git clones from."""
    return RemoteSource(kind=SourceKind.GIT, url=url)


def pip_source(lab: Lab) -> RemoteSource:
    """Return where a node has Python packages from: the spec's mirror, or pip's own default."""
    return RemoteSource(kind=SourceKind.PIP, url=lab.stack.mirrors.pip or pip_index())


def pip_index() -> str:
    """Return pip's built-in index, or "" in an environment without pip.

    pip keeps the address as a constant of its own; it is asked for, not copied.
    """
    try:
        return str(importlib.import_module("pip._internal.models.index").PyPI.simple_url)
    except (ImportError, AttributeError):
        return ""


def plugin_sources(lab: Lab) -> Iterator[RemoteSource]:
    """Yield where the lab's DevStack plugins are cloned from."""
    for plugin in lab.stack.plugins:
        yield git_source(plugin.url)


def project_sources(lab: Lab, release: Release) -> Iterator[RemoteSource]:
    """Yield where an installer that clones every project has them from."""
    # An old release's own default may no longer answer: its row says what does.
    default = release.text("git_base") or OPENDEV
    yield git_source(git_base(lab, default))


def wanted_project_sources(lab: Lab) -> Iterator[RemoteSource]:
    """Yield where projects come from if the spec wants any from git; else packages are enough."""
    stack = lab.stack
    if stack.git_base or stack.refs or stack.dev_mode:
        yield git_source(git_base(lab))
