"""A lab that is up follows its spec, and the nodes that it does not concern never notice."""

from __future__ import annotations

import copy
import dataclasses
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stacklab import files, record
from stacklab.errors import LabError
from stacklab.model import lab_json
from stacklab.model.lab import NIC, Lab, NetworkMode
from stacklab.model.state import NodeState
from stacklab.process import Result
from stacklab.record import LabRecord
from stacklab.workflow.faults import fault_list
from stacklab.workflow.lab import ending
from stacklab.workflow.lab.changes.refusing import Consent, SpecChanged
from stacklab.workflow.lab.plan import changes_of, plan
from tests.unit.installers.contrail.labs import make_lab as make_contrail
from tests.unit.nodes import fake_session
from tests.unit.workflow.fake_host import FakeHost
from tests.unit.workflow.lab.changing import (
    GROWN,
    LAB,
    LARGER_DISK,
    MIXED,
    MORE_MEMORY,
    NARROW,
    NODES,
    OTHER_MAC,
    OTHER_RANGE,
    SHARING,
    SHRUNK,
    SMALLER_DISK,
    WIDE,
    disk_info,
    with_network,
)

YES = Consent(removes=True, to_all=True)


@pytest.fixture
def up(host: FakeHost) -> FakeHost:
    """The lab is up, and each node has written something."""
    host.runner.on("qemu-img", "info", answer=disk_info).on("qemu-img", "resize")
    host.up()
    for node in NODES:
        with host.lab().overlay(node).open("a") as disk:
            disk.write(f"\nprecious of {node}")
        (host.lab().sockets / node).touch()
    host.libvirt.calls.clear()
    host.runner.commands.clear()
    host.ups.clear()
    return host


def kept(host: FakeHost) -> LabRecord:
    found = record.read(host.lab())
    assert found is not None
    return found


def uuids(host: FakeHost) -> dict[str, str]:
    return {node.name: node.handle["uuid"] for node in kept(host).nodes}


def is_precious(host: FakeHost, node: str) -> bool:
    return f"precious of {node}" in host.lab().overlay(node).read_text()


def placed(host: FakeHost, what: str) -> dict[str, str]:
    """The nodes to which such files were brought, with the shell that did it."""
    shells = {}
    for command in host.ran("ssh"):
        parts = fake_session.parts_of(command)
        if f"{what}.place" in parts:
            shells[command.argv[-2]] = parts[f"{what}.place"]
    return shells


def place_of(lab: Lab, nic: NIC) -> tuple[str, str | None, str | None]:
    """Where a NIC is plugged in: its MAC, and libvirt's network or the host's bridge."""
    network = lab.network(nic.network)
    if network.is_made_by_us:
        return nic.mac, f"trio_{network.name}", None
    return nic.mac, None, network.bridge


def disk_files(lab: Lab) -> Iterator[str]:
    """Yield the names of all disks of a lab, but for the seeds."""
    for node in lab.nodes:
        yield f"{lab.name}_{node.name}.qcow2"
        for disk in node.disks:
            shared = f"{lab.name}.shared.{disk.name}.raw"
            yield shared if disk.is_shared else f"{lab.name}_{node.name}.{disk.name}.qcow2"


def assert_follows(host: FakeHost, lab: Lab) -> None:
    """All is as the spec says, on this host and on record, and nothing is left to do."""
    names = [node.name for node in lab.nodes]
    lab_record = kept(host)
    assert [node.name for node in lab_record.nodes] == names
    assert all(node.is_created and not node.is_outdated for node in lab_record.nodes)
    assert not any(node.lacks_names or node.has_nics for node in lab_record.nodes)
    libvirt = host.libvirt
    assert sorted(libvirt.names.values()) == sorted(f"trio_{name}" for name in names)
    assert set(libvirt.states) == set(uuids(host).values())
    assert set(libvirt.states.values()) == {NodeState.RUNNING}
    for node in lab.nodes:
        defined = host.defined[node.name]
        assert defined["uuid"] == uuids(host)[node.name]
        assert defined["memory_mib"] == node.memory.mib
        places = [(nic["mac"], nic["libvirt_network"], nic["bridge"]) for nic in defined["nics"]]
        places += [
            (nic.mac, nic.source.attributes.get("network"), nic.source.attributes.get("bridge"))
            for nic in libvirt.added.get(defined["uuid"], ())
        ]
        assert places == [place_of(lab, nic) for nic in node.nics]
        of_vagrant = [(disk["serial"], disk["is_shared"]) for disk in defined["disks"]]
        assert of_vagrant == [(disk.serial, disk.is_shared) for disk in node.disks]
        assert host.lab().overlay(node.name).exists()
        assert host.lab().seed(node.name).exists()
    ours = [network for network in lab.networks if network.is_made_by_us]
    recorded = {one.handle["libvirt_name"]: one.handle["uuid"] for one in lab_record.networks}
    assert libvirt.networks == recorded
    assert set(recorded) == {f"trio_{network.name}" for network in ours}
    for network in ours:
        access = [node for node, nic in lab.members(network.name) if nic is node.access]
        leases = {node.name: str(node.access.address.ip) for node in access}
        assert libvirt.hosts[f"trio_{network.name}"] == leases
    disks = {path.name for path in host.paths.volumes.iterdir() if path.suffix != ".img"}
    assert disks == set(disk_files(lab))
    assert {path.name.partition(".")[0] for path in host.lab().keys.glob("*.host_*")} == set(names)
    assert lab_json.from_json(host.lab().resolved.read_text()) == lab
    assert changes_of(host.context, lab).lines == ()


