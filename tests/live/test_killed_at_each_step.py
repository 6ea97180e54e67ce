"""Snapshots of VMs whose command is killed, or meets another fault, at a step of its own.

CI takes a few steps of each command. `STACKLAB_EVERY_STEP=1` takes all of them, which is hours:

    STACKLAB_EVERY_STEP=1 .venv/bin/python -m pytest -m live -s -k kill-save \\
        tests/live/test_killed_at_each_step.py
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stacklab.paths import HostPaths, LabPaths
from tests.live import run_with_fault
from tests.live.labs import HOME, MINI
from tests.live.remains import virsh
from tests.live.step_faults import Fault, Step
from tests.live.typed import Run, Stacklab, flat

pytestmark = [pytest.mark.live, pytest.mark.kinds("vms", only=True)]

IS_EVERY_STEP = bool(os.environ.get("STACKLAB_EVERY_STEP"))
NODES = ("node1", "node2")
CUT, BASE = "taken-now", "taken-first"
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "save": ("lab.snapshot", MINI, "--name", CUT),
    "restore": ("lab.restore", MINI, BASE),
    "delete": ("lab.snapshot-delete", MINI, CUT),
}
# How many steps CI takes of each command; those with none are taken by hand only. A delete does
# not ask libvirt.
SHARES: Mapping[tuple[Fault, str], int] = {
    (Fault.KILL, "save"): 2,
    (Fault.KILL, "restore"): 2,
    (Fault.KILL, "delete"): 1,
    (Fault.KILL_WITHIN, "save"): 0,
    (Fault.KILL_WITHIN, "restore"): 0,
    (Fault.INTERRUPT, "save"): 0,
    (Fault.INTERRUPT, "restore"): 0,
    (Fault.INTERRUPT, "delete"): 0,
    (Fault.FULL_DISK, "save"): 1,
    (Fault.FULL_DISK, "restore"): 0,
    (Fault.FULL_DISK, "delete"): 0,
    (Fault.RESTART, "save"): 0,
    (Fault.RESTART, "restore"): 1,
}
TAKEN = [of for of, share in SHARES.items() if share or IS_EVERY_STEP]
# On each node, in memory and on its disk.
_WRITE = "echo {mark} >/dev/shm/mark && echo {mark} | dd of=/var/tmp/mark conv=fsync status=none"
_BOOT = "cat /proc/sys/kernel/random/boot_id"
# iflag=direct: past the page cache, which is memory, from the disk itself.
_READ = f"cat /dev/shm/mark && dd if=/var/tmp/mark iflag=direct bs=4096 status=none && {_BOOT}"


def taken_of(steps: Sequence[Step], fault: Fault, command: str) -> list[int]:
    """Return the steps at which the fault is made: those where it makes a difference."""
    numbers = [step.number for step in steps if _matters(step, fault)]
    assert numbers, f"{command} has no step for {fault}"
    if IS_EVERY_STEP:
        return numbers
    # The middle of each of so many equal parts.
    parts = 2 * SHARES[fault, command]
    return [numbers[len(numbers) * middle // parts] for middle in range(1, parts, 2)]


def _matters(step: Step, fault: Fault) -> bool:
    """Return False for a step at which the fault does what it does at the next one, or a kill."""
    if fault is Fault.KILL_WITHIN:
        return step.is_program_or_libvirt
    if fault is Fault.RESTART:
        return step.is_libvirt
    return step.needs_room or fault is not Fault.FULL_DISK


@dataclass
class Mini:
    """The lab mini-2node, whose nodes have a mark each: the same one, in memory and on disk."""

    stacklab: Stacklab
    directory: Path  # for the logs of steps
    boots: Mapping[str, str] = field(default_factory=dict)  # by node, the id of its boot
    base_mark: str = ""
    marks_made: int = 0
    counted: dict[str, Sequence[Step]] = field(default_factory=dict)

    @property
    def paths(self) -> LabPaths:
        return HostPaths(HOME).lab(MINI)

    def on_nodes(self, command: str) -> Mapping[str, list[str]]:
        """Run a command on each node, and return its lines."""
        return {node: self.stacklab.on(MINI, node, command).split() for node in NODES}

    def make_mark(self) -> str:
        """Give all nodes a new mark, and return it."""
        self.marks_made += 1
        mark = f"mark-{self.marks_made}"
        self.on_nodes(_WRITE.format(mark=mark))
        return mark

    def mark(self) -> str:
        """Return the nodes' mark; fails unless it is one, and no node has booted again."""
        read = self.on_nodes(_READ)
        assert {node: lines[2] for node, lines in read.items()} == self.boots
        marks = {mark for lines in read.values() for mark in lines[:2]}
        assert len(marks) == 1, f"memory, disks or nodes are of different moments: {read}"
        return marks.pop()

    def snapshots(self) -> Mapping[str, Sequence[str]]:
        """Return the disks of each snapshot that is listed, by its name."""
        listed = json.loads(self.stacklab.ok("lab.snapshots", MINI, "--json").out)
        return {one["name"]: [part["disk"] for part in one["nodes"].values()] for one in listed}

    def prepare(self) -> None:
        """Have both nodes run, with the snapshot BASE and no other one."""
        for name in self.snapshots():
            self.stacklab.ok("lab.snapshot-delete", MINI, name)
        self.boots = {node: lines[0] for node, lines in self.on_nodes(_BOOT).items()}
        self.base_mark = self.make_mark()
        self.stacklab.ok("lab.snapshot", MINI, "--name", BASE)

    # --- a round: a fault, and the command after it

    def run(self, command: str, fault: Fault, at: int) -> tuple[Run, Sequence[Step]]:
        """Run one of COMMANDS with a fault at a step."""
        words = COMMANDS[command]
        log = self.directory / "steps"
        arguments = run_with_fault.arguments(fault, at, log, *words)
        started = time.monotonic()
        process = self.stacklab.start_python(*arguments)
        return self.stacklab.end_of(process, words, started), run_with_fault.read(log)

    def count(self, command: str) -> Sequence[Step]:
        """Return the steps of a command to which nothing happens."""
        if command not in self.counted:
            if command == "delete":
                self.stacklab.ok("lab.snapshot", MINI, "--name", CUT)
            run, self.counted[command] = self.run(command, Fault.NONE, 0)
            assert run.code == 0
            for step in self.counted[command]:
                print(f"{command} {step.number}: {step.what}")
            if command == "save":
                self.stacklab.ok("lab.snapshot-delete", MINI, CUT)
        return self.counted[command]

    def go_round(self, command: str, fault: Fault, at: int) -> None:
        """Make the fault; the next command has to leave the lab of before, or the new one."""
        if at % 10 == 0:
            # Each snapshot leaves one more disk below those of today, and this none.
            self.stacklab.ok("lab.restore", MINI, BASE)
        mark = self.make_mark()
        if command == "delete":
            self.stacklab.ok("lab.snapshot", MINI, "--name", CUT)
        run, steps = self.run(command, fault, at)
        where = f"{fault} at {at} of {command}: {steps[-1].what}"
        if len(steps) >= at:
            where = f"{fault} at {at} of {command}: {steps[at - 1].what}"
            assert_ended(run, fault, where)
        else:
            # Nodes work side by side: now and then a run has a step less.
            assert run.code == 0, where
        is_unfinished = self.paths.snapshot_intent.exists()
        up = self.stacklab.ok("lab.up", MINI, "--no-checks")
        print(f"{where}: ended with {run.code}, then lab.up said: {up.err[-300:]}")
        if is_unfinished:
            # Which one it finished or undid.
            assert COMMANDS[command][-1] in flat(up.err), where
        self.assert_whole(where)
        found = self.mark()
        assert found in {mark, self.base_mark if command == "restore" else mark}, where
        if CUT in self.assert_nothing_left(where):
            self.make_mark()
            self.stacklab.ok("lab.restore", MINI, CUT)
            assert self.mark() == mark, where
            self.stacklab.ok("lab.snapshot-delete", MINI, CUT)
            self.assert_nothing_left(where)

    def assert_whole(self, where: str) -> None:
        """Both nodes run, and nothing is left undone."""
        running = virsh("list", "--state-running")
        assert {f"{MINI}_{node}" for node in NODES} <= set(running), where
        assert not self.paths.snapshot_intent.exists(), where

    def assert_nothing_left(self, where: str) -> Sequence[str]:
        """Each file belongs to a node or to a snapshot that is listed; returns these."""
        listed = self.snapshots()
        assert BASE in listed, where
        volumes = self.paths.host.volumes
        belongs = {path for node in NODES for path in self.paths.disks(node)}
        tops = [self.paths.overlay(node) for node in NODES]
        for name, disks in listed.items():
            place = self.paths.snapshot(name)
            belongs |= {place.manifest, place.files}
            for node in NODES:
                belongs |= {place.memory(node), place.domain(node), place.seed(node)}
                belongs.add(place.console(node))
            tops += [self.paths.frozen_disks / disk for disk in disks]
        for top in tops:
            belongs |= chain(top)
        there = [*volumes.glob(f"*{MINI}_*"), *self.paths.snapshots.rglob("*")]
        left = [str(path) for path in there if path.is_file() and path not in belongs]
        assert left == [], where
        return list(listed)


