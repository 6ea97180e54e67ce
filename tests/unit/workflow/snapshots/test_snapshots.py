"""Snapshots of a whole lab: made, restored, deleted."""

from __future__ import annotations

import json
import shutil
import tarfile
import time
from collections.abc import Callable

import pytest
from rich.table import Table

from stacklab import record
from stacklab.errors import HostError, LabError, ProviderError
from stacklab.model.lab import Lab
from stacklab.model.state import NodeState
from stacklab.process.command import Command, Result
from stacklab.providers.contract import Unreachable
from stacklab.views import snapshots as views
from stacklab.workflow import images
from stacklab.workflow.lab import ending
from stacklab.workflow.lab import up as bringing
from stacklab.workflow.lab.changes.refusing import Consent
from stacklab.workflow.lab.plan import changes_of
from stacklab.workflow.snapshots import listing, store
from tests.unit.checks.fake_lab import make_lab
from tests.unit.workflow.fake_host import FakeHost
from tests.unit.workflow.lab.changing import (
    GROWN,
    MIXED,
    MORE_MEMORY,
    OTHER_MAC,
    OTHER_RANGE,
    SHRUNK,
)
from tests.unit.workflow.snapshots.fake_guests import Guests, info, restore, save


def test_nodes_go_on_after_a_snapshot_and_come_back_to_it(host: FakeHost, guests: Guests) -> None:
    save(host)
    guests.assert_whole()
    guests.work(2)
    restore(host)
    guests.assert_whole()
    assert guests.numbers() == {"1"}
    # As often as wanted.
    guests.work(3)
    restore(host)
    guests.assert_whole()
    assert guests.numbers() == {"1"}


def test_snapshots_do_not_disturb_each_other(host: FakeHost, guests: Guests) -> None:
    save(host, "first")
    guests.work(2)
    save(host, "second")
    guests.work(3)
    restore(host, "first")
    guests.work(4)
    save(host, "third")
    for name, number in (("second", "2"), ("third", "4"), ("first", "1")):
        restore(host, name)
        guests.assert_whole()
        assert guests.numbers() == {number}
    assert [one.name for one in listing.listed(host.context, "trio")] == [
        "first",
        "second",
        "third",
    ]


def test_a_lab_that_was_destroyed_or_made_anew_comes_back(host: FakeHost, guests: Guests) -> None:
    save(host)
    bringing.rebuild(host.context, make_lab(), checks=False)
    guests.work(7)
    restore(host)
    guests.assert_whole()
    assert guests.numbers() == {"1"}


