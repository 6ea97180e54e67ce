"""Installers: each is one folder here with a `kit.py`, and one word in `model.stack.Installer`.

`KITS` is the only list of installers. Importing it imports no kit: `kit_of` does, when
a lab asks for one, so that no lab waits for the installers of others.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from pathlib import PurePath
from types import MappingProxyType
from typing import TYPE_CHECKING

from stacklab.model.stack import NO_INSTALLER, Installer

if TYPE_CHECKING:
    from stacklab.installers.contract import Kit

# Where each installer's kit is: the folder has the installer's own name.
KITS: Mapping[Installer, str] = MappingProxyType(
    {word: f"{__name__}.{word}.kit" for word in Installer if word is not NO_INSTALLER}
)


@functools.cache
def kit_of(word: Installer) -> Kit | None:
    """Import and return an installer's kit; None for a lab without an installer."""
    if word is NO_INSTALLER:
        return None
    kit: Kit = importlib.import_module(KITS[word]).KIT
    return kit


def is_secret_file(path: PurePath) -> bool:
    """Return True if some installer keeps nothing but secrets in files of that name."""
    # A tuple of beginnings, which is empty for most installers: then nothing matches.
    return any(path.name.startswith(kit.secret_files) for kit in all_kits())


def all_kits() -> tuple[Kit, ...]:
    """Import and return every kit, in the order of `KITS`."""
    kits = []
    for word in KITS:
        kit = kit_of(word)
        if kit is not None:  # never, as KITS has only installers
            kits.append(kit)
    return tuple(kits)
