"""OpenStack from RDO's packages by Packstack, which runs on the controller."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from stacklab.installers.contract import Kit
from stacklab.installers.kit.release import release_of
from stacklab.installers.kit.sources import (
    RemoteSource,
    SourceKind,
    package_source,
    plugin_sources,
    wanted_project_sources,
)
from stacklab.installers.packstack.answers import files, steps
from stacklab.lint.kinds import Linting
from stacklab.model.lab import Lab, Node
from stacklab.model.stack import Installer


def _linting() -> Linting:
    from stacklab.installers.packstack.lint.linting import LINTING

    return LINTING


def _sources(lab: Lab, node: Node) -> Iterator[RemoteSource]:
    yield package_source(lab)
    if node.name == lab.controller.name:
        yield from wanted_project_sources(lab)
        yield from plugin_sources(lab)
        yield RemoteSource(kind=SourceKind.PACKAGES, url=release_of(lab).text("package_url"))


KIT = Kit(
    word=Installer.PACKSTACK,
    secret_names=files.secret_names,
    render=files.render,
    stages=steps.stages,
    linting=_linting,
    sources=_sources,
    # packstack/installer/basedefs.py: VAR_DIR, a directory for each run.
    log_places=(PurePosixPath("/var/tmp/packstack"),),
)
