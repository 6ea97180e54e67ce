from __future__ import annotations

import dataclasses
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from stacklab.errors import CommandFailed, NotOurs, ProviderError
from stacklab.model.host_network import Lease
from stacklab.model.lab import Lab, NetworkMode
from stacklab.model.state import NodeState
from stacklab.nodes.archive import Entry
from stacklab.paths import HostPaths
from stacklab.paths.project import PROJECT
from stacklab.progress import Progress
from stacklab.providers import registry
from stacklab.providers.contract import Provider
from stacklab.providers.libvirt import provider as libvirt_provider
from stacklab.providers.libvirt.evidence import LibvirtLooker
from stacklab.providers.libvirt.provider import LibvirtProvider
from stacklab.tools.host.accelerator import Accelerator
from tests.conftest import FakeRunner
from tests.unit.checks.fake_lab import make_lab
from tests.unit.providers.libvirt.fake_libvirt import TCG, FakeLibvirt, FakeListener, make_provider

KVM = Accelerator(name="KVM", reason="a test")


class Stage:
    """A lab on record, and a libvirt in which it runs."""

    def __init__(self, root: Path, lab: Lab) -> None:
        self.lab = lab
        self.host = HostPaths(root)
        self.host.volumes.mkdir(parents=True)
        self.paths = self.host.lab(lab.name)
        self.record = registry.new_record(
            lab, self.paths, image="debian-12-abc", passed_over={}, now=0
        )
        self.libvirt = FakeLibvirt()
        self.listener = FakeListener()
        for node in self.record.nodes:
            self.libvirt.add(node.handle["uuid"], node.handle["domain"], NodeState.RUNNING)
            self.paths.overlay(node.name).touch()
            self.paths.seed(node.name).touch()
        for network in self.record.networks:
            self.libvirt.networks[network.handle["libvirt_name"]] = network.handle["uuid"]

    def provider(self, accelerator: Accelerator = TCG) -> LibvirtProvider:
        return make_provider(
            self.host, self.libvirt, Progress(self.listener), accelerator=accelerator
        )

    def uuid(self, name: str) -> str:
        found = self.record.node(name)
        assert found is not None
        return found.handle["uuid"]

    @property
    def machines(self) -> dict[str, object]:
        files = self.provider().files(self.lab, self.paths, self.record)
        return dict(json.loads(files[self.paths.machines]))


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "vagrant.d"))
    monkeypatch.setattr(libvirt_provider, "_POLL_S", 0.001)
    return Stage(tmp_path, make_lab())


def test_it_is_a_provider(stage: Stage) -> None:
    provider: Provider = stage.provider()
    assert provider.name == "libvirt"


# --- files


def test_the_vagrantfile_is_copied_so_that_the_lab_outlives_the_checkout(stage: Stage) -> None:
    files = stage.provider().files(stage.lab, stage.paths, stage.record)
    assert set(files) == {stage.paths.vagrantfile, stage.paths.machines}
    assert files[stage.paths.vagrantfile] == (PROJECT / "vagrant" / "Vagrantfile").read_text()


def test_vagrant_is_told_what_is_on_record(stage: Stage) -> None:
    machines = stage.machines
    nodes = machines["nodes"]
    assert isinstance(nodes, list)
    assert [node["name"] for node in nodes] == ["controller", "compute1", "compute2"]
    assert nodes[1]["uuid"] == stage.uuid("compute1")
    assert (nodes[1]["overlay"], nodes[1]["seed"]) == (
        "trio_compute1.qcow2",
        "trio_compute1.seed.img",
    )
    assert nodes[1]["memory_mib"] == 1024
    assert nodes[1]["nics"][1] == {
        "mac": "52:54:00:00:01:01",
        "address": "10.20.0.12",
        "netmask": "255.255.255.0",
        "cidr": "10.20.0.0/24",
        "libvirt_network": "trio_net1",
        "bridge": None,
        "device": None,
    }


def test_a_bridged_network_is_named_by_its_bridge_alone(tmp_path: Path) -> None:
    lab = make_lab()
    bridged = dataclasses.replace(lab.networks[1], mode=NetworkMode.BRIDGED, bridge="br0")
    stage = Stage(tmp_path, dataclasses.replace(lab, networks=(lab.networks[0], bridged)))
    nics = [
        (node["nics"][1]["libvirt_network"], node["nics"][1]["bridge"])
        for node in stage.machines["nodes"]
    ]  # type: ignore[attr-defined]
    assert nics == [(None, "br0")] * 3


