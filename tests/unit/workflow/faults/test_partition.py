"""The rules in ebtables that part a network."""

from __future__ import annotations

import dataclasses

import pytest

from stacklab.errors import (
    CommandFailed,
    LabError,
    ProviderError,
    ToolNotFound,
)
from stacklab.workflow.faults import faults
from tests.unit.workflow.faults.faulty_lab import LAB, Up


def test_a_network_is_parted_one_way_at_a_time(up: Up) -> None:
    up.apply("partition", "net1", "compute1")
    with pytest.raises(LabError, match="net1 is partitioned already"):
        up.apply("partition", "net1", "compute2")


def test_a_node_that_was_powered_on_has_its_nics_again_and_its_partition_still(up: Up) -> None:
    up.apply("link-down", "compute1", "eth1")
    up.apply("partition", "net1", "compute1")
    up.apply("power-off", "compute1")
    tap = next(
        tap
        for mac, _, tap in up.libvirt.nics[up.uuid("compute1")]
        if mac == LAB.nodes[1].nics[1].mac
    )
    assert not any(
        tap in rule for rule in up.tables.rules["sl-trio1"]
    )  # it may be another lab's by now
    up.libvirt.wire(up.kept, LAB)  # its start gives it new taps
    up.libvirt.down.clear()
    assert up.undo("power-off", "compute1") == ("power-off compute1", "link-down compute1 eth1")
    assert up.listed == ["partition net1 compute1 controller,compute2"]
    rules = [rule for rules in up.tables.rules.values() for rule in rules]
    assert not any(f"{tap} " in rule for rule in rules)
    assert len([rule for rule in rules if "vnet" in rule]) == 6


def test_the_rules_of_a_partition_name_the_lab_s_own_taps_alone(up: Up) -> None:
    up.apply("partition", "net1", "compute1")
    own = {
        tap
        for nics in up.libvirt.nics.values()
        for _, network, tap in nics
        if network == "trio_net1"
    }
    named = {
        word
        for rules in up.tables.rules.values()
        for rule in rules
        for word in rule.split()
        if "vnet" in word
    }
    assert named == own


def test_rules_that_stay_are_told(up: Up) -> None:
    up.apply("partition", "net1", "compute1")
    up.tables.stuck = True
    with pytest.raises(ProviderError, match="the rules that part net1 are still there"):
        up.undo()
    assert up.listed == ["partition net1 compute1 controller,compute2"]


def test_rules_that_nobody_may_look_at_are_not_taken_for_gone(up: Up) -> None:
    up.apply("partition", "net1", "compute1")
    up.tables.refuses = True
    with pytest.raises(LabError):
        up.undo()
    with pytest.raises(LabError):
        faults.forget(up.host.context, up.host.lab(), up.kept)
    assert up.listed == ["partition net1 compute1 controller,compute2"]
    up.tables.refuses = False
    up.undo()
    assert up.is_healthy


@pytest.mark.parametrize(
    "error", [ToolNotFound("ebtables"), CommandFailed("sudo: ebtables: command not found")]
)
def test_a_partition_that_cannot_be_made_is_never_on_the_list(up: Up, error: LabError) -> None:
    for prefix in (("ebtables",), ("sudo", "-n", "ebtables")):
        up.host.runner.on(*prefix, answer=error)
    with pytest.raises(LabError) as caught:
        up.apply("partition", "net1", "compute1")
    assert up.listed == [], "else lab.destroy would want ebtables too"
    assert "iptables" in str(caught.value.hint), "the package that has it"
    faults.forget(up.host.context, up.host.lab(), up.kept)


def test_a_network_that_is_not_on_record_keeps_no_lab_alive(up: Up) -> None:
    up.apply("partition", "net1", "compute1")
    faults.forget(up.host.context, up.host.lab(), dataclasses.replace(up.kept, networks=()))
    assert up.listed == []
