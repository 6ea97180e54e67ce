"""Domains, networks and pools of other programs, by libvirt's own program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from stacklab.errors import ProviderError
from stacklab.process.command import Command, Runner
from stacklab.providers.foreign_things import Things, is_of, refuse_other_prefix
from stacklab.tools.libvirt.connection import URI
from stacklab.tools.libvirt.domains import Libvirt

_LIMIT_S = 60.0
_OK_OR_NOT = (0, 1)  # what is off can't be cut off, and what is transient is gone by then
_REMOVALS = {
    "domains": (
        ("destroy",),
        ("undefine", "--managed-save", "--snapshots-metadata"),
    ),
    "networks": (("net-destroy",), ("net-undefine",)),
    "pools": (("pool-destroy",), ("pool-undefine",)),
}


class LibvirtForeignThings:
    """See stacklab.providers.foreign_things.ForeignThings."""

    def __init__(self, runner: Runner, connect: Callable[[], Libvirt]) -> None:
        self._runner = runner
        self._connect = connect

    def find(self, prefix: str) -> Things:
        """See ForeignThings.find."""
        refuse_other_prefix(prefix)

        def names(word: str) -> tuple[str, ...]:
            listed = self._virsh(word, "--all", "--name").split()
            return tuple(sorted(name for name in listed if is_of(prefix, name)))

        return Things(domains=names("list"), networks=names("net-list"), pools=names("pool-list"))

    def remove(self, prefix: str) -> Things:
        """See ForeignThings.remove."""
        things = self.find(prefix)
        # Domains first: they use networks, and have files in pools open.
        for kind, removals in _REMOVALS.items():
            for name in getattr(things, kind):
                for word, *options in removals:
                    self._virsh(word, name, *options, ok_codes=_OK_OR_NOT)
        left = self.find(prefix) if things else things
        if left:
            raise ProviderError(
                f"{left}: made for a bench, and can't be removed", hint="virsh list --all"
            )
        return things

    def make_pool(self, name: str, directory: Path) -> None:
        """See ForeignThings.make_pool."""
        self._connect().ensure_pool(name, directory)

    def remove_pool(self, name: str) -> None:
        """See ForeignThings.remove_pool."""
        self._connect().remove_pool(name)

    def _virsh(self, *words: str, ok_codes: tuple[int, ...] = (0,)) -> str:
        command = Command(
            argv=("virsh", "-q", "-c", URI, *words),
            what=f"virsh {words[0]}",
            ok_codes=ok_codes,
            timeout_s=_LIMIT_S,
        )
        return self._runner.run(command).stdout