def chain(disk: Path) -> set[Path]:
    """Return a disk with all that it lies on."""
    argv = ("qemu-img", "info", "--force-share", "--backing-chain", "--output=json", str(disk))
    run = subprocess.run(argv, capture_output=True, text=True, check=True)
    return {Path(one["filename"]) for one in json.loads(run.stdout)}


def assert_ended(run: Run, fault: Fault, where: str) -> None:
    """The command ended as that fault ends one."""
    assert "Traceback" not in run.err, where
    if fault is Fault.KILL:
        assert run.code == -signal.SIGKILL, where
    elif fault is Fault.INTERRUPT:
        assert run.code == 130, where
    elif fault is Fault.FULL_DISK and run.code:
        # It may have ended well: what failed was a line of the event log, for example.
        assert "No space left on device" in run.err, where


@pytest.fixture(scope="module")
def mini(stacklab: Stacklab, image: Path, tmp_path_factory: pytest.TempPathFactory) -> Mini:
    """Have mini-2node up, as VMs."""
    assert image.is_file()
    if f"{MINI}_node1" not in virsh("list", "--all"):
        stacklab.ok("lab.destroy", MINI)  # where it is of containers
    stacklab.ok("lab.up", MINI, "--no-checks")
    return Mini(stacklab, tmp_path_factory.mktemp("steps"))


@pytest.mark.parametrize(
    ("fault", "command"), TAKEN, ids=[f"{fault}-{command}" for fault, command in TAKEN]
)
def test_the_next_command_leaves_the_old_lab_or_the_new_one(
    mini: Mini, kind: str, fault: Fault, command: str
) -> None:
    """Whatever happened at any step, on all nodes alike, and with nothing left of the other."""
    mini.stacklab.ok("lab.up", MINI, "--no-checks")  # after a test that failed
    mini.prepare()
    numbers = taken_of(mini.count(command), fault, command)
    for at in numbers:
        mini.go_round(command, fault, at)
    mini.stacklab.ok("lab.restore", MINI, BASE)
    assert mini.mark() == mini.base_mark
    mini.stacklab.ok("lab.snapshot-delete", MINI, BASE)
    print(f"{fault} at {len(numbers)} of {len(mini.count(command))} steps of {command}")
