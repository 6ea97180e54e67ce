"""Disks that nodes have beside the one they boot from: files, names, and what removes them."""

from __future__ import annotations

import dataclasses
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest

from stacklab.errors import ProviderError
from stacklab.model.lab import Disk, DiskBus, Lab, Node, Size
from stacklab.model.state import NodeState
from stacklab.nodes.archive import Entry
from stacklab.paths import HostPaths
from stacklab.process.command import Command, Result
from stacklab.progress import Progress
from stacklab.providers import registry
from stacklab.providers.libvirt.handles import node_of
from stacklab.providers.libvirt.storage import disks as node_disks
from stacklab.providers.libvirt.storage import further_disks
from stacklab.providers.snapshot_maker import NodeDisks
from stacklab.record import LabRecord, NodeRecord
from tests.unit.checks.fake_lab import make_lab
from tests.unit.providers.libvirt.fake_libvirt import FakeLibvirt, FakeListener, make_provider

PLAIN = Disk(name="disk1", size=Size(1024), serial="disk1")
JOURNAL = Disk(name="disk2", size=Size(64), bus=DiskBus.SCSI, serial="J_1")
SHARED = Disk(name="quorum", size=Size(32), serial="quorum", is_shared=True)


class MakingRunner:
    """A runner whose `qemu-img create` makes the file; `argvs` is what it was given."""

    def __init__(self) -> None:
        self.argvs: list[tuple[str, ...]] = []

    def run(self, command: Command) -> Result:
        self.argvs.append(command.argv)
        for word in command.argv:
            if word.startswith("/") and word.endswith((".qcow2", ".raw")):
                Path(word).touch()
        return Result(exit_code=0)


class Stage:
    """A lab on record whose three nodes run: two share a disk, one has nothing but its own."""

    def __init__(self, root: Path) -> None:
        self.lab = with_disks(
            make_lab(), controller=(PLAIN, SHARED), compute1=(SHARED, JOURNAL), compute2=()
        )
        self.host = HostPaths(root)
        self.host.volumes.mkdir(parents=True)
        self.paths = self.host.lab(self.lab.name)
        self.paths.logs.mkdir(parents=True)
        self.runner = MakingRunner()
        self.libvirt = FakeLibvirt()
        self.listener = FakeListener()
        self.record = registry.new_record(
            self.lab, self.paths, image="debian-12-abc", passed_over={}, now=0
        )
        for node in self.record.nodes:
            self.record = self.record.with_node(dataclasses.replace(node, is_created=True))
            self.libvirt.add(node.handle["uuid"], node.handle["domain"], NodeState.RUNNING)
        self.provider = make_provider(
            self.host,
            self.libvirt,
            Progress(self.listener),
            runner=self.runner,  # type: ignore[arg-type]
        )

    def prepare(self, *nodes: str) -> None:
        self.provider.prepare(
            self.lab,
            self.record,
            nodes,
            base=self.host.root / "base.qcow2",
            identity=lambda node: {"etc/hostname": Entry(text=node.name)},
        )

    def anew(self, *nodes: str) -> LabRecord:
        """The record once these nodes are marked to be made anew."""
        marked = self.record
        for name in nodes:
            marked = marked.with_node(dataclasses.replace(self.recorded(name), is_created=False))
        return marked

    def recorded(self, name: str) -> NodeRecord:
        found = self.record.node(name)
        assert found is not None
        return found

    @property
    def volumes(self) -> list[str]:
        return sorted(path.name for path in self.host.volumes.iterdir())


def with_disks(lab: Lab, **disks: tuple[Disk, ...]) -> Lab:
    nodes: list[Node] = []
    for node in lab.nodes:
        nodes.append(dataclasses.replace(node, disks=disks[node.name]))
    return dataclasses.replace(lab, nodes=tuple(nodes))


