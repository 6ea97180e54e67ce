"""Snapshots whose command is killed at any step, or whose disk is full from any step on."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from stacklab import files
from stacklab.errors import LabError, ProviderError
from stacklab.providers import frozen_disks
from stacklab.workflow.lab import ending
from stacklab.workflow.snapshots import listing, restarting, store
from tests.unit.workflow.fake_host import FakeHost
from tests.unit.workflow.lab.changing import WITH_DISKS
from tests.unit.workflow.snapshots.fake_guests import (
    Guests,
    Killed,
    full_disk,
    install_with_files,
    restore,
    save,
)


@pytest.fixture
def guests(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> Guests:
    """The lab trio is up, its guests have written 1, and each change of a file is a step.

    Two of its nodes have further disks, and one has none.
    """
    made = install_with_files(host, monkeypatch)
    host.up(WITH_DISKS)
    made.work(1)
    return made


NEVER = 1 << 30
KILLED: dict[str, Callable[[FakeHost], None]] = {
    "save": lambda host: save(host, "second"),
    "restore": lambda host: restore(host, "first"),
    "delete": lambda host: listing.delete(host.context, "trio", "second"),
}


def left_over(host: FakeHost) -> set[str]:
    """Return files that belong neither to a snapshot nor to a node of today."""
    paths = host.lab()
    belongs = set(host.paths.volumes.glob("trio_*"))
    disks: list[Path] = []
    for manifest in store.listed(paths):
        place = paths.snapshot(manifest.name)
        belongs |= {place.manifest, place.files}
        for node, part in manifest.nodes.items():
            belongs |= {place.memory(node), place.domain(node), place.seed(node)}
            belongs.add(place.console(node))
            disks += [paths.frozen_disks / file for file in part.disk_files]
    belongs |= frozen_disks.needed(disks, paths, host.runner)
    there = [*host.paths.volumes.rglob("*"), *paths.snapshots.rglob("*")]
    return {str(path) for path in there if path.is_file() and path not in belongs}


def killed_at_every_step(host: FakeHost, guests: Guests, command: str) -> int:
    """Kill the command at each step in turn; the next command on the lab must put it right."""
    place = host.lab().snapshot("second")
    step = 0
    while True:
        step += 1
        if command == "delete" or (command == "save" and step % 5 == 0):
            restore(host, "first")  # else the nodes' disks would lie on more and more others
            guests.work(100 + step)
        if command == "delete":
            save(host, "second")
        guests.killer.steps = 0
        guests.killer.at = step
        before = guests.numbers()
        try:
            KILLED[command](host)
        except Killed:
            guests.killer.next_command()
        else:
            guests.killer.next_command()
            return step
        where = f"step {step}: {guests.killer.last}"
        # Any command that holds the lab puts it right.
        with host.context.lab_lock("trio"):
            pass
        guests.assert_whole()
        assert not host.lab().snapshot_intent.exists(), where
        assert left_over(host) == set(), where
        assert guests.numbers() in (before, {"1"} if command == "restore" else before), where
        if place.manifest.exists():
            assert store.read(host.lab(), "second").bytes > 0, where
            restore(host, "second")
            guests.assert_whole()
            assert guests.numbers() == before, where
            listing.delete(host.context, "trio", "second")
        guests.work(1000 + step)


@pytest.mark.parametrize("command", KILLED)
def test_killed_at_every_step_a_lab_is_the_old_one_or_the_new_one(
    host: FakeHost, guests: Guests, command: str
) -> None:
    save(host, "first")
    guests.work(2)
    assert killed_at_every_step(host, guests, command) > 10


@pytest.mark.parametrize("command", KILLED)
def test_a_disk_that_is_full_from_any_step_on_leaves_the_old_lab_or_the_new_one(
    host: FakeHost, guests: Guests, command: str
) -> None:
    save(host, "first")
    if command == "delete":
        save(host, "second")
    with full_disk(host, NEVER) as steps:
        KILLED[command](host)
    if command == "save":
        listing.delete(host.context, "trio", "second")
    failures = 0
    # At any other step the disk is as full as at the next one of these.
    for step in [step for step in steps if step.needs_room]:
        restore(host, "first")
        guests.work(100 + step.number)
        if command == "delete":
            save(host, "second")
        before = guests.numbers()
        with full_disk(host, step.number):
            try:
                KILLED[command](host)
            except (OSError, LabError):
                failures += 1
        where = f"step {step.number}: {step.what}"
        with host.context.lab_lock("trio"):
            pass
        guests.assert_whole()
        assert not host.lab().snapshot_intent.exists(), where
        assert left_over(host) == set(), where
        assert guests.numbers() in (before, {"1"} if command == "restore" else before), where
        if host.lab().snapshot("second").manifest.exists():
            restore(host, "second")
            assert guests.numbers() == before, where
            listing.delete(host.context, "trio", "second")
    # A delete makes room; all that it writes is what it intends.
    assert failures > 5 or command == "delete"


def test_at_no_step_of_a_restore_is_the_lab_without_its_record(
    host: FakeHost, guests: Guests
) -> None:
    """Without it, lab.destroy would remove the lab's files, and leave its nodes."""
    save(host, "first")
    missing: list[str] = []

    def look(what: str) -> None:
        if not host.lab().record.exists():
            missing.append(what)

    guests.killer.looks.append(look)
    restore(host, "first")
    assert missing == []