def test_a_node_that_is_added_is_made_and_the_others_learn_of_it(up: FakeHost) -> None:
    before = kept(up)
    keys = {node: up.lab().host_key(node).read_text() for node in NODES}
    up.up(GROWN)
    assert_follows(up, GROWN)
    assert up.ups == [("compute3",)]
    for node in before.nodes:
        assert kept(up).node(node.name) == node
        assert is_precious(up, node.name)
    assert {node: up.lab().host_key(node).read_text() for node in NODES} == keys
    assert set(placed(up, "names")) == set(NODES)
    assert not any(call[0] in ("remove_domain", "shut_down") for call in up.libvirt.calls)
    assert not [command for command in up.ran("ssh") if "exit" in command.argv], "no one is cut off"
    assert "compute3" in up.lab().known_hosts.read_text()
    assert "compute3" in up.lab().ssh_config.read_text()
    up.up(GROWN)
    assert len(placed(up, "names")) == 3
    assert up.ups == [("compute3",)]


def test_answers_that_name_the_new_node_are_brought_to_the_others(host: FakeHost) -> None:
    lab = make_contrail()
    smaller = dataclasses.replace(lab, nodes=lab.nodes[:2])
    host.up(smaller)
    host.up(lab)
    assert set(placed(host, "names")) == {node.name for node in smaller.nodes}
    recorded = record.read(host.lab(lab.name))
    assert recorded is not None
    assert all(node.answers for node in recorded.nodes)


def test_a_node_with_more_memory_boots_again_from_its_own_disk(up: FakeHost) -> None:
    before = uuids(up)
    up.up(MORE_MEMORY, consent=YES)
    assert_follows(up, MORE_MEMORY)
    assert ("shut_down", before["compute1"]) in up.libvirt.calls
    assert up.ups == [("compute1",)]
    assert all(is_precious(up, node) for node in NODES)
    assert placed(up, "names") == {}
    assert {name: uuids(up)[name] for name in ("controller", "compute2")} == {
        name: before[name] for name in ("controller", "compute2")
    }


def test_only_the_node_that_boots_again_loses_its_connection(up: FakeHost) -> None:
    up.up(MORE_MEMORY, consent=YES)
    ended = [command.argv[-1] for command in up.ran("ssh") if "exit" in command.argv]
    assert ended == ["compute1"]


def test_a_disk_that_grew_is_resized_while_the_node_is_off(up: FakeHost) -> None:
    up.runner.on("qemu-img", "resize", answer=lambda _command: resized_off(up))
    up.up(LARGER_DISK, consent=YES)
    assert_follows(up, LARGER_DISK)
    (command,) = [one for one in up.ran("qemu-img") if "resize" in one.argv]
    assert command.argv[-2:] == (str(up.lab().overlay("compute1")), "40960M")
    assert is_precious(up, "compute1")


def resized_off(host: FakeHost) -> Result:
    assert "trio_compute1" not in host.libvirt.names.values()
    return Result(exit_code=0)


@pytest.mark.parametrize("lab", [SMALLER_DISK, OTHER_MAC])
def test_what_a_reboot_cannot_do_is_made_anew(up: FakeHost, lab: Lab) -> None:
    before = uuids(up)
    up.up(lab, consent=YES)
    assert_follows(up, lab)
    assert up.ups == [("compute1",)]
    assert not is_precious(up, "compute1")
    assert is_precious(up, "compute2")
    assert uuids(up)["compute2"] == before["compute2"]