ALL = [
    "trio.shared.quorum.raw",
    "trio_compute1.disk2.qcow2",
    "trio_compute1.qcow2",
    "trio_compute1.seed.img",
    "trio_compute2.qcow2",
    "trio_compute2.seed.img",
    "trio_controller.disk1.qcow2",
    "trio_controller.qcow2",
    "trio_controller.seed.img",
]


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "vagrant.d"))
    made = Stage(tmp_path)
    made.prepare("controller", "compute1", "compute2")
    return made


def test_each_disk_is_a_file_of_its_own_and_a_shared_one_is_one_for_all(stage: Stage) -> None:
    assert stage.volumes == ALL
    made = {Path(argv[-2]).name: argv for argv in stage.runner.argvs if argv[0] == "qemu-img"}
    assert made["trio_controller.disk1.qcow2"][1:5] == ("create", "-q", "-f", "qcow2")
    assert made["trio_controller.disk1.qcow2"][-1] == "1024M"
    assert made["trio.shared.quorum.raw"][1:5] == ("create", "-q", "-f", "raw")
    assert made["trio.shared.quorum.raw"][-1] == "32M"


def test_what_is_there_is_not_made_again(stage: Stage) -> None:
    stage.runner.argvs.clear()
    stage.prepare("controller", "compute1", "compute2")
    assert stage.runner.argvs == []
    assert stage.volumes == ALL


def test_a_node_that_is_outdated_keeps_its_disks(stage: Stage) -> None:
    stage.provider.undefine_node(stage.paths, stage.record, "controller")
    assert stage.volumes == ALL


def test_destroy_removes_all_of_them_and_nothing_else(stage: Stage) -> None:
    others = ["other.shared.quorum.raw", "other_controller.disk1.qcow2", "trio-2.shared.quorum.raw"]
    for name in others:
        (stage.host.volumes / name).touch()
    stage.provider.destroy(stage.paths, stage.record)
    assert stage.volumes == others
    stage.provider.destroy(stage.paths, stage.record)  # absent is success
    assert stage.listener.heard == []


def test_a_node_that_is_made_anew_loses_its_own_disks_and_is_told_of_the_shared_one(
    stage: Stage,
) -> None:
    stage.provider.remove_node(stage.paths, stage.anew("controller"), "controller")
    assert stage.volumes == ALL[:-3]
    assert "shared disk quorum stays as it is: compute1 has it, too" in str(stage.listener.heard)


def test_a_shared_disk_goes_once_all_of_its_nodes_are_made_anew(stage: Stage) -> None:
    marked = stage.anew("controller", "compute1")
    stage.provider.remove_node(stage.paths, marked, "controller")
    stage.provider.remove_node(stage.paths, marked, "compute1")
    assert stage.volumes == ["trio_compute2.qcow2", "trio_compute2.seed.img"]
    assert stage.listener.heard == []


def test_a_lab_with_a_shared_disk_has_no_snapshots(stage: Stage) -> None:
    with pytest.raises(ProviderError, match="quorum, shared by controller, compute1") as caught:
        stage.provider.snapshots(stage.lab, stage.record)
    assert str(caught.value.hint).startswith("./invoke lab.rebuild trio makes nodes and disks anew")


# --- what snapshots freeze


def frozen_of(stage: Stage, node: str, *further: str) -> NodeDisks:
    """The names that a snapshot gives to a node's disks."""
    paths = stage.paths.frozen_disks
    paths.mkdir(parents=True, exist_ok=True)
    return NodeDisks(
        disk=paths / f"f00-{node}.qcow2",
        further={name: paths / f"f00-{node}.{name}.qcow2" for name in further},
    )


def test_a_node_s_own_disks_are_frozen_below_new_ones_and_the_shared_one_is_left_alone(
    stage: Stage,
) -> None:
    recorded = node_of(stage.paths, stage.recorded("controller"))
    recorded.disks["disk1"].write_text("precious")
    frozen = frozen_of(stage, "controller", "disk1")
    stage.runner.argvs.clear()
    node_disks.freeze(stage.runner, recorded, frozen)
    assert frozen.further["disk1"].read_text() == "precious"
    assert stat.S_IMODE(frozen.further["disk1"].stat().st_mode) == 0o444
    assert stage.volumes == ALL
    bases = {argv[-1]: argv[argv.index("-b") + 1] for argv in stage.runner.argvs}
    assert bases == {
        str(recorded.overlay): str(frozen.disk),
        str(recorded.disks["disk1"]): str(frozen.further["disk1"]),
    }


