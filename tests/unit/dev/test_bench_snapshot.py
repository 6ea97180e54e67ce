"""The bench of snapshots: what it measures, and that the lab is as before, whatever ends it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path

import pytest

from stacklab.dev import bench_snapshot
from stacklab.dev.bench_snapshot import FIRST, LATER, NodeSize, SnapshotBench, SnapshotCycle
from stacklab.errors import CommandFailed, CommandTimedOut, HostError, LabError, ProviderError
from stacklab.model.state import NodeState
from stacklab.process.command import Command, Result
from stacklab.progress import Timing
from stacklab.providers.libvirt.snapshots import LibvirtSnapshots
from stacklab.views import tables
from stacklab.views.benches import rounds as views
from stacklab.workflow.snapshots import listing, restoring, saving
from tests.unit.checks.fake_lab import make_lab
from tests.unit.workflow.fake_host import FakeHost, host
from tests.unit.workflow.snapshots.fake_guests import Guests, Killed, install

__all__ = ["host"]

OK = Result(exit_code=0)


class RawCommands:
    """libvirt's own commands on the fake guests; `fails_at` is the word of one that fails."""

    def __init__(self, guests: Guests) -> None:
        self.guests = guests
        self.count = 100
        self.fails_at = ""
        self.raises: BaseException | None = None
        self.is_checked = True  # that the guests are back at what they had written first

    def __call__(self, command: Command) -> Result:
        assert command.argv[:4] == ("virsh", "-q", "-c", "qemu:///system")
        word, *_, file = command.argv[4:]
        path = Path(file)
        names = {name: uuid for uuid, name in self.guests.names.items()}
        uuid = names[f"trio_{path.stem}"]
        if word == self.fails_at:
            raise self.raises or CommandFailed(f"{word} ended with 1")
        if word == "save":
            assert command.argv[5] == f"trio_{path.stem}"
            assert self.guests.states[uuid] is NodeState.RUNNING
            path.write_text(self.guests.memory.pop(uuid, ""))
            self.guests.states[uuid] = NodeState.OFF
        else:
            assert command.argv[5] == "--running"
            assert self.guests.states[uuid] is NodeState.OFF
            self.guests.memory[uuid] = path.read_text()
            self.guests.states[uuid] = NodeState.RUNNING
            assert self.guests._chain(uuid) == path.read_text(), "memory met another disk"
        return OK

    def work(self) -> None:
        """Let what runs write a number that there was not before."""
        self.count += 1
        self.guests.work(self.count)


