"""How a fault is written, and what can't be meant."""

from __future__ import annotations

import pytest

from stacklab.errors import (
    LabError,
)
from stacklab.model.lab import NetworkMode
from stacklab.workflow.faults import faults
from tests.unit.checks.fake_lab import make_lab
from tests.unit.workflow.faults.faulty_lab import EVERY, LAB


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("link-down compute1 net1", "link-down compute1 eth1"),
        ("partition net1 controller,compute1", "partition net1 controller,compute1 compute2"),
        ("partition net1 compute2", "partition net1 compute2 controller,compute1"),
        ("pause controller", "pause controller"),
    ],
)
def test_a_fault_is_read_with_all_that_follows_from_it(words: str, shown: str) -> None:
    assert str(faults.parse(LAB, words.split())) == shown


@pytest.mark.parametrize("words", EVERY)
def test_what_is_listed_can_be_typed_again(words: str) -> None:
    fault = faults.parse(LAB, words.split())
    assert faults.parse(LAB, str(fault).split()) == fault


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ("", "'' is not a fault .there are: link-down, unplug, pause, power-off, partition"),
        ("fire compute1", "'fire' is not a fault"),
        ("pause", "pause takes NODE, not nothing"),
        ("pause compute1 eth1", "pause takes NODE, not compute1 eth1"),
        ("link-down compute1", "link-down takes NODE NIC, not compute1"),
        (
            "pause nobody",
            "'nobody' is not a node of lab trio .it has: controller, compute1, compute2",
        ),
        (
            "unplug compute1 eth7",
            "'eth7' is not a NIC of compute1 .it has: eth0 on net0, eth1 on net1",
        ),
        ("partition net1", "partition takes NETWORK NODE,NODE, not net1"),
        ("partition nowhere compute1", "'nowhere' is not a network of lab trio"),
        ("partition net1 nobody", "'nobody' is not a node on net1"),
        ("partition net1 compute1 compute1", "compute1 is named twice"),
        ("partition net1 controller,compute1,compute2", "nothing is parted"),
        ("partition net1 ,", "nothing is parted"),
    ],
)
def test_what_can_t_be_meant_is_told_with_how_it_is_written(words: str, wrong: str) -> None:
    with pytest.raises(LabError, match=wrong) as caught:
        faults.parse(LAB, words.split())
    assert "./invoke lab.fault trio link-down NODE NIC" in str(caught.value.hint)


def test_the_host_s_own_bridge_is_never_parted() -> None:
    with pytest.raises(LabError, match="the host's own"):
        faults.parse(make_lab(mode=NetworkMode.BRIDGED), ["partition", "net1", "compute1"])
