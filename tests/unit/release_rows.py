"""Rows of the table of releases, for the tests of all of them and of DevStack's."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from stacklab import releases
from stacklab.model.release import Release
from stacklab.model.stack import Installer

INSTALLERS = tuple(word for word in Installer if word is not Installer.NONE)
ROWS = tuple(row for word in INSTALLERS for row in releases.of(word).values())
DEVSTACK = releases.of(Installer.DEVSTACK)


# Oldest first; DevStack's master is in front of all of them.
SERIES = (
    "havana",
    "icehouse",
    "juno",
    "kilo",
    "liberty",
    "mitaka",
    "newton",
    "ocata",
    "pike",
    "queens",
    "rocky",
    "stein",
    "train",
    "ussuri",
    "victoria",
    "wallaby",
    "xena",
    "yoga",
    "zed",
    "2023.1",
    "2023.2",
    "2024.1",
    "2024.2",
    "2025.1",
    "2025.2",
    "2026.1",
    "master",
)


def since(name: str) -> set[str]:
    """DevStack's releases from that one on."""
    return set(SERIES[SERIES.index(name) :])


def having(option: str) -> set[str]:
    """DevStack's releases that understand an option of a lab's stack."""
    return {name for name, row in DEVSTACK.items() if option in row.options}


def by_title(rows: Iterable[Release] = ROWS) -> list[object]:
    """Each row under its own name."""
    return [pytest.param(row, id=f"{row.installer}-{row.name}") for row in rows]


def localrc_of(row: Release) -> str:
    """The lines that its bugs' work-arounds add."""
    return "\n".join(line for bug in row.bugs for line in bug.localrc)
