"""Bundles: a snapshot exported by one home and imported by another, killed at every step."""

from __future__ import annotations

import dataclasses
import json
import shutil
import stat
import tarfile
from pathlib import Path
from typing import NamedTuple

import pytest

from stacklab import record
from stacklab.errors import AlreadyRunning, HostError, ImageError, LabError, NotOurs
from stacklab.images import store as images
from stacklab.model.lab import Lab, Size
from stacklab.model.snapshot import Hardware
from stacklab.model.state import NodeState
from stacklab.providers import registry
from stacklab.workflow import images as image_tasks
from stacklab.workflow.bundles import exporting, importing
from stacklab.workflow.bundles.exporting import Exported
from stacklab.workflow.lab import ending
from stacklab.workflow.snapshots import listing, restoring, saving
from tests.unit.doctor.fake_machine import link, make_machine
from tests.unit.providers.libvirt import fake_libvirt
from tests.unit.workflow.fake_host import FakeHost
from tests.unit.workflow.snapshots import fake_bundles
from tests.unit.workflow.snapshots.fake_bundles import Forged, RealGuests
from tests.unit.workflow.snapshots.fake_guests import Killed


class Hosts(NamedTuple):
    """One with the lab trio and its snapshot `first`; another with neither, but the same image."""

    here: FakeHost
    guests: RealGuests
    there: FakeHost
    guests_there: RealGuests
    file: Path


def load(name: str) -> Lab:
    assert name == "trio"
    return fake_bundles.LAB


