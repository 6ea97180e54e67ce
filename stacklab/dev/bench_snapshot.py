"""`bench.snapshot`: snapshots of a lab that is up, against its provider's own save and restore.

Never fails a test. All is measured in one process, so the start of ./invoke is not in it.

In each round the lab is snapshotted; saved by the provider's own command; started by it from
copies of the first snapshot's memory; and restored by us from that snapshot. The provider's own
restore reads the very bytes that ours reads, and copies keep the snapshot whole whatever becomes
of them. Memory never meets a disk that moved on: before that restore each node gets an empty disk
above the frozen one, as ours does it. So at the end of each round the lab is as it was when the
first snapshot was made.

From the provider's save until our restore has ended, the lab's intent says that the first snapshot
is being restored: after a kill, the next command on the lab does that.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stacklab.codec import JSON
from stacklab.dev.costs import Costs
from stacklab.errors import HostError, LabError
from stacklab.model.lab import Lab, Node
from stacklab.model.snapshot import SnapshotManifest
from stacklab.paths import LabPaths
from stacklab.progress import Timing
from stacklab.providers.raw_memory import HasRawMemory, RawMemory
from stacklab.providers.snapshot_maker import SnapshotMaker
from stacklab.tools import bounded, ssh
from stacklab.workflow.context import Context, last_resolved, not_up, read_own
from stacklab.workflow.snapshots import intent, restoring, saving, store

# To this one the lab is brought back; the other ones are made and deleted in each later round.
FIRST = "bench"
LATER = "bench-later"

# At the same time: both snapshots, and what the provider saves or is given as copies.
_MEMORIES = 3
_REACH_LIMIT_S = 120.0
_ASK_LIMIT_S = 30.0
_POLL_S = 0.1
_BYTES_PER_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotCycle:
    """What a user does with the lab, as functions."""

    save: Callable[[str], SnapshotManifest]
    restore: Callable[[str], object]
    delete: Callable[[str], object]
    reach: Callable[[], object]  # returns when ssh and ping work on all nodes


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSize:
    """What a node takes in the first snapshot, in MiB on this host's disk."""

    node: str
    memory_mib: float
    disk_mib: float  # what it has written since it was made, or since the snapshot before
    raw_mib: float  # its memory as the provider's own command saved it


@dataclass(slots=True, kw_only=True)
class SnapshotBench:
    """What was measured."""

    lab: str
    rounds: int
    costs: Costs = field(default_factory=Costs)
    sizes: list[NodeSize] = field(default_factory=list)

    def as_dict(self) -> dict[str, JSON]:
        """Return it for programs."""
        return {
            "lab": self.lab,
            "rounds": self.rounds,
            "costs": [*self.costs.as_dicts()],
            "sizes": [dataclasses.asdict(size) for size in self.sizes],
        }


def measure(context: Context, name: str, cycle: SnapshotCycle, *, rounds: int) -> SnapshotBench:
    """Measure a lab of VMs that is up; it is then as it was, without the bench's snapshots.

    Raises LabError, before anything is touched, where that can't be done.
    """
    paths, maker = _ready_lab(context, name, rounds)
    if not isinstance(maker, HasRawMemory):
        raise LabError(
            f"the provider of lab {name} has nothing to compare its snapshots with",
            hint=f"./invoke lab.snapshot {name} --name NAME",
        )
    run = _Run(context, paths, cycle, maker.raw_memory(), rounds)
    try:
        for number in range(1, rounds + 1):
            context.progress.note("host", f"round {number} of {rounds}")
            run.round(is_first=number == 1)
    finally:
        run.clean_up()
    return run.result