def test_a_node_that_is_left_out_goes_with_all_that_is_its(up: FakeHost) -> None:
    up.up(SHRUNK, consent=YES)
    assert_follows(up, SHRUNK)
    assert up.ups == []
    assert set(placed(up, "names")) == {"controller", "compute1"}
    assert not up.lab().console("compute2").exists()
    assert all(is_precious(up, node) for node in ("controller", "compute1"))


@pytest.mark.parametrize(
    "lab",
    [OTHER_RANGE, with_network(LAB, "net1", mode=NetworkMode.BRIDGED, bridge="br0")],
    ids=["range", "bridged"],
)
def test_networks_are_made_anew_with_the_nodes_on_them(
    up: FakeHost, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    handles = {network.name: network.handle for network in kept(up).networks}
    if lab.networks[-1].mode is NetworkMode.BRIDGED:
        monkeypatch.setattr("stacklab.doctor.preflight", lambda *_args, **_kwargs: ())
    up.up(lab, consent=YES)
    assert_follows(up, lab)
    assert not any(is_precious(up, node) for node in NODES)
    for network in kept(up).networks:
        is_same = network.handle == handles.get(network.name)
        assert is_same is (network.name == "net0")


def test_a_network_that_goes_takes_its_nics_by_a_reboot(up: FakeHost) -> None:
    up.up(NARROW, consent=YES)
    assert_follows(up, NARROW)
    assert up.ups == [NODES]
    assert all(is_precious(up, node) for node in NODES)


def test_a_network_without_nodes_is_made_while_all_go_on(up: FakeHost) -> None:
    lab = dataclasses.replace(LAB, networks=WIDE.networks)
    up.up(lab)
    assert_follows(up, lab)
    assert up.ups == []


def test_another_image_makes_all_nodes_anew_on_it(up: FakeHost) -> None:
    newer = up.stock("debian-12-openstack")
    lab = dataclasses.replace(LAB, images=("debian-12-openstack",))
    up.up(lab, consent=YES)
    assert_follows(up, lab)
    assert kept(up).image == newer.key
    assert not any(is_precious(up, node) for node in NODES)


def test_several_changes_are_followed_at_once(up: FakeHost) -> None:
    up.up(MIXED, consent=YES)
    assert_follows(up, MIXED)
    assert up.ups == [("compute1", "compute3")]
    assert is_precious(up, "compute1")


@pytest.mark.parametrize("lab", [MORE_MEMORY, OTHER_MAC, SHRUNK, OTHER_RANGE])
def test_without_consent_nothing_is_touched(up: FakeHost, lab: Lab) -> None:
    before = (up.lab().record.read_text(), up.lab().resolved.read_text())
    with pytest.raises(SpecChanged):
        up.up(lab)
    assert (up.lab().record.read_text(), up.lab().resolved.read_text()) == before
    assert up.libvirt.calls == []
    assert up.runner.commands == []


def test_a_lab_with_faults_is_not_taken_apart(up: FakeHost) -> None:
    fault_list.write(up.lab(), [fault_list.parse(LAB, ["pause", "compute1"])])
    with pytest.raises(SpecChanged, match="has faults") as caught:
        up.up(SHRUNK, consent=YES)
    assert "lab.fault trio --undo" in str(caught.value.hint)
    assert len(kept(up).nodes) == 3


def test_an_unchanged_lab_is_not_asked_anything_of(up: FakeHost) -> None:
    up.up()
    # The firewall is set each time, for rules that a reboot of this host has lost.
    assert {argv[0] for argv in up.runner.argvs} <= {"iptables", "iptables-restore"}
    assert not [call for call in up.libvirt.calls if call[0].startswith("remove")]


# --- the plan


def test_a_plan_of_a_changed_lab_says_what_becomes_of_each_node(up: FakeHost) -> None:
    rows = {what: action for what, action, _why in plan(up.context, MIXED)}
    assert rows == {
        "image": "keep",
        "network net0": "keep",
        "network net1": "keep",
        "node controller": "leave alone",
        "node compute1": "reboot",
        "node compute3": "make",
        "node compute2": "remove",
    }
    networks = {what: action for what, action, _why in plan(up.context, OTHER_RANGE)}
    assert networks["network net1"] == "rebuild"
    assert networks["node compute2"] == "rebuild"
    assert up.libvirt.calls == []
    assert up.runner.commands == []


# --- killed


class Killed(BaseException):
    """This process has ended, in the middle of whatever it did."""


class Killer:
    """Kills at the step of that number; nothing works after it, until the next command."""

    STEPS = (
        "shut_down",
        "power_off",
        "remove_domain",
        "ensure_network",
        "remove_network",
        "add_nic",
    )

    def __init__(self, host: FakeHost, patch: pytest.MonkeyPatch, at: int) -> None:
        self.left = at
        self.host = host
        for name in self.STEPS:
            patch.setattr(host.libvirt, name, self.step(getattr(host.libvirt, name)))
        patch.setattr(host.runner, "run", self.step(host.runner.run))
        patch.setattr(files, "write", self.step(files.write))
        patch.setattr(Path, "unlink", self.step(Path.unlink))
        patch.setattr("stacklab.providers.libvirt.provider.vagrant.up", self.step(host.vagrant_up))

    def step(self, real: Callable[..., object]) -> Callable[..., object]:
        def tried(*args: object, **kwargs: object) -> object:
            self.left -= 1
            if self.left <= 0:
                raise Killed
            return real(*args, **kwargs)

        return tried


def killed_at(host: FakeHost, at: int, lab: Lab) -> bool:
    """Whether a lab.up was killed before it was through."""
    with pytest.MonkeyPatch.context() as patch:
        Killer(host, patch, at)
        try:
            host.up(lab, consent=YES)
        except Killed:
            return True
    return False


class Beginning:
    """The host as it is now: its files and its libvirt, to be had again as often as one likes."""

    def __init__(self, host: FakeHost) -> None:
        self._host = host
        self._files = host.root.with_name("beginning")
        shutil.copytree(host.root, self._files, symlinks=True)
        self._defined = copy.deepcopy(host.defined)
        fields = dataclasses.fields(host.libvirt)
        self._libvirt = {
            field.name: copy.deepcopy(getattr(host.libvirt, field.name)) for field in fields
        }

    def again(self) -> None:
        shutil.rmtree(self._host.root)
        shutil.copytree(self._files, self._host.root, symlinks=True)
        self._host.defined = copy.deepcopy(self._defined)
        for name, value in self._libvirt.items():
            setattr(self._host.libvirt, name, copy.deepcopy(value))


@pytest.mark.parametrize(
    ("lab", "untouched"),
    [
        (MIXED, ("controller",)),
        (OTHER_MAC, ("controller", "compute2")),
        (LARGER_DISK, NODES),
        (OTHER_RANGE, ()),
        (NARROW, NODES),
        (WIDE, NODES),
        (SHARING, ("controller",)),
    ],
    ids=["mixed", "mac", "disk", "range", "narrow", "wide", "sharing"],
)
def test_killed_at_any_step_the_next_lab_up_goes_on(
    up: FakeHost, lab: Lab, untouched: tuple[str, ...]
) -> None:
    beginning = Beginning(up)
    at = 1
    while killed_at(up, at, lab):
        up.up(lab, consent=YES)
        assert_follows(up, lab)
        assert all(is_precious(up, node) for node in untouched), at
        beginning.again()
        at += 1
    assert at > 12


@pytest.mark.parametrize(
    "lab",
    [MIXED, OTHER_MAC, OTHER_RANGE, WIDE, SHARING],
    ids=["mixed", "mac", "range", "wide", "sharing"],
)
def test_killed_at_any_step_the_spec_of_before_can_be_had_again(up: FakeHost, lab: Lab) -> None:
    beginning = Beginning(up)
    at = 1
    while killed_at(up, at, lab):
        up.up(LAB, consent=YES)
        assert_follows(up, LAB)
        assert is_precious(up, "controller") or lab is OTHER_RANGE, at
        beginning.again()
        at += 3  # the test above has every step
    assert at > 12


def test_what_was_agreed_to_and_cut_short_is_finished_without_a_word(up: FakeHost) -> None:
    def fail(*_args: object) -> None:
        raise LabError("disk full")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(up.libvirt, "remove_domain", fail)
        with pytest.raises(LabError):
            up.up(SHRUNK, consent=YES)
    up.up(SHRUNK)
    assert_follows(up, SHRUNK)


def test_a_killed_lab_up_keeps_no_lab_from_being_destroyed(up: FakeHost) -> None:
    beginning = Beginning(up)
    at = 1
    while killed_at(up, at, MIXED):
        ending.destroy(up.context, "trio")
        assert up.libvirt.states == up.libvirt.networks == {}
        assert list(up.paths.volumes.iterdir()) == []
        assert not up.lab().root.exists()
        beginning.again()
        at += 7