def test_what_nodes_do_after_a_killed_snapshot_went_on_is_not_lost(
    host: FakeHost, guests: Guests, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_arguments: object, **_options: object) -> None:
        guests.killer.is_dead = True
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(restarting, "settle", killed)
        with pytest.raises(Killed):
            save(host, "first")
    guests.killer.next_command()
    guests.work(2)
    with host.context.lab_lock("trio"):
        pass
    guests.assert_whole()
    assert guests.numbers() == {"2"}
    restore(host, "first")
    assert guests.numbers() == {"1"}


def test_a_killed_delete_is_finished_and_said(host: FakeHost, guests: Guests) -> None:
    save(host, "first")
    guests.killer.at = guests.killer.steps + 6
    with pytest.raises(Killed):
        listing.delete(host.context, "trio", "first")
    guests.killer.next_command()
    with host.context.lab_lock("trio"):
        pass
    assert "finishing lab.snapshot-delete trio first" in str(host.listener.heard)
    assert listing.listed(host.context, "trio") == ()
    assert left_over(host) == set()


def test_a_full_disk_keeps_no_snapshot_from_being_deleted(
    host: FakeHost, guests: Guests, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(host, "first")

    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "write", full)
    listing.delete(host.context, "trio", "first")
    assert listing.listed(host.context, "trio") == ()


def test_a_killed_snapshot_keeps_no_lab_from_being_destroyed(
    host: FakeHost, guests: Guests
) -> None:
    guests.killer.at = guests.killer.steps + 12
    with pytest.raises(Killed):
        save(host)
    guests.killer.next_command()
    ending.destroy(host.context, "trio")
    assert not host.lab().root.exists()
    assert not host.lab().snapshots.exists()


def test_a_restore_that_can_not_be_finished_says_how_to_leave_it(
    host: FakeHost, guests: Guests
) -> None:
    save(host, "first")
    save(host, "second")
    guests.killer.at = guests.killer.steps + 12
    with pytest.raises(Killed):
        restore(host, "second")
    guests.killer.next_command()
    host.lab().snapshot("second").files.unlink()
    with (
        pytest.raises(LabError, match="can't be finished") as caught,
        host.context.lab_lock("trio"),
    ):
        pass
    assert "lab.destroy trio" in (caught.value.hint or "")
    restore(host, "first")
    guests.assert_whole()


def test_a_restore_removes_what_a_killed_snapshot_has_left(host: FakeHost, guests: Guests) -> None:
    save(host, "first")
    guests.killer.at = guests.killer.steps + 12
    with pytest.raises(Killed):
        save(host, "cut")
    guests.killer.next_command()
    assert host.lab().snapshot("cut").root.exists()
    restore(host, "first")
    guests.assert_whole()
    assert not host.lab().snapshot("cut").root.exists()


def test_a_failure_in_the_middle_lets_the_nodes_go_on(
    host: FakeHost, guests: Guests, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Guests.save_memory

    def fails(self: Guests, uuid: str, path: Path) -> None:
        if self.names[uuid].endswith("compute1"):
            raise ProviderError("no space left on device")
        real(self, uuid, path)

    monkeypatch.setattr(Guests, "save_memory", fails)
    with pytest.raises(ProviderError, match="no space"):
        save(host)
    guests.assert_whole()
    assert guests.numbers() == {"1"}
    assert listing.listed(host.context, "trio") == ()
