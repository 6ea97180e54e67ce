"""libvirt's own save and restore, by its program as somebody would type it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from stacklab.process.command import Command, Runner
from stacklab.providers.libvirt.handles import LibvirtNode
from stacklab.providers.libvirt.storage import disks as node_disks
from stacklab.providers.snapshot_maker import NodeDisks
from stacklab.tools import bounded
from stacklab.tools.libvirt.connection import URI

_LIMIT_S = 900.0


class LibvirtRawMemory:
    """See stacklab.providers.raw_memory.RawMemory."""

    save_command = "virsh save"
    restore_command = "virsh restore"

    def __init__(
        self, runner: Runner, nodes: Sequence[LibvirtNode], *, power_off_all: Callable[[], None]
    ) -> None:
        self._runner = runner
        self._nodes = nodes
        self._power_off_all = power_off_all

    def save(self, files: Mapping[str, Path]) -> None:
        """See RawMemory.save."""
        self._virsh_all(lambda node: ("save", node.domain, str(files[node.name])))

    def renew_disks(self, disks: Mapping[str, NodeDisks]) -> None:
        """See RawMemory.renew_disks."""
        self._power_off_all()
        for node in self._nodes:
            node_disks.renew_overlays(self._runner, node, disks[node.name])

    def restore(self, files: Mapping[str, Path]) -> None:
        """See RawMemory.restore."""
        # --running: the memory of a snapshot is that of a paused node.
        self._virsh_all(lambda node: ("restore", "--running", str(files[node.name])))

    def _virsh_all(self, words: Callable[[LibvirtNode], tuple[str, ...]]) -> None:
        calls = [functools.partial(self._virsh, node, words(node)) for node in self._nodes]
        bounded.together(calls, name="raw memory")

    def _virsh(self, node: LibvirtNode, words: tuple[str, ...]) -> None:
        command = Command(
            argv=("virsh", "-q", "-c", URI, *words),
            what=f"virsh {words[0]} of {node.domain}",
            timeout_s=_LIMIT_S,
        )
        self._runner.run(command)