def _ready_lab(context: Context, name: str, rounds: int) -> tuple[LabPaths, SnapshotMaker]:
    """Return the paths and the maker of snapshots of a lab that can be measured."""
    if rounds < 1:
        raise LabError(
            f"--rounds {rounds} measures nothing", hint=f"./invoke bench.snapshot {name} --rounds 3"
        )
    with context.lab_lock(name) as paths:
        record = read_own(paths)
        lab = last_resolved(paths)
        if record is None or lab is None:
            raise not_up(context, name)
        left = {FIRST, LATER} & set(paths.snapshot_names())
        if left:
            raise LabError(
                f"lab {name} has a snapshot {min(left)}, a name that the bench needs itself",
                hint=f"./invoke lab.snapshot-delete {name} {min(left)}",
            )
        saving.refuse_unreachable(context.provider(record))
        maker = saving.maker_of(context, lab, record)
        store.refuse_full_disk(
            context.host,
            _MEMORIES * maker.bytes_needed(),
            what="the bench",
            why=f", {_MEMORIES} times the nodes' memory",
            hint=f"./invoke lab.snapshots {name}, image.prune, or set STACKLAB_HOME",
        )
    return paths, maker


class _Run:
    """The rounds of one bench, and what has to be put right after them."""

    def __init__(
        self,
        context: Context,
        paths: LabPaths,
        cycle: SnapshotCycle,
        raw: RawMemory,
        rounds: int,
    ) -> None:
        self._context = context
        self._paths = paths
        self._cycle = cycle
        self._raw = raw
        self._work = context.host.root / "bench"
        self._first: SnapshotManifest | None = None
        self.result = SnapshotBench(lab=paths.name, rounds=rounds)

    def round(self, *, is_first: bool) -> None:
        """Measure everything once; the lab is then as it was at the first snapshot."""
        manifest = self._save(FIRST if is_first else LATER)
        if self._first is None:
            self._first = manifest
        raw_bytes = self._save_and_restore_raw(self._first)
        self._restore()
        if is_first:
            self.result.sizes += self._sizes(self._first, raw_bytes)
        else:
            self._cycle.delete(LATER)

    def clean_up(self) -> None:
        """Delete the bench's snapshots; also after Ctrl-C or an error.

        Where the lab was not brought back yet, its intent says so: whoever takes its lock next, as
        a deletion does, restores the first snapshot before anything else.
        """
        shutil.rmtree(self._work, ignore_errors=True)
        for snapshot in (LATER, FIRST):
            if snapshot in self._paths.snapshot_names():
                self._cycle.delete(snapshot)

    # --- what a round measures

    def _save(self, snapshot: str) -> SnapshotManifest:
        costs, base = self.result.costs, self._raw.save_command
        began = len(self._context.progress.timings)
        manifest = costs.timed(
            "lab.snapshot", lambda: self._cycle.save(snapshot), base=base, wanted="at most 4"
        )
        costs.add("lab.snapshot: nodes stand still", manifest.paused_s, wanted="at most 2")
        self._add_stages("lab.snapshot", began)
        return manifest

    def _save_and_restore_raw(self, first: SnapshotManifest) -> Mapping[str, int]:
        """Measure the provider's own commands; return the bytes that it saved of each node."""
        costs, raw = self.result.costs, self._raw
        wanted = restoring.intent_of(first)
        with self._context.lab_lock(self._paths.name) as paths:
            self._make_work()
            self._refuse_unreadable(first)
            intent.write(paths, wanted)
            saved = {node: self._work / f"{node}.saved" for node in first.nodes}
            with self._context.progress.stage("host", raw.save_command):
                costs.timed(raw.save_command, lambda: raw.save(saved))
            sizes = {node: path.stat().st_size for node, path in saved.items()}
            _remove(saved.values())
            with self._context.progress.stage("host", "copy the snapshot's memory"):
                copies = self._copies(first)
                raw.renew_disks(wanted.frozen(paths))
            with self._context.progress.stage("host", raw.restore_command):
                costs.timed(raw.restore_command, lambda: raw.restore(copies))
            _remove(copies.values())
        return sizes

    def _restore(self) -> None:
        costs, base = self.result.costs, self._raw.restore_command
        began = len(self._context.progress.timings)
        started = time.monotonic()
        costs.timed("lab.restore", lambda: self._cycle.restore(FIRST), base=base)
        self._cycle.reach()
        costs.add(
            "lab.restore, until ssh and ping work",
            time.monotonic() - started,
            base=base,
            wanted="at most 3, ratio 2",
        )
        self._add_stages("lab.restore", began, base=base)

    def _add_stages(self, command: str, began: int, *, base: str = "") -> None:
        """Add the stages that have ended since there were `began` of them."""
        timings = self._context.progress.timings[began:]
        for stage, seconds in seconds_by_stage(timings).items():
            self.result.costs.add(f"{command}: {stage}", seconds, base=base)

    # --- files

    def _make_work(self) -> None:
        """Make an empty directory for files that hold nodes' memory, with all its secrets."""
        shutil.rmtree(self._work, ignore_errors=True)
        self._work.mkdir(mode=0o700)

    def _refuse_unreadable(self, first: SnapshotManifest) -> None:
        place = self._paths.snapshot(FIRST)
        for node in first.nodes:
            if not os.access(place.memory(node), os.R_OK):
                raise HostError(
                    f"{place.memory(node)} can be read by root alone, and the bench copies it",
                    hint=f"sudo ./invoke bench.snapshot {self._paths.name}",
                )

    def _copies(self, first: SnapshotManifest) -> Mapping[str, Path]:
        """Copy the first snapshot's memory, so that the copies and it are alike in the cache."""
        place = self._paths.snapshot(FIRST)
        copies = {}
        for node in first.nodes:
            copies[node] = self._work / f"{node}.copy"
            shutil.copyfile(place.memory(node), copies[node])
            with copies[node].open("rb") as copy:
                os.fsync(copy.fileno())  # else the kernel writes it while a restore is timed
        return copies

    def _sizes(self, first: SnapshotManifest, raw_bytes: Mapping[str, int]) -> Sequence[NodeSize]:
        place = self._paths.snapshot(FIRST)
        return [
            NodeSize(
                node=node,
                memory_mib=_mib_on_disk(place.memory(node)),
                disk_mib=sum(
                    _mib_on_disk(self._paths.frozen_disks / file) for file in part.disk_files
                ),
                raw_mib=raw_bytes[node] / _BYTES_PER_MIB,
            )
            for node, part in first.nodes.items()
        ]


