"""Names that become directories: those of labs and of snapshots."""

from __future__ import annotations

import re

PRISTINE = "pristine"  # the snapshot that lab.up makes of a lab as it has left it
STAGE_PREFIX = "stage-"  # begins the names of snapshots at the ends of stages

_LAB_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


def is_lab_name(name: str) -> bool:
    """Return True if a lab may have this name: a host name, in lower case."""
    return _LAB_NAME.fullmatch(name) is not None