@pytest.mark.parametrize(
    ("accelerator", "driver", "cpu"),
    [
        (TCG, "qemu", {"mode": "custom", "model": "qemu64", "features": ["svm", "npt"]}),
        (KVM, "kvm", {"mode": "host-passthrough", "model": "", "features": []}),
    ],
)
def test_the_accelerator_decides_driver_and_cpu(
    stage: Stage, accelerator: Accelerator, driver: str, cpu: dict[str, object]
) -> None:
    files = stage.provider(accelerator).files(stage.lab, stage.paths, stage.record)
    machines = json.loads(files[stage.paths.machines])
    assert machines["libvirt"]["driver"] == driver
    assert [node["cpu"] for node in machines["nodes"]] == [cpu] * 3


@pytest.mark.parametrize(("accelerator", "is_told"), [(TCG, True), (KVM, False)])
def test_an_emulated_node_is_told_to_keep_libraries_in_one_place(
    stage: Stage, accelerator: Accelerator, is_told: bool
) -> None:
    stage.provider(accelerator).prepare(
        stage.lab,
        stage.record,
        ["compute1"],
        base=stage.host.root / "base.qcow2",
        identity=lambda node: {"etc/hostname": Entry(text=node.name)},
    )
    with tarfile.open(stage.paths.seed("compute1")) as seed:
        names = seed.getnames()
    assert "etc/hostname" in names
    assert ("etc/sysctl.d/90-stacklab-emulated.conf" in names) is is_told


def test_a_node_that_is_not_on_record_is_refused(stage: Stage) -> None:
    kept = dataclasses.replace(stage.record, nodes=stage.record.nodes[:2])
    with pytest.raises(ProviderError, match="compute2 is not on record"):
        stage.provider().files(stage.lab, stage.paths, kept)


@pytest.mark.parametrize(
    ("root", "pool"),
    [
        ("/var/lib/stacklab", "stacklab"),
        ("/tmp/t 1/home", "stacklab-tmp-t-1-home"),
        ("/var/lib/stacklab2", "stacklab-var-lib-stacklab2"),
    ],
)
def test_each_home_has_its_own_pool(stage: Stage, root: str, pool: str) -> None:
    assert make_provider(HostPaths(Path(root)), stage.libvirt, Progress()).pool == pool


# --- up


@pytest.fixture
def vagrant_ups(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, tuple[str, ...]]]:
    asked: list[tuple[Path, tuple[str, ...]]] = []

    def up(directory: Path, nodes: Sequence[str], *, log: Path) -> None:
        asked.append((directory, tuple(nodes)))

    monkeypatch.setattr(libvirt_provider.vagrant, "up", up)
    return asked


def test_networks_and_pool_are_there_before_vagrant_is_asked_once_for_all(
    stage: Stage, vagrant_ups: list[tuple[Path, tuple[str, ...]]]
) -> None:
    stage.provider().up(stage.lab, stage.paths, stage.record, ["compute1", "compute2"])
    assert [call[:2] for call in stage.libvirt.calls[:3]] == [
        ("ensure_network", "trio_net0"),
        ("ensure_network", "trio_net1"),
        ("ensure_pool", stage.provider().pool),
    ]
    assert stage.libvirt.pools[stage.provider().pool] == stage.host.volumes
    assert vagrant_ups == [(stage.paths.root, ("compute1", "compute2"))]
    assert ("host", "vagrant ended") in stage.listener.heard


_QEMUS_USER = """<capabilities><host><secmodel><model>dac</model>
<baselabel type='kvm'>+64055:+64055</baselabel></secmodel></host></capabilities>"""


@pytest.mark.parametrize("what", ["prepare", "up", "up of paused ones", "make_networks"])
def test_nodes_disks_are_closed_to_other_users(
    stage: Stage, vagrant_ups: list[tuple[Path, tuple[str, ...]]], what: str
) -> None:
    stage.libvirt.capabilities_xml = _QEMUS_USER
    for directory in (stage.host.volumes, stage.host.snapshots):
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o755)
    runner = FakeRunner().on("setfacl", answer=CommandFailed("no access lists here"))
    provider = make_provider(stage.host, stage.libvirt, Progress(stage.listener), runner=runner)
    if what == "prepare":
        provider.prepare(stage.lab, stage.record, [], base=Path("x"), identity=lambda _node: {})
    elif what == "make_networks":
        provider.make_networks(stage.lab, stage.record)
    else:
        nodes = ["compute1"] if what == "up" else []
        provider.up(stage.lab, stage.paths, stage.record, nodes)
    asked = [argv for argv in runner.argvs if argv[0] == "setfacl"]
    assert {argv[-1] for argv in asked} == {str(stage.host.volumes), str(stage.host.snapshots)}
    assert "user:64055:--x" in asked[0][2]
    notes = [text for _who, text in stage.listener.heard if "is open to every user" in text]
    assert any(f"{stage.host.volumes}" in note for note in notes)


