"""`lab.logs`, this host's side: collect what is made of a lab here, by looking only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from stacklab.errors import LabError
from stacklab.paths import LabPaths
from stacklab.paths.project import PROJECT
from stacklab.process.command import Command, Runner, as_root
from stacklab.providers.contract import HostLogs, LogSource, Provider
from stacklab.record import LabRecord
from stacklab.workflow.logs.node import from_whole_line

_LIMIT_S = 10.0
MOST_BYTES = 1024 * 1024  # of one file


class Host:
    """A lab's side on this host; `why_not` is why its provider can't be asked."""

    def __init__(
        self,
        runner: Runner,
        paths: LabPaths,
        record: LabRecord | None,
        provider: Provider,
        why_not: str,
    ) -> None:
        self._runner = runner
        self._paths = paths
        self._record = record
        self._provider = provider
        self._why_not = why_not

    def sources(self) -> Iterator[LogSource]:
        """Return everything, in the order of the index."""
        yield from self._own_files()
        yield LogSource(
            path="host/machine.txt",
            title="this host: kernel, memory, disks",
            read=self._describe_machine,
        )
        if self._record is not None and isinstance(self._provider, HostLogs):
            yield from self._provider.log_sources(self._paths, self._record, self, self._why_not)

    def _own_files(self) -> Iterator[LogSource]:
        paths = self._paths
        yield self.file(
            "host/events.log", "what was done to the lab, and how it ended", paths.events
        )
        older = paths.older_events
        if older.exists():
            yield self.file("host/events.log.1", "the events before those", older)
        yield self.file("host/record.json", "what exists of it on this host", paths.record)
        yield self.file("host/resolved.json", "the lab as it was resolved", paths.resolved)
        faults = paths.faults
        if faults.exists():
            yield self.file("host/faults.json", "faults that lab.fault has made", faults)
        if paths.journal.exists():
            yield self.file("host/stack/journal.jsonl", "stages, and how they ended", paths.journal)
        for log in sorted(paths.stack_logs.glob("*.log")):
            yield self.file(f"host/stack/{log.name}", f"stage {log.stem}: its output", log)
        for log in sorted(paths.logs.glob("*.console.log")):
            node = log.name.removesuffix(".console.log")
            yield self.file(f"host/console/{node}.log", f"{node}: its serial console", log)

    def file(self, path: str, title: str, file: Path) -> LogSource:
        """See LogReader.file."""
        return LogSource(
            path=path,
            title=title,
            read=lambda: self._read_tail(file),
            original=PurePosixPath(file),
        )

    def _describe_machine(self) -> str:
        commands = (
            ("uname", "-a"),
            ("uptime",),
            ("free", "-m"),
            ("df", "-h", str(self._paths.host.root)),
            ("df", "-i", "/"),
            *self._version_commands(),
            ("git", "-C", str(PROJECT), "log", "-1", "--format=%H %cI %s"),
        )
        outputs = [f"$ {' '.join(argv)}\n{self._output_of(argv)}" for argv in commands]
        return "\n".join(outputs)

    def _version_commands(self) -> Iterator[tuple[str, ...]]:
        if isinstance(self._provider, HostLogs):
            yield from self._provider.version_commands()

    def _output_of(self, argv: tuple[str, ...]) -> str:
        try:
            return self.run(argv)
        except LabError as error:
            return f"({error.message.splitlines()[0]})\n"

    def run(self, argv: tuple[str, ...]) -> str:
        """See LogReader.run."""
        # Some programs are in sbin, which a user's path may lack.
        path = f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin"
        env = {"PATH": path, "LC_ALL": "C"}
        command = Command(
            argv=argv,
            what=f"asking {argv[0]}",
            timeout_s=_LIMIT_S,
            env=env,
        )
        return self._runner.run(command).stdout

    def _read_tail(self, file: Path) -> str:
        """Return the end of a file, from a whole line on; root's by sudo, where that may be."""
        try:
            with file.open("rb") as stream:
                # From its end: a console log grows without a limit.
                size = stream.seek(0, 2)
                stream.seek(max(0, size - MOST_BYTES))
                data = stream.read(MOST_BYTES)
        except PermissionError:
            argv = as_root(("tail", "-c", str(MOST_BYTES), str(file)))
            command = Command(argv=argv, what=f"reading {file}", timeout_s=_LIMIT_S)
            text = self._runner.run(command).stdout
            return from_whole_line(text) if len(text.encode()) >= MOST_BYTES else text
        text = data.decode("utf-8", "replace")
        return from_whole_line(text) if size > MOST_BYTES else text
