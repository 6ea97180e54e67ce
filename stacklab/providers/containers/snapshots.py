"""Snapshots of containers: their disks alone, of nodes that were shut down in order.

A kernel can't keep the memory of a container, so nodes boot from a snapshot, in seconds. Freezing
a disk moves what the node has written into a layer below the next, empty one: nothing is copied.
"""

from __future__ import annotations

import functools
import secrets
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from stacklab.errors import ProviderError
from stacklab.model.lab import Lab
from stacklab.model.snapshot import Hardware, SnapshotKind
from stacklab.model.stack import Role
from stacklab.paths import LabPaths, SnapshotPaths
from stacklab.process.command import Runner
from stacklab.providers.containers import layers
from stacklab.providers.containers.handles import Container
from stacklab.providers.containers.machines import Machines
from stacklab.providers.libvirt.storage import disks as node_disks
from stacklab.providers.snapshot_maker import NodeDisks
from stacklab.tools import bounded


class ContainersSnapshots:
    """See stacklab.providers.snapshot_maker.SnapshotMaker."""

    kind = SnapshotKind.DISKS
    disk_suffix = layers.SUFFIX

    def __init__(
        self,
        runner: Runner,
        paths: LabPaths,
        lab: Lab,
        containers: Sequence[Container],
        *,
        machines: Machines,
        shut_down: Callable[[Sequence[str]], None],
        start: Callable[[], None],
    ) -> None:
        """`start` makes networks and boots all of these containers."""
        self._runner = runner
        self._paths = paths
        self._lab = lab
        self._containers = containers
        self._machines = machines
        self._shut_down_nodes = shut_down
        self._start = start

    def further_disks(self, _node: str) -> Sequence[str]:
        """See SnapshotMaker.further_disks: no spec gives a container any."""
        return ()

    def machine(self) -> Hardware | None:
        """See SnapshotMaker.machine."""
        return None

    def bytes_needed(self) -> int:
        """See SnapshotMaker.bytes_needed."""
        for container in self._containers:
            count = len(layers.all_below(self._paths, container.name))
            if count >= layers.MOST:
                lab = self._paths.name
                raise ProviderError(
                    f"{container.name} lies on {count} disks that snapshots have frozen; its root "
                    "can't be made of more",
                    hint=f"./invoke lab.restore {lab} with an older snapshot, or "
                    f"./invoke lab.rebuild {lab}",
                )
        return 0

    def freeze(self) -> float:
        """See SnapshotMaker.freeze."""
        moments = []
        for names in self._in_order():
            self._shut_down_nodes(names)
            moments.append(time.monotonic())
        return moments[-1] - moments[0]

    def _in_order(self) -> Sequence[Sequence[str]]:
        """Return the nodes as they are shut down: first those whose services need others'.

        A compute's agents would wait in vain for the message queue of a controller that is off.
        """
        controllers = [node.name for node in self._lab.nodes if node.role is Role.CONTROLLER]
        others = [node.name for node in self._lab.nodes if node.name not in controllers]
        return [names for names in (others, controllers) if names]

    def store(self, place: SnapshotPaths, disks: Mapping[str, NodeDisks]) -> None:
        """See SnapshotMaker.store."""

        def freeze_disk(container: Container) -> None:
            name, layer = container.name, disks[container.name].disk
            node_disks.put_seed(place.seed(name), container.seed.read_bytes())
            layers.begin(layer, layers.under(self._paths, name))
            # Before the disk goes: a start that a killed command has left waiting is refused then.
            layers.lie_on(self._paths, name, layer)
            self._machines.set_aside(container, layer)

        self._on_all(freeze_disk)

    def resume(self, place: SnapshotPaths, disks: Mapping[str, NodeDisks]) -> None:
        """See SnapshotMaker.resume."""
        # Some may have been asked to shut down, and be at it.
        self.freeze()
        self._on_all(lambda container: self._take_back(container, disks[container.name].disk))
        self._start()

    def _take_back(self, container: Container, layer: Path) -> None:
        if not layers.is_begun(layer):
            return
        self._machines.take_back(container, layer)
        layers.lie_on(self._paths, container.name, layers.below(layer))
        layers.Layers(self._runner).remove([layer])

    def restore(self, place: SnapshotPaths, disks: Mapping[str, NodeDisks]) -> None:
        """See SnapshotMaker.restore."""

        def replace_disk(container: Container) -> None:
            name = container.name
            layers.lie_on(self._paths, name, disks[name].disk)
            if container.directory.exists():
                self._discard(container)
            node_disks.put_seed(container.seed, place.seed(name).read_bytes())
            node_disks.empty_console(self._paths.console(name))

        self._on_all(replace_disk)
        self._start()

    def _discard(self, container: Container) -> None:
        """Take away what a node has written: to delete it here would keep the lab waiting."""
        # Nobody needs it, so that it is removed with the next disks of which that is true.
        unneeded = f"discarded-{secrets.token_hex(4)}-{container.name}{layers.SUFFIX}"
        layer = self._paths.frozen_disks / unneeded
        layers.begin(layer, None)
        self._machines.set_aside(container, layer)
        if not layers.has_content(layer):
            shutil.rmtree(layer)

    def _on_all(self, work: Callable[[Container], None]) -> None:
        calls = [functools.partial(work, container) for container in self._containers]
        bounded.together(calls, name="snapshot")