@pytest.fixture
def guests(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> Guests:
    """The lab trio is up, and its guests have written 1."""
    made = install(host, monkeypatch)
    host.up()
    made.work(1)
    return made


@pytest.fixture
def raw(host: FakeHost, guests: Guests) -> RawCommands:
    commands = RawCommands(guests)
    host.runner.on("virsh", answer=commands)
    return commands


def cycle(host: FakeHost, raw: RawCommands) -> SnapshotCycle:
    """What users do, and nodes that go on writing all the time."""

    def save(name: str) -> object:
        manifest = saving.save(host.context, "trio", name)
        raw.work()
        return manifest

    def reach() -> None:
        raw.guests.assert_whole()
        assert raw.guests.numbers() == {"1"} or not raw.is_checked
        raw.work()

    return SnapshotCycle(
        save=save,  # type: ignore[arg-type]
        restore=lambda name: restoring.restore(host.context, "trio", name),
        delete=lambda name: listing.delete(host.context, "trio", name),
        reach=reach,
    )


def measure(host: FakeHost, raw: RawCommands, rounds: int = 3) -> SnapshotBench:
    return bench_snapshot.measure(host.context, "trio", cycle(host, raw), rounds=rounds)


def assert_nothing_left(host: FakeHost, guests: Guests) -> None:
    guests.assert_whole()
    assert host.lab().snapshot_names() == ()
    assert not host.lab().snapshot_intent.exists()
    assert not (host.paths.root / "bench").exists()


def test_everything_is_measured_in_each_round_and_the_lab_is_as_before(
    host: FakeHost, guests: Guests, raw: RawCommands
) -> None:
    result = measure(host, raw)
    costs = {row["what"]: row for row in result.costs.as_dicts()}
    assert list(costs) == [
        "lab.snapshot",
        "lab.snapshot: nodes stand still",
        "lab.snapshot: write the nodes' memory",
        "lab.snapshot: let the nodes go on",
        "lab.snapshot: clocks",
        "virsh save",
        "virsh restore",
        "lab.restore",
        "lab.restore, until ssh and ping work",
        "lab.restore: read the nodes' memory",
        "lab.restore: answer",
        "lab.restore: clocks",
    ]
    for cost in costs.values():
        seconds = cost["seconds"]
        assert isinstance(seconds, list)
        assert len(seconds) == 3
    assert costs["lab.snapshot"]["base"] == "virsh save"
    assert costs["lab.restore, until ssh and ping work"]["base"] == "virsh restore"
    assert [size.node for size in result.sizes] == ["controller", "compute1", "compute2"]
    assert_nothing_left(host, guests)
    # The number of the last `reach`: what was written between the first snapshot and it is gone.
    assert guests.numbers() == {str(raw.count)}


@pytest.mark.parametrize("rounds", [1, 4])
def test_frozen_disks_do_not_pile_up_with_the_rounds(
    host: FakeHost, guests: Guests, raw: RawCommands, rounds: int
) -> None:
    measure(host, raw, rounds=rounds)
    # One below the disk that each of the three nodes has now.
    assert len(list(host.lab().frozen_disks.iterdir())) == 3


@pytest.mark.parametrize("word", ["save", "restore"])
@pytest.mark.parametrize("error", [None, KeyboardInterrupt()])
def test_whatever_ends_the_provider_s_own_commands_the_lab_comes_back(
    host: FakeHost,
    guests: Guests,
    raw: RawCommands,
    word: str,
    error: BaseException | None,
) -> None:
    raw.fails_at, raw.raises = word, error
    with pytest.raises(KeyboardInterrupt if error else CommandFailed):
        measure(host, raw)
    assert_nothing_left(host, guests)
    assert guests.numbers() == {"1"}


@pytest.mark.parametrize("which", ["save", "restore", "reach", "delete"])
def test_whatever_ends_a_command_of_ours_the_lab_comes_back(
    host: FakeHost, guests: Guests, raw: RawCommands, which: str
) -> None:
    real = cycle(host, raw)
    calls: list[str] = []

    def interrupted(*args: str) -> object:
        calls.append(which)
        if len(calls) == (2 if which == "save" else 1):
            raise KeyboardInterrupt
        return getattr(real, which)(*args)

    broken = SnapshotCycle(
        **{name: getattr(real, name) for name in ("save", "restore", "reach", "delete")}
        | {which: interrupted}
    )
    with pytest.raises(KeyboardInterrupt):
        bench_snapshot.measure(host.context, "trio", broken, rounds=2)
    assert_nothing_left(host, guests)


def test_a_snapshot_that_could_not_be_restored_is_kept(
    host: FakeHost, guests: Guests, raw: RawCommands, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_args: object) -> None:
        raise ProviderError("libvirt is gone")

    broken = cycle(host, raw)

    def save(name: str) -> object:
        manifest = broken.save(name)
        # Not before: saving restores, too.
        monkeypatch.setattr(LibvirtSnapshots, "restore", fails)
        return manifest

    lost = SnapshotCycle(
        save=save,  # type: ignore[arg-type]
        restore=broken.restore,
        delete=broken.delete,
        reach=broken.reach,
    )
    with pytest.raises(LabError, match="libvirt is gone"):
        bench_snapshot.measure(host.context, "trio", lost, rounds=1)
    assert host.lab().snapshot_names() == (FIRST,)
    # The next command tries again.
    assert host.lab().snapshot_intent.exists()
    monkeypatch.undo()


@pytest.mark.parametrize("remainder", range(2))
def test_killed_at_any_step_the_next_command_finds_a_whole_lab(
    host: FakeHost, guests: Guests, raw: RawCommands, remainder: int
) -> None:
    killer = guests.killer
    began = killer.steps
    measure(host, raw, rounds=1)
    steps = killer.steps - began
    assert steps > 50
    # A fifth of all steps, in two tests: all of them would take minutes.
    for step in range(1 + 5 * remainder, steps + 1, 10):
        raw.is_checked = False  # by now the guests have written more than 1
        killer.at = killer.steps + step
        # The last step may be a clock's, whose errors nobody hears.
        with contextlib.suppress(Killed):
            measure(host, raw, rounds=1)
        killer.next_command()
        with host.context.lab_lock("trio"):
            guests.assert_whole()
        for name in host.lab().snapshot_names():
            assert name == FIRST
            listing.delete(host.context, "trio", name)
        guests.assert_whole()


# --- refusals


def test_no_round_measures_nothing(host: FakeHost, guests: Guests, raw: RawCommands) -> None:
    with pytest.raises(LabError, match="--rounds 0 measures nothing"):
        measure(host, raw, rounds=0)


def test_a_lab_that_is_not_up_is_refused(host: FakeHost) -> None:
    with pytest.raises(LabError, match="lab trio is not up"):
        measure(host, RawCommands(Guests(host, None)))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [FIRST, LATER])
