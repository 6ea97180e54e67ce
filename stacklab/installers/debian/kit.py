"""OpenStack from Debian's packages: quick, because the image holds packages and schemas."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from stacklab.installers.contract import Kit
from stacklab.installers.debian.answers import (
    access,
    departures,
    files,
    place,
    services,
    steps,
    tls,
)
from stacklab.installers.debian.answers.service import UNIT_PREFIX
from stacklab.installers.kit.sources import RemoteSource
from stacklab.lint.kinds import Linting
from stacklab.model.lab import Lab, Node
from stacklab.model.stack import Installer


def _linting() -> Linting:
    from stacklab.installers.debian.lint.linting import LINTING

    return LINTING


def _sources(_lab: Lab, _node: Node) -> Iterator[RemoteSource]:
    """Yield nothing: all that a node needs is in its image."""
    return iter(())


KIT = Kit(
    word=Installer.DEBIAN,
    secret_names=files.secret_names,
    render=files.render,
    stages=steps.stages,
    linting=_linting,
    sources=_sources,
    is_quick=True,
    units=services.units,
    service_prefix=UNIT_PREFIX,
    access=access.access,
    computes_program=departures.computes_program,
    left_out=place.left_out,
    certified=tls.certified,
    shaped_secrets=files.shaped_secrets,
    log_places=(PurePosixPath("/var/log/openvswitch"), PurePosixPath("/var/log/ovn")),
)