@pytest.fixture
def hosts(host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hosts:
    guests = fake_bundles.install(host, monkeypatch)
    host.stock(content=fake_bundles.disk("", 20480 << 20))
    host.up(fake_bundles.LAB)
    guests.work(1)
    saving.save(host.context, "trio", "first")
    guests.work(2)
    there = FakeHost(tmp_path / "another home")
    there.root.mkdir()
    guests_there = fake_bundles.install(there, monkeypatch)
    fake_bundles.copy_images(host, there)
    return Hosts(host, guests, there, guests_there, tmp_path / "bundle.tar.zst")


def export(hosts: Hosts, *, with_image: bool = False, snapshot: str = "first") -> Exported:
    return exporting.export(hosts.here.context, "trio", snapshot, hosts.file, with_image=with_image)


def take(hosts: Hosts) -> None:
    importing.import_(hosts.there.context, hosts.file, load)


def restore(hosts: Hosts, snapshot: str = "first") -> None:
    restoring.restore(hosts.there.context, "trio", snapshot)


def assert_nothing_there(host: FakeHost) -> None:
    assert not host.lab().root.exists()
    assert not host.lab().snapshots.exists()
    assert not host.lab().lock.exists()
    assert list(host.paths.volumes.iterdir()) == []


def test_a_snapshot_goes_to_another_home_and_on_from_its_instant(hosts: Hosts) -> None:
    export(hosts)
    take(hosts)
    assert not hosts.there.lab().root.exists()
    restore(hosts)
    hosts.guests_there.assert_whole()
    assert hosts.guests_there.numbers() == {"1"}
    # As often as wanted, and the host that it came from goes on.
    hosts.guests_there.work(9)
    restore(hosts)
    assert hosts.guests_there.numbers() == {"1"}
    hosts.guests.assert_whole()
    assert hosts.guests.numbers() == {"2"}


def test_a_chain_of_several_disks_comes_whole(hosts: Hosts) -> None:
    restoring.restore(hosts.here.context, "trio", "first")
    hosts.guests.work(5)
    saving.save(hosts.here.context, "trio", "second")
    exported = export(hosts, snapshot="second")
    assert {len(chain) for chain in exported.index.chains.values()} == {2}
    take(hosts)
    restore(hosts, "second")
    hosts.guests_there.assert_whole()
    assert hosts.guests_there.numbers() == {"5"}


def test_it_comes_back_to_its_own_home_once_the_lab_is_gone(hosts: Hosts) -> None:
    export(hosts)
    with pytest.raises(AlreadyRunning, match="exists on this host"):
        importing.import_(hosts.here.context, hosts.file, load)
    ending.destroy(hosts.here.context, "trio")
    importing.import_(hosts.here.context, hosts.file, load)
    restoring.restore(hosts.here.context, "trio", "first")
    hosts.guests.assert_whole()
    assert hosts.guests.numbers() == {"1"}


def test_no_file_of_the_lab_names_the_home_that_it_came_from(hosts: Hosts) -> None:
    export(hosts)
    take(hosts)
    restore(hosts)
    root = hosts.there.root
    texts = {
        path.relative_to(root): path.read_bytes()
        for path in (*root.glob("labs/**/*"), *root.glob("snapshots/**/*"))
        if path.is_file()
    }
    assert len(texts) > 15
    old = str(hosts.here.root).encode()
    assert [path for path, text in texts.items() if old in text] == []
    ssh_config = hosts.there.lab().ssh_config.read_text()
    assert str(hosts.there.lab().private_key) in ssh_config


def test_the_lab_is_made_anew_but_for_its_keys_passwords_and_answers(hosts: Hosts) -> None:
    lab = hosts.here.lab()
    record_here = registry.read(lab)
    key, answers = lab.private_key.read_text(), hosts.here.lab().answers
    tree = {str(path.relative_to(answers)) for path in answers.rglob("*")}
    export(hosts)
    take(hosts)
    restore(hosts)
    made = registry.read(hosts.there.lab())
    assert made is not None
    assert record_here is not None
    assert made.is_ours
    # Nothing that was made here can be meant by a bundle from elsewhere.
    old = {node.handle["uuid"] for node in record_here.nodes}
    assert not old & {node.handle["uuid"] for node in made.nodes}
    assert all(node.is_created for node in made.nodes)
    assert [node.answers for node in made.nodes] == [node.answers for node in record_here.nodes]
    assert hosts.there.lab().private_key.read_text() == key
    assert {
        str(path.relative_to(hosts.there.lab().answers))
        for path in hosts.there.lab().answers.rglob("*")
    } == tree
    for node in made.nodes:
        machine = hosts.there.lab().root / ".vagrant" / "machines" / node.name / "libvirt" / "id"
        assert machine.read_text() == node.handle["uuid"]
    for directory in (hosts.there.lab().keys, hosts.there.lab().sockets):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(hosts.there.lab().private_key.stat().st_mode) == 0o600


def test_a_bundle_is_for_its_owner_alone_and_begins_with_its_index(hosts: Hosts) -> None:
    exported = export(hosts)
    assert stat.S_IMODE(hosts.file.stat().st_mode) == 0o600
    assert exported.bytes == hosts.file.stat().st_size
    forged = Forged.of(hosts.file)
    assert forged.index["key"] == exported.index.key
    assert list(forged.members) == [one["name"] for one in forged.index["members"]]
    # What a test forges without changing it is the same bundle.
    before = hosts.file.read_bytes()
    forged.write(hosts.file)
    take(hosts)
    assert len(before) > 10_000


def test_disks_are_frozen_and_memory_is_secret_after_an_import(hosts: Hosts) -> None:
    export(hosts)
    take(hosts)
    place = hosts.there.lab().snapshot("first")
    assert stat.S_IMODE(place.root.stat().st_mode) == 0o700
    modes = {stat.S_IMODE(path.stat().st_mode) for path in place.root.iterdir()}
    assert modes == {0o600}
    disks = list(hosts.there.lab().frozen_disks.iterdir())
    assert {stat.S_IMODE(path.stat().st_mode) for path in disks} == {0o444}
    assert len(disks) == 2


class TestBaseImage:
    def test_it_may_be_inside_and_no_new_lab_takes_that_one(self, hosts: Hosts) -> None:
        shutil.rmtree(hosts.there.paths.images)
        export(hosts, with_image=True)
        take(hosts)
        restore(hosts)
        hosts.guests_there.assert_whole()
        (stored,) = images.everything(hosts.there.paths)
        assert "-000000000000-" in stored.key
        assert images.image_name(stored.key) == "debian-12"
        images.verify(stored)
        assert listing.listed(hosts.there.context, "trio")[0].image == stored.key
        made = registry.read(hosts.there.lab())
        assert made is not None
        assert made.image == stored.key
        assert image_tasks.prune(hosts.there.context) == ()
        ending.destroy(hosts.there.context, "trio")
        assert image_tasks.prune(hosts.there.context) == (stored.key,)

    def test_one_that_is_here_already_is_taken(self, hosts: Hosts) -> None:
        exported = export(hosts, with_image=True)
        take(hosts)
        assert listing.listed(hosts.there.context, "trio")[0].image == exported.index.image.key

    def test_without_it_here_or_inside_says_what_to_do(self, hosts: Hosts) -> None:
        shutil.rmtree(hosts.there.paths.images)
        export(hosts)
        with pytest.raises(ImageError, match="not on this host") as caught:
            take(hosts)
        assert "--with-image" in (caught.value.hint or "")
        assert_nothing_there(hosts.there)

    def test_another_build_of_it_will_not_do(self, hosts: Hosts) -> None:
        shutil.rmtree(hosts.there.paths.images)
        hosts.there.stock(content=b"built elsewhere")
        export(hosts)
        with pytest.raises(ImageError, match="other bytes"):
            take(hosts)


class TestKey:
    def test_it_is_the_same_before_there_is_a_lab(self, hosts: Hosts) -> None:
        exported = export(hosts)
        key = exporting.key(hosts.here.context, "trio", "first", load)
        assert key == exported.index.key
        assert key.startswith("stacklab-trio-first-")
        assert exporting.key(hosts.there.context, "trio", "first", load) == key
        assert not hosts.there.lab().root.exists()

    def test_it_changes_with_what_a_bundle_depends_on(self, hosts: Hosts) -> None:
        context = hosts.there.context
        key = exporting.key(context, "trio", "first", load)
        node, *others = fake_bundles.LAB.nodes
        larger = dataclasses.replace(node, memory=Size(2048))
        changed = dataclasses.replace(fake_bundles.LAB, nodes=(larger, *others))
        keys = {key, exporting.key(context, "trio", "first", lambda _name: changed)}
        keys.add(exporting.key(context, "trio", "second", load))
        hosts.there.stock(content=b"newer")
        keys.add(exporting.key(context, "trio", "first", load))
        assert len(keys) == 4
        moved = dataclasses.replace(fake_bundles.LAB, source=Path("/elsewhere/labs/trio.yaml"))
        assert exporting.key(context, "trio", "first", lambda _name: moved) in keys

    def test_it_changes_with_qemu(self, hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
        key = exporting.key(hosts.there.context, "trio", "first", load)
        monkeypatch.setattr(RealGuests, "qemu_version", lambda _self: "8.2.0")
        assert exporting.key(hosts.there.context, "trio", "first", load) != key

    def test_without_an_image_it_can_not_be_known(self, hosts: Hosts) -> None:
        shutil.rmtree(hosts.there.paths.images)
        with pytest.raises(ImageError, match="is built") as caught:
            exporting.key(hosts.there.context, "trio", "first", load)
        assert "image.build debian-12" in (caught.value.hint or "")


class TestRefusedByTheHost:
    def test_other_hardware_with_each_difference(
        self, hosts: Hosts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        export(hosts)
        monkeypatch.setattr(RealGuests, "qemu_version", lambda _self: "8.2.0")
        with pytest.raises(HostError, match=r"QEMU 8\.2\.0, not 7\.2\.0"):
            take(hosts)
        assert_nothing_there(hosts.there)

    def test_an_emulator_s_memory_on_kvm(self, hosts: Hosts) -> None:
        export(hosts)
        kvm = dataclasses.replace(fake_libvirt.TCG, name="KVM")
        hosts.there.context.providers["libvirt"] = fake_libvirt.make_provider(
            hosts.there.paths,
            hosts.guests_there,
            hosts.there.context.progress,
            accelerator=kvm,
            runner=hosts.there.runner,
        )
        with pytest.raises(HostError) as caught:
            take(hosts)
        assert "libvirt's domain type kvm, not qemu" in caught.value.message
        assert "CPU model host, not qemu64" in caught.value.message
        assert "a processor with Vector, a, b besides" in caught.value.message

    def test_a_snapshot_of_that_name(self, hosts: Hosts) -> None:
        export(hosts)
        take(hosts)
        with pytest.raises(LabError, match="has a snapshot first already"):
            take(hosts)
        restore(hosts)
        hosts.guests_there.assert_whole()

    def test_somebody_else_s_domain_of_that_name(self, hosts: Hosts) -> None:
        export(hosts)
        hosts.guests_there.add("other", "trio_compute1", NodeState.RUNNING)
        with pytest.raises(NotOurs):
            take(hosts)
        assert_nothing_there(hosts.there)

    def test_addresses_that_are_taken(self, hosts: Hosts) -> None:
        export(hosts)
        hosts.there.context.fake_machine = make_machine(links=[link("eth9", "10.20.0.7/24")])
        with pytest.raises(HostError, match="is taken: eth9"):
            take(hosts)
        assert_nothing_there(hosts.there)

    def test_too_little_disk(self, hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
        export(hosts)
        usage = shutil.disk_usage(hosts.there.root)._replace(free=1 << 20)
        monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
        with pytest.raises(HostError, match="GB free"):
            take(hosts)
        assert_nothing_there(hosts.there)

    def test_a_spec_that_is_another_one_here(self, hosts: Hosts) -> None:
        export(hosts)
        node, *others = fake_bundles.LAB.nodes
        other = dataclasses.replace(
            fake_bundles.LAB, nodes=(dataclasses.replace(node, memory=Size(2048)), *others)
        )
        with pytest.raises(LabError, match="node controller differs"):
            importing.import_(hosts.there.context, hosts.file, lambda _name: other)
        assert_nothing_there(hosts.there)

    def test_a_file_that_is_missing(self, hosts: Hosts) -> None:
        with pytest.raises(LabError, match="there is no file"):
            take(hosts)


class TestRefusedAtExport:
    def test_faults_that_are_on(self, hosts: Hosts) -> None:
        hosts.here.lab().faults.write_text("[]")
        saving.save(hosts.here.context, "trio", "broken")
        with pytest.raises(LabError, match="faults were on"):
            export(hosts, snapshot="broken")
        assert not hosts.file.exists()

    def test_a_part_that_is_missing(self, hosts: Hosts) -> None:
        hosts.here.lab().snapshot("first").memory("compute1").unlink()
        with pytest.raises(LabError, match=r"compute1\.memory is missing"):
            export(hosts)
        assert not hosts.file.exists()

    def test_memory_that_libvirt_has_packed(self, hosts: Hosts) -> None:
        memory = hosts.here.lab().snapshot("first").memory("compute1")
        memory.write_bytes(fake_bundles.save_file("<domain/>", "x", memory_format=1))
        with pytest.raises(LabError, match="save_image_format"):
            export(hosts)

    def test_a_target_without_a_directory(self, hosts: Hosts) -> None:
        with pytest.raises(LabError, match="can't be written"):
            exporting.export(
                hosts.here.context, "trio", "first", hosts.file / "x", with_image=False
            )

    def test_a_failure_leaves_the_file_that_was_there(self, hosts: Hosts) -> None:
        hosts.file.write_text("of yesterday")
        hosts.here.runner.on("zstd", answer=LabError("no space"))
        with pytest.raises(LabError, match="no space"):
            export(hosts)
        assert hosts.file.read_text() == "of yesterday"
        assert [path.name for path in hosts.file.parent.glob(".bundle*")] == []


def test_hardware_names_what_a_processor_lacks_and_has_besides() -> None:
    then = Hardware(qemu="7.2.0", accelerator="kvm", cpu="host", host_cpu=("A", "avx", "sse"))
    assert then.differences(then) == ()
    here = dataclasses.replace(then, host_cpu=("A", "sse", "vaes"))
    assert then.differences(here) == (
        "a processor without avx",
        "a processor with vaes besides",
    )


def test_an_import_killed_at_every_step_leaves_nothing_or_all_of_it(hosts: Hosts) -> None:
    export(hosts, with_image=True)
    for path in hosts.there.paths.images.iterdir():
        path.unlink()
    killer = hosts.guests_there.killer
    step = 0
    while True:
        step += 1
        killer.steps, killer.at = 0, step
        try:
            take(hosts)
        except Killed:
            killer.next_command()
        else:
            killer.next_command()
            break
        paths = hosts.there.lab()
        if not paths.snapshot("first").manifest.exists():
            assert not paths.root.exists()
            # Whoever comes next removes what was left of it.
            image_tasks.prune(hosts.there.context)
            assert not paths.snapshots.exists()
            assert list(hosts.there.paths.images.iterdir()) == []
        else:
            restore(hosts)
            hosts.guests_there.assert_whole()
            ending.destroy(hosts.there.context, "trio")
            image_tasks.prune(hosts.there.context)
    assert step > 10
    restore(hosts)
    hosts.guests_there.assert_whole()
    assert hosts.guests_there.numbers() == {"1"}


def test_an_import_is_begun_again_after_a_kill(hosts: Hosts) -> None:
    export(hosts)
    hosts.guests_there.killer.at = hosts.guests_there.killer.steps + 8
    with pytest.raises(Killed):
        take(hosts)
    hosts.guests_there.killer.next_command()
    assert hosts.there.lab().snapshots.exists()
    take(hosts)
    restore(hosts)
    hosts.guests_there.assert_whole()


def test_what_is_being_imported_is_not_swept_by_another_command(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(hosts)
    real = importing._Importing._adopt

    def prune_meanwhile(self: importing._Importing) -> None:
        image_tasks.prune(hosts.there.context)
        real(self)

    monkeypatch.setattr(importing._Importing, "_adopt", prune_meanwhile)
    take(hosts)
    restore(hosts)
    hosts.guests_there.assert_whole()


def test_the_record_that_is_written_is_read_by_every_task(hosts: Hosts) -> None:
    export(hosts)
    take(hosts)
    place = hosts.there.lab().snapshot("first")
    with tarfile.open(place.files) as archive:
        stream = archive.extractfile("record.json")
        assert stream is not None
        data = json.loads(stream.read())
    text = json.dumps(data)
    assert record.parse(text, hosts.there.lab()).provider == "libvirt"
    assert str(hosts.there.root) in text
