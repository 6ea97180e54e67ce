"""What may change under a lab that exists, and what may not."""

from __future__ import annotations

import dataclasses

import pytest

from stacklab.model.checks import CheckPolicy, CustomCheck, CustomKind
from stacklab.model.lab import NIC, Impairment, Lab
from stacklab.workflow.lab import changes
from tests.unit.checks.fake_lab import make_lab

LAB = make_lab()


def with_nic(lab: Lab, nic: NIC) -> Lab:
    """The lab whose second node has that NIC instead of its eth1."""
    first, second, *rest = lab.nodes
    return dataclasses.replace(
        lab, nodes=(first, dataclasses.replace(second, nics=(second.nics[0], nic)), *rest)
    )


def test_a_changed_impairment_needs_no_rebuild() -> None:
    nic = dataclasses.replace(
        LAB.nodes[1].nics[1], impairment=Impairment(delay_ms=20, loss_percent=1, rate_kbit=512)
    )
    changes.refuse(with_nic(LAB, nic), LAB)
    changes.refuse(LAB, with_nic(LAB, nic))


def test_changed_checks_need_no_rebuild() -> None:
    own = CustomCheck(
        name="ssh is up", kind=CustomKind.COMMAND, nodes=("controller",), command="true"
    )
    policy = CheckPolicy(retries=8, interval_s=1, boot_timeout_s=9, custom=(own,))
    changes.refuse(dataclasses.replace(LAB, checks=policy), LAB)


def test_what_else_changed_in_an_impaired_node_is_refused() -> None:
    nic = dataclasses.replace(LAB.nodes[1].nics[1], impairment=Impairment(delay_ms=20), mtu=1400)
    with pytest.raises(changes.SpecChanged, match="changed since: node compute1\n"):
        changes.refuse(with_nic(LAB, nic), LAB)


def test_a_network_that_loses_the_host_is_made_anew() -> None:
    first, second = LAB.networks
    lab = dataclasses.replace(LAB, networks=(first, dataclasses.replace(second, has_host=False)))
    with pytest.raises(changes.SpecChanged, match="changed since: network net1\n"):
        changes.refuse(lab, LAB)
