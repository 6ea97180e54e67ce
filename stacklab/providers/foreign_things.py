"""What other programs than stacklab make on a provider: for benches that compare with them.

Nothing else may use it: labs are removed by their records, never by the beginning of a name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from stacklab.errors import LabError

# One that ends with its `-`: names of others can't begin with it by accident.
_PREFIX = re.compile(r"slpeer-[a-z]+-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Things:
    """Names of things of a provider, sorted."""

    domains: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    pools: tuple[str, ...] = ()  # of disks; the files in their directories are not known

    def __bool__(self) -> bool:
        return bool(self.domains or self.networks or self.pools)

    def __str__(self) -> str:
        return ", ".join((*self.domains, *self.networks, *self.pools))


class ForeignThings(Protocol):
    """Finds and removes things that a bench has had other programs make."""

    def find(self, prefix: str) -> Things:
        """Return all things whose names begin with that prefix; a lab's things never do.

        Raises LabError for what is not a bench's prefix.
        """
        ...

    def remove(self, prefix: str) -> Things:
        """Remove all that `find` finds, power of nodes cut, and return it; files stay.

        Raises LabError, naming what is still there.
        """
        ...

    def make_pool(self, name: str, directory: Path) -> None:
        """Have a pool of that name on a directory, with the files that are in it now."""
        ...

    def remove_pool(self, name: str) -> None:
        """Forget a pool, if there is one of that name; its files stay."""
        ...


@runtime_checkable
class HasForeignThings(Protocol):
    """A provider on which other programs make nodes, too."""

    def foreign_things(self) -> ForeignThings:
        """Return what finds and removes them."""
        ...


def refuse_other_prefix(prefix: str) -> None:
    """Raise LabError unless only a bench's things can have names with this prefix."""
    if not _PREFIX.fullmatch(prefix):
        raise LabError(
            f"{prefix!a} is not a bench's prefix: whatever has such a name would be removed",
            hint="use slpeer-WORD-, of lower-case letters",
        )


def is_of(prefix: str, name: str) -> bool:
    """Return True if a name is one of a bench's; a name with `_` is that of a lab's node."""
    return name.startswith(prefix) and "_" not in name
