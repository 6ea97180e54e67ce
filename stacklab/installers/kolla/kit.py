"""OpenStack in containers by kolla-ansible, which deploys from the first controller."""

from __future__ import annotations

from collections.abc import Iterator

from stacklab.installers.contract import Kit
from stacklab.installers.kit.addresses import api_nic
from stacklab.installers.kit.git import CLONES
from stacklab.installers.kit.sources import (
    RemoteSource,
    package_source,
    pip_source,
    plugin_sources,
    registry_sources,
    wanted_project_sources,
)
from stacklab.installers.kolla.answers import files, passwords, steps
from stacklab.installers.kolla.words import LOGS, SECRET_ALIASES
from stacklab.lint.kinds import Linting
from stacklab.model.lab import Lab, Node
from stacklab.model.stack import Installer


def _linting() -> Linting:
    from stacklab.installers.kolla.lint.linting import LINTING

    return LINTING


def _sources(lab: Lab, node: Node) -> Iterator[RemoteSource]:
    yield package_source(lab)
    yield from registry_sources(dict(lab.stack.answers).get("docker_registry", ""))
    if node.name == lab.controller.name:
        yield from wanted_project_sources(lab)
        yield from plugin_sources(lab)
        yield pip_source(lab)


KIT = Kit(
    word=Installer.KOLLA,
    secret_names=passwords.secret_names,
    render=files.render,
    stages=steps.stages,
    linting=_linting,
    sources=_sources,
    shaped_secrets=passwords.shaped_secrets,
    secret_aliases=SECRET_ALIASES,
    directories=(CLONES, files.CONFIG),
    log_places=(LOGS,),
    # kolla-ansible, kolla_systemd_worker.py: kolla-nova_api-container.service.
    service_prefix="kolla-",
    has_containers=True,
    secret_files=("passwords.",),
    # RabbitMQ and the prechecks want a host's name to be its address on the APIs' network.
    name_nic=api_nic,
)
