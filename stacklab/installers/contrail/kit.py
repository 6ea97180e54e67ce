"""OpenContrail by contrail-installer, with a DevStack of its time beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from stacklab.installers.contract import Kit
from stacklab.installers.contrail.answers import files, steps
from stacklab.installers.contrail.pairs import paired_devstack
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
from stacklab.model.release import Release
from stacklab.model.stack import Installer


def _linting() -> Linting:
    # Only when something is linted: no rendering waits for the rules.
    from stacklab.installers.contrail.lint.linting import LINTING

    return LINTING


def _companions(release: Release) -> tuple[Release, ...]:
    """Return the DevStack that runs beside it: its known bugs are met, too."""
    return (paired_devstack(release),) if release.pairs else ()


def _sources(lab: Lab, _node: Node) -> Iterator[RemoteSource]:
    release = release_of(lab)
    yield package_source(lab)
    # git_base does not have the installer itself.
    yield git_source(release.repository, release.ref, settings="`mirrors: git:`")
    yield from project_sources(lab, release)
    yield from plugin_sources(lab)
    yield pip_source(lab)


KIT = Kit(
    word=Installer.CONTRAIL,
    secret_names=files.secret_names,
    render=files.render,
    stages=steps.stages,
    linting=_linting,
    sources=_sources,
    companions=_companions,
    own_modules=("vrouter",),
    log_places=(
        files.INSTALLER_TREE / "log",
        files.LOG.parent,
        PurePosixPath("/var/log/contrail"),
    ),
)