def test_a_snapshot_of_the_bench_s_name_is_not_touched(
    host: FakeHost, guests: Guests, raw: RawCommands, name: str
) -> None:
    saving.save(host.context, "trio", name)
    with pytest.raises(LabError, match=f"has a snapshot {name}") as caught:
        measure(host, raw)
    assert caught.value.hint == f"./invoke lab.snapshot-delete trio {name}"
    assert host.lab().snapshot_names() == (name,)


def test_a_node_that_is_off_is_refused_before_anything_is_touched(
    host: FakeHost, guests: Guests, raw: RawCommands
) -> None:
    guests.states[next(iter(guests.states))] = NodeState.OFF
    with pytest.raises(LabError, match="does not run whole"):
        measure(host, raw)
    assert not host.ran("virsh")


def test_a_full_disk_is_refused_before_anything_is_touched(
    host: FakeHost, guests: Guests, raw: RawCommands, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The three nodes have 3000 bytes of memory together.
    usage = shutil.disk_usage("/")._replace(free=(1 << 30) + 3 * 3000 - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(HostError, match="3 times the nodes' memory"):
        measure(host, raw)
    assert host.lab().snapshot_names() == ()
    usage = usage._replace(free=usage.free + 1)
    measure(host, raw, rounds=1)


def test_memory_that_only_root_may_read_is_left_alone(
    host: FakeHost, guests: Guests, raw: RawCommands, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.access

    def access(path: Path, mode: int) -> bool:
        return not str(path).endswith(".memory") and real(path, mode)

    monkeypatch.setattr(os, "access", access)
    with pytest.raises(HostError, match="by root alone") as caught:
        measure(host, raw)
    assert caught.value.hint == "sudo ./invoke bench.snapshot trio"
    assert not host.ran("virsh")
    assert_nothing_left(host, guests)


# --- parts


def test_of_a_stage_that_nodes_go_through_side_by_side_the_longest_counts() -> None:
    timings = [
        Timing(row=row, stage=stage, elapsed_s=elapsed_s)
        for row, stage, elapsed_s in (
            ("host", "clocks", 1.0),
            ("a", "answer", 2.0),
            ("b", "answer", 5.0),
            ("host", "clocks", 0.5),
        )
    ]
    assert bench_snapshot.seconds_by_stage(timings) == {"clocks": 1.5, "answer": 5.0}


def test_all_nodes_are_asked_until_each_pings_those_on_its_first_network(
    host: FakeHost, guests: Guests
) -> None:
    answers: dict[str, list[Result | BaseException]] = {
        "controller": [OK],
        "compute1": [Result(exit_code=1), OK],
        "compute2": [CommandTimedOut("late"), Result(exit_code=255), OK],
    }
    asked: list[str] = []

    def ssh(command: Command) -> Result:
        node = command.argv[-2]
        asked.append(node)
        for member in make_lab().nodes:
            assert str(member.access.address.ip) in command.argv[-1]
        answer = answers[node][0] if len(answers[node]) == 1 else answers[node].pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    host.runner.on("ssh", answer=ssh)
    slept: list[float] = []
    bench_snapshot.reach(host.context, "trio", slept.append)
    assert len(slept) == 2
    assert sorted(asked) == sorted([*answers] * 3)


def test_nodes_that_never_answer_are_named(
    host: FakeHost, guests: Guests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_snapshot, "_REACH_LIMIT_S", 0.0)
    host.runner.on("ssh", answer=Result(exit_code=1))
    with pytest.raises(LabError, match="fails on compute1, compute2, controller") as caught:
        bench_snapshot.reach(host.context, "trio", lambda _seconds: None)
    assert caught.value.hint == "./invoke lab.check trio"


def test_people_get_tables_and_programs_json(host: FakeHost) -> None:
    measured = SnapshotBench(lab="trio", rounds=1)
    measured.costs.add("virsh save", 2.0)
    measured.costs.add("lab.snapshot", 3.0, base="virsh save", wanted="at most 4")
    measured.sizes.append(
        NodeSize(node="controller", memory_mib=210.4, disk_mib=9.6, raw_mib=211.0)
    )
    console = tables.console()
    with console.capture() as captured:
        for one in views.snapshot_tables(measured):
            console.print(one)
    lines = [line.split() for line in captured.get().splitlines()]
    assert ["lab.snapshot", "3.00", "1.50", "at", "most", "4"] in lines
    assert ["controller", "210", "10", "211", "memory", "and", "disk", "at", "most", "260"] in lines
    data = json.loads(json.dumps(measured.as_dict()))
    assert data["costs"][1]["ratio"] == 1.5
    assert data["sizes"] == [
        {"node": "controller", "memory_mib": 210.4, "disk_mib": 9.6, "raw_mib": 211.0}
    ]