def test_what_was_frozen_in_part_is_taken_back(stage: Stage) -> None:
    recorded = node_of(stage.paths, stage.recorded("controller"))
    recorded.disks["disk1"].write_text("precious")
    frozen = frozen_of(stage, "controller", "disk1")
    # A kill between this and the new disk above it; the first disk is as it was.
    recorded.disks["disk1"].rename(frozen.further["disk1"])
    for _ in range(2):
        node_disks.take_back(recorded, frozen)
        assert recorded.disks["disk1"].read_text() == "precious"
        assert stage.volumes == ALL


@pytest.mark.parametrize("further", [(), ("disk2",), ("disk1", "disk2")])
def test_a_snapshot_of_other_disks_than_the_node_has_touches_none(
    stage: Stage, further: tuple[str, ...]
) -> None:
    recorded = node_of(stage.paths, stage.recorded("controller"))
    frozen = frozen_of(stage, "controller", *further)
    with pytest.raises(ProviderError, match="the further disks of controller are disk1, and those"):
        node_disks.renew_overlays(stage.runner, recorded, frozen)
    assert stage.volumes == ALL


# --- the record


def test_only_nodes_that_have_further_disks_have_them_in_their_handle(stage: Stage) -> None:
    handles = {node.name: dict(node.handle) for node in stage.record.nodes}
    assert handles["controller"]["disks"] == "disk1"
    assert handles["compute1"]["shared_disks"] == "quorum"
    assert set(handles["compute2"]) == {"domain", "uuid", "overlay", "seed"}


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("disks", "../../etc/passwd"),
        ("disks", "disk0"),
        ("disks", "seed"),
        ("disks", "disk1 *"),
        ("shared_disks", "../quorum"),
        ("shared_disks", "QUORUM"),
    ],
)
def test_a_name_that_could_lead_elsewhere_is_refused(stage: Stage, key: str, names: str) -> None:
    recorded = stage.recorded("controller")
    odd = dataclasses.replace(recorded, handle={**recorded.handle, key: names})
    with pytest.raises(ValueError, match="not a disk's name"):
        node_of(stage.paths, odd)


def test_a_disk_that_is_not_on_record_is_not_made(stage: Stage) -> None:
    node = dataclasses.replace(stage.lab.node("compute2"), disks=(PLAIN,))
    recorded = node_of(stage.paths, stage.recorded("compute2"))
    with pytest.raises(ProviderError, match="disk1 of compute2 is not on record") as caught:
        further_disks.make(stage.runner, recorded, node)
    assert caught.value.hint == "./invoke lab.rebuild trio"
    assert stage.volumes == ALL


# --- what Vagrant is told


def devices(stage: Stage, *disks: Disk) -> Sequence[object]:
    node = dataclasses.replace(stage.lab.node("controller"), disks=disks)
    lab = with_disks(stage.lab, controller=disks, compute1=(), compute2=())
    record = registry.new_record(lab, stage.paths, image="x", passed_over={}, now=0)
    recorded = record.node("controller")
    assert recorded is not None
    rendered = further_disks.render(node_of(stage.paths, recorded), node)
    return [disk["device"] for disk in rendered]


def test_no_two_disks_of_a_node_have_one_device(stage: Stage) -> None:
    buses = ("virtio", "scsi", "sata", "ide", "virtio", "scsi", "ide")
    disks = [
        Disk(name=f"disk{number}", size=Size(1), bus=DiskBus(bus), serial=f"s{number}")
        for number, bus in enumerate(buses, start=1)
    ]
    assert devices(stage, *disks) == ["vdc", "sda", "sdb", "hda", "vdd", "sdc", "hdb"]