def test_a_foreign_domain_of_our_name_stops_it_before_vagrant(
    stage: Stage, vagrant_ups: list[tuple[Path, tuple[str, ...]]]
) -> None:
    stage.libvirt.add("foreign", "trio_compute2", NodeState.RUNNING)
    with pytest.raises(NotOurs, match="trio_compute2"):
        stage.provider().up(stage.lab, stage.paths, stage.record, ["compute1"])
    assert vagrant_ups == []


# --- down


def test_down_presses_every_button_before_it_waits_for_one(stage: Stage) -> None:
    stage.libvirt.slow = 2
    stage.provider().down(stage.record, ["controller", "compute1", "compute2"], patience_s=5)
    assert [call[0] for call in stage.libvirt.calls] == ["shut_down"] * 3
    assert set(stage.libvirt.states.values()) == {NodeState.OFF}


def test_down_unplugs_only_who_did_not_hear_the_button(stage: Stage) -> None:
    stage.libvirt.stubborn = {stage.uuid("compute1")}
    stage.provider().down(stage.record, ["controller", "compute1"], patience_s=0.05)
    assert [call for call in stage.libvirt.calls if call[0] == "power_off"] == [
        ("power_off", stage.uuid("compute1"))
    ]
    assert stage.libvirt.states[stage.uuid("compute2")] is NodeState.RUNNING  # nobody asked for it
    assert ("host", "waiting for compute1 to shut down, 0 of 0 s") in stage.listener.heard


def test_down_says_whose_power_it_cuts_and_what_that_node_said_last(stage: Stage) -> None:
    stage.libvirt.stubborn = {stage.uuid("compute1")}
    console = stage.paths.console("compute1")
    console.parent.mkdir(parents=True)
    console.write_text("[ 99.1] A stop job is running for foo\n")
    stage.provider().down(stage.record, ["controller", "compute1"], patience_s=0.05)
    noted = [text for row, text in stage.listener.heard if row == "compute1"]
    assert noted == [
        "did not shut down within 0 s: its power is cut;"
        " its console ends with: [ 99.1] A stop job is running for foo"
    ]


def test_down_tells_of_nobody_when_all_are_off(stage: Stage) -> None:
    stage.provider().down(stage.record, ["controller"], patience_s=5)
    assert [text for _, text in stage.listener.heard if "waiting" in text] == []


def test_a_paused_node_hears_the_button_once_it_runs_on(stage: Stage) -> None:
    uuid = stage.uuid("controller")
    stage.libvirt.states[uuid] = NodeState.PAUSED
    stage.provider().down(stage.record, ["controller"], patience_s=5)
    assert stage.libvirt.calls == [("resume", uuid), ("shut_down", uuid)]


def test_what_is_absent_is_down(stage: Stage) -> None:
    stage.libvirt.states.clear()
    stage.provider().down(stage.record, ["controller"], patience_s=5)
    assert not any(call[0] == "power_off" for call in stage.libvirt.calls)


# --- destroy


def test_destroy_takes_all_that_is_recorded_and_nothing_else(stage: Stage) -> None:
    stage.libvirt.add("theirs", "trio_compute", NodeState.RUNNING)
    stage.libvirt.networks["trio_net"] = "theirs"
    theirs = stage.host.volumes / "trio_compute.qcow2"
    theirs.touch()
    stage.provider().destroy(stage.paths, stage.record)
    assert stage.libvirt.states == {"theirs": NodeState.RUNNING}
    assert stage.libvirt.networks == {"trio_net": "theirs"}
    assert list(stage.host.volumes.iterdir()) == [theirs]


def test_destroy_asks_by_uuid_and_by_name(stage: Stage) -> None:
    stage.provider().destroy(stage.paths, stage.record)
    kept = stage.record
    # All nodes at once, so in any order; then the networks, one after the other.
    removed_nodes = stage.libvirt.calls[: len(kept.nodes)]
    assert sorted(removed_nodes) == sorted(
        ("remove_domain", node.handle["uuid"], node.handle["domain"]) for node in kept.nodes
    )
    assert stage.libvirt.calls[len(kept.nodes) :] == [
        ("remove_network", network.handle["libvirt_name"], network.handle["uuid"])
        for network in kept.networks
    ]


def test_destroying_twice_is_success(stage: Stage) -> None:
    for _ in range(2):
        stage.provider().destroy(stage.paths, stage.record)


