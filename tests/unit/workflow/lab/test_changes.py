"""What a changed spec costs a lab that exists."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping
from enum import Enum
from ipaddress import IPv4Interface, IPv4Network
from typing import Any

import pytest

from stacklab.model.checks import CheckPolicy, CustomCheck, CustomKind
from stacklab.model.lab import (
    NIC,
    Disk,
    DiskBus,
    Impairment,
    Lab,
    Network,
    NetworkMode,
    Node,
    NodeKind,
    Size,
)
from stacklab.model.stack import Installer, NetworkingMode, Role, Stack
from stacklab.paths import HostPaths
from stacklab.providers import registry
from stacklab.record import LabRecord
from stacklab.workflow.lab.changes import fields, refusing
from stacklab.workflow.lab.changes.change import Changes, Cost, Subject
from stacklab.workflow.lab.changes.compare import compare
from stacklab.workflow.lab.changes.refusing import Consent, SpecChanged
from tests.unit.workflow.lab.changing import (
    APART,
    GROWN,
    LAB,
    LARGER_DISK,
    MORE_MEMORY,
    NARROW,
    OTHER_IMAGE,
    OTHER_MAC,
    OTHER_RANGE,
    SHRUNK,
    SMALLER_DISK,
    WIDE,
    with_network,
    with_nic,
    with_node,
)


def record_of(lab: Lab, *, is_created: bool = True, provider: str = "libvirt") -> LabRecord:
    """The record of a lab that is up."""
    made = registry.new_record(
        lab,
        HostPaths.default().lab(lab.name),
        image="debian-12-aaaaaaaaaaaa-bbbbbbbb",
        passed_over={},
        now=time.time(),
        provider=provider,
    )
    for node in made.nodes:
        made = made.with_node(dataclasses.replace(node, is_created=is_created))
    return made


def changes(lab: Lab, made: Lab = LAB) -> Changes:
    return compare(made, lab, record_of(made))


def lines(lab: Lab, made: Lab = LAB) -> list[tuple[str, str, str]]:
    return [(one.about, one.text, str(one.cost)) for one in changes(lab, made)]


def costs(lab: Lab, made: Lab = LAB) -> dict[str, str]:
    """The dearest cost of each node."""
    found = changes(lab, made)
    return {name: str(cost) for cost in Cost for name in found.names(Subject.NODE, cost)}


def test_a_lab_that_is_as_its_spec_says_has_no_changes() -> None:
    assert lines(LAB) == []
    assert lines(dataclasses.replace(LAB, nodes=LAB.nodes[::-1], description="else")) == []
    assert compare(None, LAB, record_of(LAB)).lines == ()
    assert compare(LAB, GROWN, None).lines == ()


def test_a_node_that_is_added_is_new_and_one_that_is_left_out_is_removed() -> None:
    assert lines(GROWN) == [
        ("node compute3", "compute, 1 cpu, 1GiB, 10.10.0.14, 10.20.0.14", "new")
    ]
    assert lines(SHRUNK) == [("node compute2", "", "remove")]


@pytest.mark.parametrize(
    ("lab", "text", "cost"),
    [
        (MORE_MEMORY, "memory 1GiB -> 2GiB", "reboot"),
        (with_node(LAB, "compute1", cpus=2), "cpus 1 -> 2", "reboot"),
        (LARGER_DISK, "disk 20GiB -> 40GiB", "reboot"),
        (SMALLER_DISK, "disk 20GiB -> 10GiB", "rebuild"),
        (with_node(LAB, "compute1", role=Role.NODE), "role compute -> node", "rebuild"),
        (OTHER_MAC, "mac on net0 52:54:00:00:00:01 -> 52:54:00:ff:ff:ff", "rebuild"),
        (
            with_nic(LAB, "compute1", 1, address=IPv4Interface("10.20.0.99/24")),
            "address on net1 10.20.0.12/24 -> 10.20.0.99/24",
            "rebuild",
        ),
        (
            with_node(LAB, "compute1", nics=LAB.node("compute1").nics[:1]),
            "NIC on net1 eth1 10.20.0.12 -> nothing",
            "reboot",
        ),
        (
            with_nic(LAB, "compute1", 1, impairment=Impairment(delay_ms=20, loss_percent=1)),
            "impairment on net1 nothing -> delay 20 ms, loss 1 %",
            "live",
        ),
        (with_node(LAB, "compute1", kind=NodeKind.CONTAINER), "kind vm -> container", "refused"),
    ],
)
def test_what_changed_in_a_node_is_told_with_its_cost(lab: Lab, text: str, cost: str) -> None:
    assert lines(lab) == [("node compute1", text, cost)]


def test_nics_in_another_order_are_other_devices() -> None:
    swapped = with_node(LAB, "compute1", nics=LAB.node("compute1").nics[::-1])
    assert costs(swapped) == {"compute1": "rebuild"}


def test_a_container_has_no_disk_of_its_own_to_grow() -> None:
    containers = LAB.all_as(NodeKind.CONTAINER)
    for size in (10240, 40960):
        changed = with_node(containers, "compute1", disk=Size(size))
        found = compare(containers, changed, record_of(containers, provider="containers"))
        assert [one.cost for one in found] == [Cost.LIVE]


def test_what_else_changed_in_an_impaired_node_counts() -> None:
    lab = with_nic(LAB, "compute1", 1, impairment=Impairment(delay_ms=20), mtu=1400)
    assert costs(lab) == {"compute1": "rebuild"}


@pytest.mark.parametrize(
    "lab",
    [
        OTHER_RANGE,
        with_network(LAB, "net1", mtu=1400),
        with_network(LAB, "net1", mode=NetworkMode.ISOLATED),
        with_network(LAB, "net1", has_host=False),
    ],
)
def test_a_network_that_changed_is_made_anew_with_all_nodes_on_it(lab: Lab) -> None:
    apart = with_node(lab, "compute2", nics=lab.node("compute2").nics[:1])
    made = with_node(LAB, "compute2", nics=LAB.node("compute2").nics[:1])
    found = compare(made, apart, record_of(made))
    assert found.names(Subject.NETWORK, Cost.REBUILD) == ("net1",)
    assert found.names(Subject.NODE, Cost.REBUILD) == ("compute1", "controller")
    assert found.names(Subject.NODE, *Cost) == ("compute1", "controller"), "compute2 goes on"


def test_networks_come_and_go_with_the_nics_of_their_nodes() -> None:
    assert changes(WIDE).names(Subject.NETWORK, Cost.NEW) == ("net2",)
    assert changes(NARROW).names(Subject.NETWORK, Cost.REMOVE) == ("net1",)
    assert set(costs(WIDE).values()) == {"live"}
    assert set(costs(NARROW).values()) == {"reboot"}


def test_a_nic_behind_all_others_of_a_vm_is_plugged_in() -> None:
    found = changes(LAB, APART)
    (line,) = found
    assert (line.text, line.cost) == ("NIC on net1 nothing -> eth1 10.20.0.12", Cost.LIVE)
    assert found.nodes_with_more_nics == ("compute1",)
    assert changes(WIDE).nodes_with_more_nics == ("compute1", "compute2", "controller")
    refusing.refuse_unless_agreed("trio", changes(WIDE), Consent())


def test_a_nic_in_front_of_another_one_takes_its_name() -> None:
    controller, compute1 = LAB.node("controller"), APART.node("compute1")
    in_front = (controller.nics[1], compute1.nics[0])
    found = changes(with_node(APART, "compute1", nics=in_front), APART)
    assert found.names(Subject.NODE, Cost.REBUILD) == ("compute1",)
    assert found.nodes_with_more_nics == ()


def test_a_container_that_gets_or_loses_a_nic_is_made_anew() -> None:
    one, two = (lab.all_as(NodeKind.CONTAINER) for lab in (APART, LAB))
    for made, lab in ((one, two), (two, one)):
        found = compare(made, lab, record_of(made, provider="containers"))
        assert [change.cost for change in found] == [Cost.REBUILD]
        assert found.nodes_with_more_nics == ()


def test_where_nothing_can_be_plugged_in_the_node_boots_with_its_nic() -> None:
    whys = {"compute1": "a machine of type pc-q35-7.2 takes nothing in", "compute2": "else"}
    found = compare(APART, LAB, record_of(APART), whys_no_plug=whys)
    (line,) = found
    assert (line.cost, line.why) == (Cost.REBOOT, whys["compute1"])
    assert found.nodes_with_more_nics == ()


@pytest.mark.parametrize(
    ("changed", "cost"),
    [({"memory": Size(2048)}, Cost.REBOOT), ({"role": Role.NODE}, Cost.REBUILD)],
)
def test_a_node_that_boots_or_is_made_anew_anyway_has_its_nics_by_that(
    changed: dict[str, object], cost: Cost
) -> None:
    found = changes(with_node(LAB, "compute1", **changed), APART)
    assert found.names(Subject.NODE, cost) == ("compute1",)
    assert found.nodes_with_more_nics == ()


def test_a_new_network_without_nodes_interrupts_nobody() -> None:
    lab = dataclasses.replace(LAB, networks=WIDE.networks)
    assert [one.cost for one in changes(lab)] == [Cost.NEW]


def test_another_image_is_for_all_nodes() -> None:
    assert changes(OTHER_IMAGE).needs_other_image
    assert costs(OTHER_IMAGE) == dict.fromkeys(("compute1", "compute2", "controller"), "rebuild")


def test_an_image_that_is_no_better_than_the_one_in_use_changes_nothing() -> None:
    behind = dataclasses.replace(LAB, images=("debian-12", "centos-7"))
    assert [one.cost for one in changes(behind)] == [Cost.LIVE]
    before = dataclasses.replace(LAB, images=("centos-7", "debian-12"))
    assert changes(before).needs_other_image
    passed_over = dataclasses.replace(record_of(LAB), passed_over={"centos-7": "not reached"})
    assert not compare(behind, before, passed_over).needs_other_image


def test_answers_and_checks_are_followed_while_nodes_go_on() -> None:
    own = CustomCheck(
        name="ssh is up", kind=CustomKind.COMMAND, nodes=("controller",), command="true"
    )
    policy = CheckPolicy(retries=8, interval_s=1.5, boot_timeout_s=60, custom=(own,))
    stack = dataclasses.replace(LAB.stack, release="master", has_tls=True)
    lab = dataclasses.replace(LAB, checks=policy, stack=stack)
    assert lines(lab) == [
        ("answers", "stack: release, has tls", "live"),
        ("checks", "retries, custom", "live"),
    ]
    refusing.refuse(lab, LAB, record_of(LAB))


@pytest.mark.parametrize(
    ("installer", "words"),
    [
        (Installer.DEBIAN, "it forgets compute2: "),
        (Installer.CONTRAIL, "goes on listing compute2"),
    ],
)
def test_a_compute_that_leaves_a_cloud_leaves_a_note(installer: Installer, words: str) -> None:
    stack = Stack(installer=installer, network="net0", network_mode=NetworkingMode.OVN)
    made, lab = (dataclasses.replace(one, stack=stack) for one in (LAB, SHRUNK))
    (note,) = changes(lab, made).notes
    assert words in note
    assert changes(SHRUNK).notes == ()
    assert changes(dataclasses.replace(GROWN, stack=stack), made).notes == ()


# --- what a killed command has left


def test_a_node_that_is_to_be_made_anyway_costs_nothing_more() -> None:
    half = record_of(LAB)
    compute1 = half.node("compute1")
    assert compute1 is not None
    half = half.with_node(dataclasses.replace(compute1, is_created=False))
    assert compare(LAB, MORE_MEMORY, half).lines == ()


def test_what_is_left_of_a_node_that_the_spec_lacks_needs_no_word_of_anybody() -> None:
    half = record_of(LAB, is_created=False)
    assert [one.cost for one in compare(LAB, SHRUNK, half)] == [Cost.LIVE]


def test_a_disk_that_is_added_removed_or_grown_costs_a_rebuild_which_says_of_what() -> None:
    plain = Disk(name="disk1", size=Size(1024), serial="disk1")
    larger = dataclasses.replace(plain, size=Size(2048), bus=DiskBus.SCSI)
    shared = Disk(name="quorum", size=Size(64), serial="quorum", is_shared=True)
    one, grown, both = (
        with_node(LAB, "compute1", disks=disks) for disks in ((plain,), (larger,), (plain, shared))
    )
    why = "all of its disks are made anew"
    assert [str(change) for change in changes(one)] == [
        f"node compute1: disks nothing -> disk1 (1GiB, virtio) ({why})"
    ]
    assert [str(change) for change in changes(grown, one)] == [
        f"node compute1: disks disk1 (1GiB, virtio) -> disk1 (2GiB, scsi) ({why})"
    ]
    why += ", a shared one only with all nodes that have it"
    assert [str(change) for change in changes(one, both)] == [
        "node compute1: disks disk1 (1GiB, virtio), quorum (64MiB, virtio, shared) -> "
        f"disk1 (1GiB, virtio) ({why})"
    ]
    assert costs(LAB, one) == costs(grown, one) == costs(one, both) == {"compute1": "rebuild"}


def test_a_node_of_another_provider_is_refused() -> None:
    lab = with_node(GROWN, "compute3", kind=NodeKind.CONTAINER)
    assert Cost.REFUSED in [one.cost for one in changes(lab)]
    with pytest.raises(SpecChanged, match="can't follow its spec") as caught:
        refusing.refuse_unless_agreed("trio", changes(lab), Consent(to_all=True, removes=True))
    assert "./invoke lab.rebuild trio" in str(caught.value.hint)


# --- a field that is added to the model later is not passed over

_NAMES = {Node: "name", Network: "name", NIC: "network"}
_LIVE = {(NIC, "impairment"), (Network, "opens_host")}
_OF_LAB = {
    "name",
    "description",
    "source",
    "nodes",
    "networks",
    "images",
    "stack",
    "checks",
    "checkpoints",
}


def other(value: object) -> object:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, Enum):
        return next(one for one in type(value) if one is not value)
    if isinstance(value, Size):
        return Size(value.mib // 2)
    if isinstance(value, Impairment):
        return Impairment(delay_ms=7)
    if isinstance(value, IPv4Network | IPv4Interface):
        return type(value)("10.77.0.5/32")
    if isinstance(value, tuple):
        return value[:-1] if value else (Disk(name="disk1", size=Size(1024), serial="disk1"),)
    if isinstance(value, int):
        return value + 9
    assert isinstance(value, str), f"give {value!r} another value"
    return f"{value}9"


def fields_of(*kinds: type) -> Iterator[tuple[type, str]]:
    for kind in kinds:
        for field in dataclasses.fields(kind):
            if field.name != _NAMES.get(kind):
                yield kind, field.name


@pytest.mark.parametrize(("kind", "field"), list(fields_of(Node, NIC, Network)))
def test_no_field_changes_unnoticed(kind: type, field: str) -> None:
    place: Mapping[type, Any] = {Node: LAB.nodes[1], NIC: LAB.nodes[1].nics[1]}
    value = other(getattr(place.get(kind, LAB.networks[1]), field))
    changed = {
        Node: lambda: with_node(LAB, "compute1", **{field: value}),
        NIC: lambda: with_nic(LAB, "compute1", 1, **{field: value}),
        Network: lambda: with_network(LAB, "net1", **{field: value}),
    }[kind]()
    found = changes(changed)
    assert found.lines, f"{kind.__name__}.{field} changes unnoticed"
    assert found.is_disruptive is not ((kind, field) in _LIVE) or field == "kind"


def test_a_field_that_nobody_has_heard_of_costs_a_rebuild() -> None:
    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class Tomorrow(Node):
        firmware: str = "bios"

    fields_of_node = {field.name: getattr(LAB.nodes[1], field.name) for field in _fields(Node)}
    before, after = (Tomorrow(**fields_of_node, firmware=word) for word in ("bios", "uefi"))
    (found,) = fields.node_changes(before, after)
    assert (found.text, found.cost) == ("firmware bios -> uefi", Cost.REBUILD)


def test_a_labs_field_that_nobody_has_heard_of_costs_a_rebuild_of_all() -> None:
    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class Tomorrow(Lab):
        clock: str = "utc"

    assert {field.name for field in _fields(Lab)} == _OF_LAB, "say what a new one costs"
    known = {field.name: getattr(LAB, field.name) for field in _fields(Lab)}
    made, lab = (Tomorrow(**known, clock=word) for word in ("utc", "local"))
    assert set(costs(lab, made).values()) == {"rebuild"}


def _fields(kind: type) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(kind)


# --- consent


def test_additions_need_nobodys_consent() -> None:
    refusing.refuse_unless_agreed("trio", changes(GROWN), Consent())


@pytest.mark.parametrize("lab", [MORE_MEMORY, OTHER_MAC, OTHER_RANGE, OTHER_IMAGE])
def test_nothing_is_interrupted_without_consent(lab: Lab) -> None:
    found = changes(lab)
    with pytest.raises(SpecChanged, match="would interrupt it") as caught:
        refusing.refuse_unless_agreed("trio", found, Consent(removes=True))
    assert "./invoke lab.up trio --yes" in str(caught.value.hint)
    refusing.refuse_unless_agreed("trio", found, Consent(to_all=True))
    refusing.refuse_unless_agreed("trio", found, Consent(to=found))


def test_what_was_agreed_to_is_not_what_has_changed_since() -> None:
    agreed = Consent(to=changes(MORE_MEMORY))
    with pytest.raises(SpecChanged):
        refusing.refuse_unless_agreed("trio", changes(OTHER_MAC), agreed)


def test_nodes_are_removed_only_by_name_of_the_option() -> None:
    with pytest.raises(SpecChanged, match="lacks nodes that exist: compute2") as caught:
        refusing.refuse_unless_agreed("trio", changes(SHRUNK), Consent(to_all=True))
    assert "--remove" in str(caught.value.hint)
    with pytest.raises(SpecChanged, match="would interrupt it") as caught:
        refusing.refuse_unless_agreed("trio", changes(SHRUNK), Consent(removes=True))
    assert "./invoke lab.up trio --remove --yes" in str(caught.value.hint)
    refusing.refuse_unless_agreed("trio", changes(SHRUNK), Consent(removes=True, to_all=True))


def test_tasks_that_work_on_what_is_there_refuse_what_lab_up_would_do() -> None:
    for lab, made in (
        (GROWN, LAB), (SHRUNK, LAB), (MORE_MEMORY, LAB), (OTHER_RANGE, LAB), (LAB, APART)
    ):  # fmt: skip
        with pytest.raises(SpecChanged, match="its spec has changed since: n") as caught:
            refusing.refuse(lab, made, record_of(made))
        assert "./invoke lab.up trio" in str(caught.value.hint)
    impaired = with_nic(LAB, "compute1", 1, impairment=Impairment(delay_ms=20))
    refusing.refuse(impaired, LAB, record_of(LAB))
