"""Snapshots of nodes that have disks beside the one they boot from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from stacklab.errors import LabError
from stacklab.model.lab import Disk, Lab, Size
from stacklab.process.command import Command, Result
from stacklab.workflow.bundles import exporting
from stacklab.workflow.context import read_own
from stacklab.workflow.lab import ending
from stacklab.workflow.lab import up as bringing
from stacklab.workflow.lab.changes.refusing import Consent
from stacklab.workflow.snapshots import listing, pristine, store
from tests.unit.workflow.fake_host import FakeHost
from tests.unit.workflow.lab.changing import LAB, OWN, SECOND, SHARING, WITH_DISKS, with_node
from tests.unit.workflow.snapshots.fake_guests import Guests, info, install, restore, save

YES = Consent(removes=True, to_all=True)
GROWN = Disk(name="disk1", size=Size(2048), serial="disk1")
FURTHER = {
    "trio_compute1.disk1.qcow2",
    "trio_compute1.disk2.qcow2",
    "trio_compute2.disk1.qcow2",
}


@pytest.fixture
def guests(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> Guests:
    """The lab trio is up, and its guests have written 1 to each of their disks."""
    made = install(host, monkeypatch)
    host.runner.on("qemu-img", "info", answer=info_of_20_gib)
    host.up(WITH_DISKS)
    made.work(1)
    return made


def info_of_20_gib(command: Command) -> Result:
    """qemu-img info, with the size of the nodes' first disks."""
    data = {**json.loads(info(command).stdout), "virtual-size": 20 << 30}
    return Result(exit_code=0, stdout=json.dumps(data))


def further(host: FakeHost) -> set[str]:
    return {path.name for path in host.paths.volumes.glob("*.disk*")}


def destroyed(host: FakeHost) -> None:
    ending.destroy(host.context, "trio")


def test_all_disks_of_a_node_go_back_with_its_memory(host: FakeHost, guests: Guests) -> None:
    save(host)
    guests.assert_whole()
    for number in (2, 3):
        guests.work(number)
        restore(host)
        guests.assert_whole()
        assert guests.numbers() == {"1"}
    guests.work(4)
    save(host, "second")
    guests.work(5)
    restore(host, "second")
    guests.assert_whole()
    assert guests.numbers() == {"4"}


def test_its_manifest_names_each_by_a_file_of_its_own(host: FakeHost, guests: Guests) -> None:
    save(host)
    manifest = store.read(host.lab(), "first")
    part = manifest.nodes["compute1"]
    assert list(part.further_disks) == ["disk1", "disk2"]
    generation = part.disk.partition("-")[0]
    assert part.further_disks["disk2"] == f"{generation}-compute1.disk2.qcow2"
    assert manifest.nodes["controller"].further_disks == {}
    frozen = {path.name for path in host.lab().frozen_disks.iterdir()}
    assert set(manifest.disks) == frozen
    assert len(frozen) == len(manifest.disks) == 6


def test_a_deleted_snapshot_leaves_the_disks_that_others_need(
    host: FakeHost, guests: Guests
) -> None:
    save(host, "first")
    guests.work(2)
    save(host, "second")
    listing.delete(host.context, "trio", "first")
    assert len(list(host.lab().frozen_disks.iterdir())) == 12
    restore(host, "second")
    assert guests.numbers() == {"2"}
    listing.delete(host.context, "trio", "second")
    # The disks of today still lie on those that were frozen.
    guests.assert_whole()
    destroyed(host)
    assert not host.lab().snapshots.exists()
    assert list(host.paths.volumes.iterdir()) == []


def test_it_counts_what_they_take(host: FakeHost, guests: Guests) -> None:
    disk = host.lab().further_disk("compute2", "disk1")
    disk.write_text(f"{disk.read_text()}{' ' * 500_000}\n1")
    guests.work(2)
    save(host)
    assert store.read(host.lab(), "first").bytes > 500_000


def rebuilt(host: FakeHost) -> None:
    bringing.rebuild(host.context, WITH_DISKS, checks=False)


def one_rebuilt(host: FakeHost) -> None:
    bringing.rebuild_node(host.context, WITH_DISKS, "compute1", checks=False)


@pytest.mark.parametrize("change", [rebuilt, one_rebuilt])
def test_a_lab_that_was_made_anew_comes_back_with_them(
    host: FakeHost, guests: Guests, change: Callable[[FakeHost], None]
) -> None:
    save(host)
    guests.work(2)
    change(host)
    assert host.lab().further_disk("compute1", "disk1").read_text() == "empty"
    restore(host)
    guests.assert_whole()
    assert guests.numbers() == {"1"}
    assert further(host) == FURTHER


