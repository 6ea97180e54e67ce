"""Collect for `lab.logs` what this host knows of a lab's containers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stacklab.paths import LabPaths
from stacklab.providers.containers.handles import Container
from stacklab.providers.containers.machines import Machines
from stacklab.providers.contract import LogReader, LogSource

# Of the node's cgroup, where the host has them.
_FILES = (
    *("cgroup.events", "cgroup.procs"),
    *("memory.current", "memory.max", "memory.events"),
    *("pids.current", "pids.max", "pids.events"),
)


class ContainersLogs:
    """The log sources of one lab's containers."""

    def __init__(
        self,
        paths: LabPaths,
        reader: LogReader,
        machines: Machines,
        containers: Sequence[Container],
    ) -> None:
        self._paths = paths
        self._reader = reader
        self._machines = machines
        self._containers = containers

    def sources(self) -> Iterator[LogSource]:
        """Return everything, in the order of the index."""
        if not self._containers:
            return
        yield self._reader.file(
            "host/containers.json", "what each container is started with", self._paths.containers
        )
        for container in self._containers:
            yield self._source(container)

    def _source(self, container: Container) -> LogSource:
        group = self._machines.group(container)

        def read_all() -> str:
            outputs = []
            for name in _FILES:
                file = group / name
                if file.exists():
                    outputs.append(f"$ cat {file}\n{file.read_text()}")
            argv = ("ip", "-d", "-s", "link", "show")
            outputs.append(f"$ {' '.join(argv)}\n{self._reader.run(argv)}")
            return "\n".join(outputs)

        return LogSource(
            path=f"host/containers/{container.name}.txt",
            title=f"{container.name}: its cgroup, and this host's ends of its NICs",
            read=read_all,
        )