def test_a_disk_stays_as_long_as_its_domain_is_not_surely_ours(stage: Stage) -> None:
    stage.libvirt.names[stage.uuid("controller")] = "somebodys"
    with pytest.raises(NotOurs):
        stage.provider().destroy(stage.paths, stage.record)
    assert stage.paths.overlay("controller").exists()


def test_removing_a_node_makes_vagrant_forget_it_and_leaves_the_others(stage: Stage) -> None:
    for node in ("controller", "compute1"):
        directory = stage.paths.root / ".vagrant" / "machines" / node / "libvirt"
        directory.mkdir(parents=True)
        (directory / "id").touch()
    stage.paths.console("compute1").parent.mkdir()
    stage.paths.console("compute1").touch()
    half, other = (stage.paths.seed(name) for name in ("compute1", "controller"))
    half, other = (
        path.with_name(f".{path.name}.abc123") for path in (half, other)
    )  # of a killed files.write
    half.touch()
    other.touch()
    stage.provider().remove_node(stage.paths, stage.record, "compute1")
    assert not half.exists()
    assert other.exists()
    assert [path.name for path in (stage.paths.root / ".vagrant" / "machines").iterdir()] == [
        "controller"
    ]
    assert not stage.paths.console("compute1").exists()
    assert not stage.paths.overlay("compute1").exists()
    assert stage.paths.overlay("controller").exists()
    assert stage.uuid("compute1") not in stage.libvirt.states


def test_the_pool_is_forgotten_when_told_so(stage: Stage) -> None:
    stage.provider().close_down()
    assert stage.libvirt.calls == [
        ("remove_pool", stage.provider().pool, str(stage.paths.host.volumes))
    ]


# --- what it tells


def test_status_is_every_recorded_node_s(stage: Stage) -> None:
    del stage.libvirt.states[stage.uuid("compute1")]
    assert stage.provider().status(stage.record) == {
        "controller": NodeState.RUNNING,
        "compute1": NodeState.ABSENT,
        "compute2": NodeState.RUNNING,
    }


def test_whoever_looks_does_not_start_libvirtd(stage: Stage) -> None:
    stage.libvirt = None  # type: ignore[assignment]
    with pytest.raises(ProviderError, match="libvirtd does not answer: no socket") as refused:
        stage.provider().status(stage.record)
    assert "libvirtd" in (refused.value.hint or "")
    assert stage.listener.heard == []  # "starting libvirtd" would be among them


def looker(stage: Stage) -> LibvirtLooker:
    """One that asks libvirt alone."""
    return LibvirtLooker(stage.libvirt, None, stage.paths, stage.record)  # type: ignore[arg-type]


def test_the_evidence_tells_state_nics_leases_and_console(stage: Stage) -> None:
    node = stage.lab.node("compute1")
    uuid = stage.uuid("compute1")
    stage.libvirt.nics[uuid] = (("52:54:00:00:00:01", "trio_net0", "vnet3"),)
    mine = Lease(mac="52:54:00:00:00:01", address="10.10.0.12", hostname="compute1")
    other = Lease(mac="52:54:00:00:00:00", address="10.10.0.11", hostname="controller")
    stage.libvirt.given["trio_net0"] = (other, mine)
    console = stage.paths.console("compute1")
    console.parent.mkdir(parents=True)
    console.write_text("Booting...\n\nKernel panic\n")
    assert str(looker(stage).evidence(node)).splitlines() == [
        "  domain trio_compute1: running",
        "  NIC eth0: 52:54:00:00:00:01 on trio_net0, tap vnet3, to have 10.10.0.12/24",
        "  NIC eth1: 52:54:00:00:01:01 is MISSING, to have 10.20.0.12/24 on trio_net1",
        "  lease: 10.10.0.12 to 52:54:00:00:00:01 on trio_net0",
        f"  console ({console}) of compute1 ends with:",
        "    | Booting...",
        "    | Kernel panic",
    ]


def test_the_evidence_tells_that_there_is_none(stage: Stage) -> None:
    console = stage.paths.console("compute1")
    console.parent.mkdir(parents=True)
    console.touch()
    text = str(looker(stage).evidence(stage.lab.node("compute1")))
    assert (
        "lease: none on trio_net0 for 52:54:00:00:00:01: it never asked, or nobody answered" in text
    )
    assert text.endswith("| nothing")


def test_of_a_node_that_is_not_on_record_there_is_no_evidence(stage: Stage) -> None:
    kept = dataclasses.replace(stage.record, nodes=())
    assert "not on record" in str(
        LibvirtLooker(stage.libvirt, None, stage.paths, kept).evidence(stage.lab.nodes[0])
    )  # type: ignore[arg-type]