@pytest.mark.parametrize(
    "lab",
    [
        LAB,
        SHARING,
        with_node(WITH_DISKS, "controller", disks=(OWN,)),
        with_node(WITH_DISKS, "compute1", disks=(OWN,)),
        with_node(WITH_DISKS, "compute1", disks=(GROWN, SECOND)),
    ],
    ids=["none", "shared", "added", "removed", "grown"],
)
def test_a_snapshot_of_before_a_change_of_disks_brings_back_those_of_then(
    host: FakeHost, guests: Guests, lab: Lab
) -> None:
    save(host)
    host.up(lab, consent=YES)
    guests.work(2)
    restore(host)
    guests.assert_whole()
    assert guests.numbers() == {"1"}
    assert further(host) == FURTHER
    assert not host.lab().shared_disk("quorum").exists()


def test_a_node_that_is_off_and_comes_up_keeps_what_lies_on_a_frozen_disk(
    host: FakeHost, guests: Guests
) -> None:
    save(host)
    guests.work(2)
    disk = host.lab().further_disk("compute1", "disk2")
    before = disk.read_text()
    ending.down(host.context, "trio")
    host.up(WITH_DISKS)
    assert disk.read_text() == before


@pytest.mark.parametrize("lost", ["disk1", "disk2"])
def test_a_frozen_disk_that_is_missing_is_found_before_anything_is_touched(
    host: FakeHost, guests: Guests, lost: str
) -> None:
    save(host)
    guests.work(2)
    file = store.read(host.lab(), "first").nodes["compute1"].further_disks[lost]
    (host.lab().frozen_disks / file).rename(host.root / "lost")
    with pytest.raises(LabError, match=f"can't be restored: .*{file} is missing"):
        restore(host)
    assert guests.numbers() == {"2"}


@pytest.mark.parametrize("file", ["../../volumes/trio_controller.qcow2", "/etc/passwd"])
def test_a_manifest_with_a_foreign_disk_is_damaged(
    host: FakeHost, guests: Guests, file: str
) -> None:
    save(host)
    change_manifest(host, lambda node: node["further_disks"].update(disk1=file))
    with pytest.raises(LabError, match="not one of the lab's"):
        restore(host)


def change_manifest(host: FakeHost, change: Callable[[dict[str, dict[str, str]]], object]) -> None:
    """Change what the manifest has of compute1."""
    manifest = host.lab().snapshot("first").manifest
    data = json.loads(manifest.read_text())
    change(data["nodes"]["compute1"])
    manifest.write_text(json.dumps(data))


def test_what_is_written_of_nodes_without_is_what_earlier_versions_read(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(host, monkeypatch)
    host.up(LAB)
    save(host)
    text = next(host.paths.snapshots.glob("**/*.json")).read_text()
    assert '"disk"' in text
    assert "further_disks" not in text


def test_a_manifest_of_before_they_could_be_frozen_is_of_nodes_without(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    guests = install(host, monkeypatch)
    host.up()
    guests.work(1)
    save(host)
    change_manifest(host, lambda node: node.pop("further_disks", None))
    guests.work(2)
    restore(host)
    guests.assert_whole()
    assert guests.numbers() == {"1"}


# --- the pristine snapshot


@pytest.fixture
def kept(host: FakeHost, guests: Guests) -> Guests:
    """The lab's pristine snapshot is kept; its guests have written 1, and now 2."""
    paths = host.lab()
    lab_record = read_own(paths)
    assert lab_record is not None
    pristine.keep(host.context, WITH_DISKS, paths, lab_record, ())
    guests.work(2)
    return guests


def test_a_lab_comes_back_from_it_with_its_disks(host: FakeHost, kept: Guests) -> None:
    destroyed(host)
    assert list(host.paths.volumes.iterdir()) == []
    assert bringing.up(host.context, WITH_DISKS).came_from is not None
    kept.assert_whole()
    assert kept.numbers() == {"1"}
    kept.work(3)
    assert bringing.rebuild(host.context, WITH_DISKS).came_from is not None
    kept.assert_whole()
    assert kept.numbers() == {"1"}
    assert further(host) == FURTHER


def test_it_is_not_for_a_spec_with_other_disks(host: FakeHost, kept: Guests) -> None:
    destroyed(host)
    outcome = host.up(with_node(WITH_DISKS, "compute1", disks=(OWN,)))
    assert outcome.came_from is None
    assert "a cold start: the spec changed" in str(host.listener.heard)
    assert further(host) == FURTHER - {"trio_compute1.disk2.qcow2"}


# --- bundles


def test_it_can_not_be_exported_which_is_said_of_bundles_alone(
    host: FakeHost, guests: Guests, tmp_path: Path
) -> None:
    save(host)
    target = tmp_path / "bundle"
    match = "a bundle does not carry the further disks of compute1, compute2"
    with pytest.raises(LabError, match=match) as caught:
        exporting.export(host.context, "trio", "first", target, with_image=False)
    assert caught.value.hint == "./invoke lab.restore trio first, on this host"
    assert not target.exists()
    for snapshot in ("first", "later"):
        with pytest.raises(LabError, match=match):
            exporting.key(host.context, "trio", snapshot, lambda _name: WITH_DISKS)
