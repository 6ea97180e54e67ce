"""The DevStack that goes with a release of Contrail: a fact of the table, for answers and lint."""

from __future__ import annotations

from stacklab import releases
from stacklab.model.release import Release
from stacklab.model.stack import Installer


def paired_devstack(release: Release) -> Release:
    """Return the DevStack that contrail-installer runs beside itself."""
    return releases.find(Installer.DEVSTACK, release.pairs[0])
