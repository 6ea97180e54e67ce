"""The host's ends of a node's NICs, while the node is paused."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacklab.providers.containers import links
from stacklab.providers.containers.plans import NicPlan
from tests.contract.containers.tiny_node import NEEDS, WAITS, TinyNode

pytestmark = list(NEEDS)

BRIDGE = "sl-test-links"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TinyNode]:
    subprocess.run(("ip", "link", "add", BRIDGE, "type", "bridge"), check=True)
    try:
        tiny = TinyNode.make(tmp_path, WAITS, is_privileged=False)
        try:
            yield tiny
        finally:
            tiny.remove()
    finally:
        subprocess.run(("ip", "link", "delete", BRIDGE), check=True)


def nic_of(node: TinyNode) -> NicPlan:
    return NicPlan(
        end=node.container.end(0),
        bridge=BRIDGE,
        device="eth0",
        mac="52:54:00:00:00:01",
        mtu=1500,
        address="192.0.2.1/24",
        gateway="",
    )


def test_a_paused_node_stays_without_a_link_whatever_is_plugged(node: TinyNode) -> None:
    nic = nic_of(node)
    node.start(nic)
    assert links.is_up(nic.end)
    node.machines.freeze(node.container)
    assert not links.is_up(nic.end)
    node.machines.set_link(node.container, nic.end, is_up=False)
    node.machines.set_link(node.container, nic.end, is_up=True)
    assert not links.is_up(nic.end), "link-up"
    node.machines.unplug(node.container, nic.end)
    node.machines.plug(node.container, nic)
    assert links.is_there(nic.end)
    assert not links.is_up(nic.end), "plug"
    node.machines.thaw(node.container)
    assert links.is_up(nic.end)


def test_a_cable_that_is_pulled_while_paused_is_out_afterwards(node: TinyNode) -> None:
    nic = nic_of(node)
    node.start(nic)
    node.machines.freeze(node.container)
    node.machines.set_link(node.container, nic.end, is_up=False)
    node.machines.thaw(node.container)
    assert not links.is_up(nic.end)
    node.machines.set_link(node.container, nic.end, is_up=True)
    assert links.is_up(nic.end)


def test_a_removed_node_has_no_link_though_the_kernel_still_keeps_its_namespace(
    node: TinyNode,
) -> None:
    """As it does for minutes, while a TCP connection in there waits for a peer that is gone."""
    nic = nic_of(node)
    node.start(nic)
    (holder, *_) = (node.group / "net" / "cgroup.procs").read_text().split()
    with Path(f"/proc/{holder}/ns/net").open():
        node.remove()
        assert not links.is_there(nic.end)