def test_a_python_that_knows_no_filters_of_tars_restores_as_well(
    host: FakeHost, guests: Guests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian 12's Python is 3.11.2; extractall takes a filter since 3.11.4."""
    real = tarfile.TarFile.extractall

    def extractall(
        self: tarfile.TarFile, path: str = ".", members: None = None, *, numeric_owner: bool = False
    ) -> None:
        real(self, path, members, numeric_owner=numeric_owner)

    monkeypatch.setattr(tarfile.TarFile, "extractall", extractall)
    monkeypatch.delattr(tarfile, "data_filter", raising=False)
    save(host)
    guests.work(2)
    restore(host)
    guests.assert_whole()
    assert guests.numbers() == {"1"}


@pytest.mark.parametrize("name", ["../outside", "/outside", "keys/../../outside"])
def test_a_tar_that_would_write_elsewhere_changes_nothing(
    host: FakeHost, guests: Guests, name: str
) -> None:
    save(host)
    place = host.lab().snapshot("first")
    with tarfile.open(place.files, "a") as archive:
        archive.addfile(tarfile.TarInfo(name))
    before = guests.numbers()
    with pytest.raises(LabError, match="is damaged"):
        restore(host)
    guests.assert_whole()
    assert guests.numbers() == before
    assert not host.lab().snapshot_intent.exists()
    assert not (host.paths.labs / "outside").exists()


def test_a_manifest_of_before_there_were_two_kinds_is_of_memory(
    host: FakeHost, guests: Guests
) -> None:
    save(host)
    place = host.lab().snapshot("first")
    data = json.loads(place.manifest.read_text())
    assert data.pop("kind") == "memory"
    place.manifest.write_text(json.dumps(data))
    guests.work(2)
    restore(host)
    guests.assert_whole()
    assert guests.numbers() == {"1"}
    assert isinstance(views.snapshots_table(listing.listed(host.context, "trio")), Table)


def test_its_files_come_back_with_it(host: FakeHost, guests: Guests) -> None:
    before = record.read(host.lab())
    assert before is not None
    save(host)
    host.lab().record.with_name("new").write_text("made later")
    (host.lab().answers / "odd").write_text("x")
    restore(host)
    after = record.read(host.lab())
    assert after is not None
    assert (after.nodes, after.networks) == (before.nodes, before.networks)
    assert not host.lab().record.with_name("new").exists()
    assert not (host.lab().answers / "odd").exists()


def test_nodes_that_stood_still_do_not_seem_to_have_booted_again(
    host: FakeHost, guests: Guests
) -> None:
    save(host)
    for command in (lambda: save(host, "second"), lambda: restore(host)):
        before = time.time()
        command()
        kept = record.read(host.lab())
        assert kept is not None
        assert kept.answered_at is not None
        assert kept.answered_at >= before


def test_a_deleted_snapshot_leaves_what_others_need(host: FakeHost, guests: Guests) -> None:
    save(host, "first")
    guests.work(2)
    save(host, "second")
    listing.delete(host.context, "trio", "first")
    restore(host, "second")
    assert guests.numbers() == {"2"}
    assert {path.name.partition("-")[0] for path in host.lab().frozen_disks.iterdir()} > set()
    listing.delete(host.context, "trio", "second")
    # The disks of today still lie on those that were frozen.
    guests.assert_whole()


def test_destroy_leaves_no_snapshot(host: FakeHost, guests: Guests) -> None:
    save(host)
    ending.destroy(host.context, "trio")
    assert not host.lab().snapshots.exists()


def test_destroy_removes_snapshots_whose_lab_is_gone(host: FakeHost, guests: Guests) -> None:
    save(host)
    shutil.rmtree(host.lab().root)
    assert ending.destroy(host.context, "trio") is True
    assert not host.lab().snapshots.exists()
    assert ending.destroy(host.context, "trio") is False


def test_a_snapshot_pins_its_image(host: FakeHost, guests: Guests) -> None:
    save(host)
    image = listing.listed(host.context, "trio")[0].image
    assert image in store.images(host.paths)
    host.stock(content=b"newer")
    assert image not in images.prune(host.context)


class TestRefused:
    def test_a_name_that_is_taken(self, host: FakeHost, guests: Guests) -> None:
        save(host)
        with pytest.raises(LabError, match="already"):
            save(host)

    @pytest.mark.parametrize("name", ["..", "a/b", "", "Upper", "disks", "-"])
    def test_a_name_that_is_none(self, host: FakeHost, guests: Guests, name: str) -> None:
        with pytest.raises(LabError, match="can't be a snapshot's name"):
            save(host, name)
        with pytest.raises(LabError, match="can't be a snapshot's name"):
            listing.delete(host.context, "trio", name)

    def test_a_lab_half_up(self, host: FakeHost, guests: Guests) -> None:
        uuid = next(iter(guests.states))
        guests.states[uuid] = NodeState.OFF
        with pytest.raises(LabError, match="does not run whole"):
            save(host)
        assert not host.lab().snapshots.exists()

    @pytest.mark.parametrize("command", [save, restore])
    def test_a_libvirtd_that_does_not_answer(
        self,
        host: FakeHost,
        guests: Guests,
        monkeypatch: pytest.MonkeyPatch,
        command: Callable[[FakeHost, str], None],
    ) -> None:
        save(host, "first")
        provider = host.context.provider()
        unreachable = Unreachable(service="libvirtd", why="no socket", hint="libvirtd -d")
        monkeypatch.setattr(provider, "why_unreachable", lambda *, start=False: unreachable)
        name = "second" if command is save else "first"
        with pytest.raises(ProviderError, match="libvirtd does not answer: no socket") as caught:
            command(host, name)
        assert caught.value.hint == "libvirtd -d"
        assert not host.lab().snapshot_intent.exists()
        guests.assert_whole()

    def test_too_little_disk_before_anything_is_paused(
        self, host: FakeHost, guests: Guests, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Guests, "used_memory", lambda _self, _uuid: 1 << 50)
        with pytest.raises(HostError, match="GB free"):
            save(host)
        guests.assert_whole()

    def test_an_unknown_snapshot_names_the_nearest(self, host: FakeHost, guests: Guests) -> None:
        save(host)
        for call in (
            lambda: restore(host, "frist"),
            lambda: listing.delete(host.context, "trio", "frist"),
        ):
            with pytest.raises(LabError, match="did you mean first"):
                call()

    def test_memory_that_was_changed(self, host: FakeHost, guests: Guests) -> None:
        save(host)
        place = host.lab().snapshot("first")
        place.memory(make_lab().nodes[0].name).write_text("cut off, or more")
        with pytest.raises(LabError, match="bytes, not"):
            restore(host)
        guests.assert_whole()

    @pytest.mark.parametrize("lost", ["memory", "disk", "files", "image"])
    def test_a_part_that_is_missing(self, host: FakeHost, guests: Guests, lost: str) -> None:
        save(host)
        place = host.lab().snapshot("first")
        node = make_lab().nodes[0].name
        manifest = store.read(host.lab(), "first")
        path = {
            "memory": place.memory(node),
            "disk": host.lab().frozen_disks / manifest.nodes[node].disk,
            "files": place.files,
            "image": host.paths.manifest(manifest.image),
        }[lost]
        path.unlink()
        with pytest.raises(LabError, match="can't be restored"):
            restore(host)

    def test_another_machines(self, host: FakeHost, guests: Guests) -> None:
        save(host)
        place = host.lab().snapshot("first")
        data = json.loads(place.manifest.read_text())
        data["machine"]["cpu"] = "host"
        place.manifest.write_text(json.dumps(data))
        with pytest.raises(LabError, match="this host has"):
            restore(host)
        guests.assert_whole()

    @pytest.mark.parametrize("disk", ["../../volumes/trio_controller.qcow2", "/etc/passwd"])
    def test_a_manifest_with_a_foreign_disk(
        self, host: FakeHost, guests: Guests, disk: str
    ) -> None:
        save(host)
        place = host.lab().snapshot("first")
        data = json.loads(place.manifest.read_text())
        data["nodes"]["controller"]["disk"] = disk
        place.manifest.write_text(json.dumps(data))
        with pytest.raises(LabError, match="not one of the lab's"):
            restore(host)


# --- a spec that changed between


YES = Consent(removes=True, to_all=True)


@pytest.mark.parametrize("lab", [GROWN, MIXED, MORE_MEMORY, OTHER_MAC, OTHER_RANGE, SHRUNK])
def test_a_snapshot_of_before_a_change_brings_back_the_lab_of_then(
    host: FakeHost, guests: Guests, lab: Lab
) -> None:
    host.runner.on("qemu-img", "info", answer=info_of_20_gib)
    then = record.read(host.lab())
    resolved, leases = host.lab().resolved.read_text(), dict(guests.hosts)
    save(host)
    host.up(lab, consent=YES)
    changed = record.read(host.lab())
    # By that, restoring removes what is defined otherwise today.
    assert then is not None
    assert changed is not None
    assert changed.handles != then.handles
    guests.work(2)
    restore(host)
    guests.assert_whole()
    assert guests.numbers() == {"1"}
    now = record.read(host.lab())
    assert now is not None
    assert now.handles == then.handles
    assert set(guests.states) == {node.handle["uuid"] for node in then.nodes}
    assert host.lab().resolved.read_text() == resolved
    assert guests.hosts == leases
    assert {path.name for path in host.paths.volumes.glob("*.qcow2")} == {
        f"trio_{node.name}.qcow2" for node in then.nodes
    }
    # And its nodes are those of the spec of then, should they ever be started again.
    assert changes_of(host.context, make_lab()).lines == ()
    host.up()
    guests.assert_whole()


def info_of_20_gib(command: Command) -> Result:
    """qemu-img info, with the size of the nodes' disks."""
    data = {**json.loads(info(command).stdout), "virtual-size": 20 << 30}
    return Result(exit_code=0, stdout=json.dumps(data))


def test_a_console_shows_after_a_restore_what_the_node_had_printed_then(
    host: FakeHost, guests: Guests
) -> None:
    console = host.lab().console("compute1")
    console.write_bytes(b"x" * 300_000 + b"\nbooted\n")
    save(host)
    kept = host.lab().snapshot("first").console("compute1").read_bytes()
    assert (len(kept), kept[-8:]) == (256 * 1024, b"\nbooted\n")
    console.write_bytes(b"of today\n")
    restore(host)
    assert console.read_bytes() == kept


def test_a_snapshot_of_before_consoles_were_kept_is_restored(
    host: FakeHost, guests: Guests
) -> None:
    save(host)
    for node in ("controller", "compute1", "compute2"):
        host.lab().snapshot("first").console(node).unlink()
    restore(host)
    guests.assert_whole()
    assert host.lab().console("compute1").read_bytes() == b""