def _mib_on_disk(path: Path) -> float:
    return path.stat().st_blocks * 512 / _BYTES_PER_MIB


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def seconds_by_stage(timings: Sequence[Timing]) -> Mapping[str, float]:
    """Return how long each stage took: the host's added up, of nodes' the longest one."""
    seconds: dict[str, float] = {}
    for timing in timings:
        before = seconds.get(timing.stage, 0.0)
        if timing.row == "host":
            seconds[timing.stage] = before + timing.elapsed_s
        else:
            # Nodes go through a stage side by side.
            seconds[timing.stage] = max(before, timing.elapsed_s)
    return seconds


def reach(context: Context, name: str, sleep: Callable[[float], None] = time.sleep) -> None:
    """Wait until each node lets us in by ssh, and pings all nodes on its first network.

    Raises LabError after two minutes, naming the nodes that do not.
    """
    paths = context.host.lab(name)
    lab = last_resolved(paths)
    if lab is None:
        raise not_up(context, name)
    deadline = time.monotonic() + _REACH_LIMIT_S
    failed = _unreached(context, paths, lab)
    while failed:
        if time.monotonic() > deadline:
            raise LabError(
                f"ssh or ping still fails on {', '.join(failed)} after {_REACH_LIMIT_S:.0f} s",
                hint=f"./invoke lab.check {name}",
            )
        sleep(_POLL_S)
        failed = _unreached(context, paths, lab)


def _unreached(context: Context, paths: LabPaths, lab: Lab) -> Sequence[str]:
    """Return the nodes that ssh does not reach, or from which a ping fails; asks all at once."""
    failed: list[str] = []

    def ask(node: Node) -> None:
        neighbours = [str(nic.address.ip) for _, nic in lab.members(node.access.network)]
        words = ("fping", "-q", *neighbours)
        try:
            command = ssh.exec_command(paths, node.name, words, timeout_s=_ASK_LIMIT_S)
            is_fine = context.runner.run(command).exit_code == 0
        except LabError:
            is_fine = False
        if not is_fine:
            failed.append(node.name)

    calls = [functools.partial(ask, node) for node in lab.nodes]
    bounded.together(calls, name="reach")
    return sorted(failed)
