"""OpenSDN by tf-ansible-deployer, which brings OpenStack by kolla-ansible."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from stacklab.installers.contract import Kit
from stacklab.installers.kit.addresses import api_nic
from stacklab.installers.kit.release import release_of
from stacklab.installers.kit.sources import (
    RemoteSource,
    git_source,
    package_source,
    pip_source,
    plugin_sources,
    registry_sources,
    wanted_project_sources,
)
from stacklab.installers.kolla.words import LOGS, SECRET_ALIASES
from stacklab.installers.opensdn.answers import files, steps
from stacklab.lint.kinds import Linting
from stacklab.model.lab import Lab, Node
from stacklab.model.stack import Installer


def _linting() -> Linting:
    from stacklab.installers.opensdn.lint.linting import LINTING

    return LINTING


def _sources(lab: Lab, node: Node) -> Iterator[RemoteSource]:
    release = release_of(lab)
    yield package_source(lab)
    yield from registry_sources(dict(lab.stack.answers).get("CONTAINER_REGISTRY", ""))
    if node.name == lab.controller.name:
        yield git_source(release.repository, release.ref, settings="`mirrors: git:`")
        yield from wanted_project_sources(lab)
        yield from plugin_sources(lab)
        yield pip_source(lab)


KIT = Kit(
    word=Installer.OPENSDN,
    secret_names=files.secret_names,
    render=files.render,
    stages=steps.stages,
    linting=_linting,
    sources=_sources,
    secret_aliases=SECRET_ALIASES,  # kolla's words
    name_nic=api_nic,  # as kolla wants it
    own_modules=("vrouter",),
    log_places=(steps.LOG, LOGS, PurePosixPath("/var/log/contrail")),
)
