from __future__ import annotations

import dataclasses
from dataclasses import FrozenInstanceError
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacklab.installers import name_nic
from stacklab.model.checks import CheckPolicy
from stacklab.model.lab import NIC, Lab, Network, NetworkMode, Node, Size, stable_hex
from stacklab.model.stack import ConfigOption, Installer, Lines, Role, Stack
from tests.unit.installers.contrail.labs import make_lab as make_contrail


def _node(name: str, role: Role, *networks: str) -> Node:
    nics = tuple(
        NIC(
            network=net,
            device=f"eth{i}",
            address=IPv4Interface("10.0.0.5/24"),
            mac="52:54:00:00:00:01",
            mtu=1500,
        )
        for i, net in enumerate(networks)
    )
    return Node(name=name, role=role, cpus=1, memory=Size(512), disk=Size(1024), nics=nics)


def _lab(*nodes: Node) -> Lab:
    networks = tuple(
        Network(
            name=name, cidr=IPv4Network(cidr), mode=NetworkMode.NAT, mtu=1500, bridge=f"b-{name}"
        )
        for name, cidr in (("mgmt", "10.0.0.0/24"), ("data", "10.0.1.0/24"))
    )
    return Lab(
        name="l",
        description="",
        source=Path("l.yaml"),
        images=("debian-12",),
        networks=networks,
        nodes=nodes,
        stack=Stack(installer=Installer.NONE, network="mgmt"),
        checks=CheckPolicy(retries=1, interval_s=1.0, boot_timeout_s=1.0),
    )


@pytest.mark.parametrize(
    ("text", "mib"),
    [
        ("512MiB", 512),
        ("2GiB", 2048),
        ("1.5GiB", 1536),
        ("1TiB", 1048576),
        (" 2 GiB ", 2048),
        ("0.5GiB", 512),
    ],
)
def test_a_size_is_read_with_its_unit(text: str, mib: int) -> None:
    assert Size.parse(text).mib == mib


@pytest.mark.parametrize(
    "text", ["", "512", "2GB", "2G", "-1GiB", "0MiB", "0.3MiB", "1e3MiB", "2gib", "GiB"]
)
def test_what_is_no_size_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        Size.parse(text)


@given(st.integers(min_value=1, max_value=1 << 40))
def test_a_size_survives_being_written_and_read(mib: int) -> None:
    assert Size.parse(str(Size(mib))) == Size(mib)


def test_sizes_compare_by_amount_and_convert() -> None:
    assert Size.parse("1GiB") > Size.parse("1000MiB")
    assert (Size(1536).gib, Size(1).bytes) == (1.5, 1048576)


def test_a_lab_cannot_be_changed_once_resolved() -> None:
    lab = _lab(_node("a", Role.NODE, "mgmt"))
    with pytest.raises(FrozenInstanceError):
        lab.name = "other"  # type: ignore[misc]


def test_a_lab_finds_its_parts_by_name_and_role() -> None:
    lab = _lab(_node("c1", Role.COMPUTE, "mgmt"), _node("ctl", Role.CONTROLLER, "mgmt", "data"))
    assert lab.controller.name == "ctl"
    assert [node.name for node in lab.computes] == ["c1"]
    assert lab.node("c1").access.device == "eth0"
    assert lab.network("data").host_address == IPv4Network("10.0.1.0/24")[1]
    assert [(node.name, nic.device) for node, nic in lab.members("data")] == [("ctl", "eth1")]
    assert lab.node("c1").nic_on("data") is None
    assert lab.memory == Size(1024)


def test_a_lab_without_a_controller_is_led_by_its_first_node() -> None:
    assert _lab(_node("x", Role.NODE, "mgmt"), _node("y", Role.NODE, "mgmt")).controller.name == "x"


def test_an_unknown_name_is_a_key_error() -> None:
    lab = _lab(_node("a", Role.NODE, "mgmt"))
    with pytest.raises(KeyError):
        lab.node("b")
    with pytest.raises(KeyError):
        lab.network("b")


def test_stable_hex_never_moves_and_does_not_confuse_its_parts() -> None:
    assert stable_hex("lab", "net", digits=6) == "aa1f15"
    assert stable_hex("ab", "c", digits=12) != stable_hex("a", "bc", digits=12)


def test_a_name_stands_for_the_address_by_which_the_host_logs_in() -> None:
    lab = make_contrail()
    assert all(name_nic(lab, node) is node.access for node in lab.nodes)


@pytest.mark.parametrize("installer", [Installer.KOLLA, Installer.OPENSDN])
def test_where_kolla_installs_it_stands_for_the_address_of_the_apis(installer: Installer) -> None:
    lab = make_contrail(installer=installer)
    assert {name_nic(lab, node).network for node in lab.nodes} == {"fabric"}
    apart = dataclasses.replace(lab, stack=dataclasses.replace(lab.stack, api_network="mgmt"))
    assert {name_nic(apart, node).network for node in apart.nodes} == {"mgmt"}


def test_a_node_off_that_network_keeps_its_own_address() -> None:
    lab = make_contrail(installer=Installer.KOLLA)
    apart = dataclasses.replace(lab, stack=dataclasses.replace(lab.stack, api_network="elsewhere"))
    assert all(name_nic(apart, node) is node.access for node in apart.nodes)


def test_a_roles_own_lines_and_options_come_last_whichever_the_spec_has_first() -> None:
    option = ConfigOption(
        role="compute", file="$NOVA_CONF", section="DEFAULT", key="debug", value="True"
    )
    stack = dataclasses.replace(
        make_contrail().stack,
        lines=(Lines(role="compute", lines=("A=2",)), Lines(role="all", lines=("A=1", "B=1"))),
        post_config=(option, dataclasses.replace(option, role="all", value="False")),
    )
    assert stack.lines_for(Role.COMPUTE) == ("A=1", "B=1", "A=2")
    assert stack.lines_for(Role.CONTROLLER) == ("A=1", "B=1")
    assert [each.value for each in stack.post_config_for(Role.COMPUTE)] == ["False", "True"]
    assert [each.value for each in stack.post_config_for(Role.NODE)] == ["False"]
