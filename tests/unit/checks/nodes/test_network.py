from __future__ import annotations

from ipaddress import IPv4Interface

import pytest

from stacklab.checks.nodes import look as nodes_look
from stacklab.checks.result import CheckKind, CheckStatus, Reason
from stacklab.model.lab import Lab, NetworkMode
from tests.unit.checks.fake_lab import make_lab
from tests.unit.checks.nodes.said import (
    FAILED,
    LAB,
    MAC0,
    MAC1,
    PASSED,
    Changes,
    answer_of,
    judged,
    lines_of,
    nic,
    said,
)


def routes(changes: Changes, lab: Lab = LAB) -> tuple[CheckStatus, Reason]:
    return said(CheckKind.ROUTES, changes, lab=lab)


def isolated() -> Lab:
    return make_lab(mode=NetworkMode.ISOLATED)


# NICs


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"nic eth1": "nic foo"}, Reason.NIC_MISSING),
        (
            {f"nic eth1 {MAC1}": "nic foo 02:00:00:00:00:01"},
            Reason.NIC_MISSING,
        ),
        ({f"{MAC1} 1500 0x1003 1": f"{MAC1} 1500 0x1002 -"}, Reason.NIC_DOWN),
        (
            {f"{MAC1} 1500 0x1003 1": f"{MAC1} 1500 0x1003 0"},
            Reason.NO_CARRIER,
        ),
        ({f"{MAC1} 1500": f"{MAC1} 1400"}, Reason.WRONG_MTU),
        ({"inet 10.20.0.11/24": "inet 10.20.0.99/24"}, Reason.WRONG_ADDRESS),
        ({"inet 10.20.0.11/24": "inet 10.20.0.11/16"}, Reason.WRONG_ADDRESS),
        (
            {"3: eth1    inet 10.20.0.11/24": "3: eth1    inet6 fe80::1/64"},
            Reason.WRONG_ADDRESS,
        ),
        ({"3: eth1 ": "3: eth0 "}, Reason.WRONG_ADDRESS),
        (
            {"3: eth1 ": "3: eth1    inet 10.20.0.11/24 x\n4: dummy0 "},
            Reason.WRONG_ADDRESS,
        ),
        (
            {"3: eth1 ": "3: eth1    inet 10.9.9.9/8 x\n4: dummy0 "},
            Reason.WRONG_ADDRESS,
        ),
        (
            {MAC0: "X", MAC1: MAC0, "X": MAC1},
            Reason.WRONG_MAC,
        ),
        ({MAC1: "02:00:00:00:00:01"}, Reason.WRONG_MAC),
        (
            {
                f"{MAC1} 1500 0x1003 1": f"{MAC1} 9000 0x1002 -",
                "inet 10.20.0.11/24": "inet 10.20.0.12/24",
            },
            Reason.SEVERAL,
        ),
    ],
)
def test_a_nic_says_all_that_differs(changes: Changes, reason: Reason) -> None:
    assert nic(changes) == (FAILED, reason)


@pytest.mark.parametrize("name", ["br-ex", "vhost0"])
def test_what_a_cloud_makes_of_a_nic_may_have_its_address(name: str) -> None:
    made = f"nic eth1 {MAC1} 1500 0x1003 1\nnic {name} {MAC1} 1500 0x1003 1"
    moved = {
        f"nic eth1 {MAC1} 1500 0x1003 1": made,
        "3: eth1 ": f"9: {name} ",
        "dev eth1": f"dev {name}",
    }
    assert nic(moved) == (PASSED, Reason.OK)
    assert routes(moved)[0] is PASSED


def test_a_second_address_on_a_nic_is_nobodys_business() -> None:
    more = "3: eth1    inet 10.20.0.250/32 scope global eth1\n3: eth1 "
    assert nic({"3: eth1 ": more})[0] is PASSED


def test_a_nics_failure_keeps_what_ip_said() -> None:
    result = judged(answer_of(lines_of(LAB, {"inet 10.20.0.11/24": "inet 10.20.0.99/24"})))[
        CheckKind.NIC, "eth1"
    ]
    assert "inet 10.20.0.99/24" in result.output
    assert result.command == "ip addr"


# routes


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"default via": "198.51.100.0/24 via"},
            Reason.WRONG_ROUTE,
        ),
        (
            {"default via": "default via 10.20.0.1 dev eth1 \ndefault via"},
            Reason.WRONG_ROUTE,
        ),
        (
            {"default via 10.10.0.1 dev eth0": "default via 10.20.0.1 dev eth1"},
            Reason.WRONG_ROUTE,
        ),
        (
            {"default via 10.10.0.1 dev eth0": "default via 10.10.0.254 dev eth0"},
            Reason.WRONG_ROUTE,
        ),
        (
            {
                "default via 10.10.0.1 dev eth0": "default \\\tnexthop via 10.10.0.1 dev eth0"
                " weight 1 "
                "\\\tnexthop via 10.20.0.1 dev eth1 weight 1"
            },
            Reason.WRONG_ROUTE,
        ),
        (
            {"10.20.0.0/24 dev": "10.21.0.0/24 dev"},
            Reason.NO_ROUTE,
        ),
        (
            {"10.20.0.0/24 dev": "unreachable 10.20.0.0/24 dev"},
            Reason.NO_ROUTE,
        ),
        (
            {"src 10.20.0.11": "src 10.20.0.99"},
            Reason.WRONG_ROUTE,
        ),
        (
            {"10.20.0.0/24 dev": "10.20.0.0/24 via 10.20.0.1 dev"},
            Reason.WRONG_ROUTE,
        ),
        (
            {"10.20.0.0/24 dev": "10.20.0.0/24 dev virbr0 scope link\n10.20.0.0/24 dev"},
            Reason.WRONG_ROUTE,
        ),
        (
            {"10.20.0.0/24 dev eth1": "10.20.0.0/24 dev eth0"},
            Reason.SEVERAL,
        ),
    ],
)
def test_routes_that_differ(changes: Changes, reason: Reason) -> None:
    assert routes(changes) == (FAILED, reason)


def test_routes_that_a_cloud_adds_are_its_own() -> None:
    assert (
        routes({"10.20.0.0/24 dev": "172.17.0.0/16 dev docker0 scope link\n10.20.0.0/24 dev"})[0]
        is PASSED
    )


def test_a_node_without_nat_has_no_default_route() -> None:
    assert routes({}, isolated()) == (PASSED, Reason.OK)
    wrong = {"10.20.0.0/24 dev": "default via 10.10.0.1 dev eth0\n10.20.0.0/24 dev"}
    assert routes(wrong, isolated()) == (
        FAILED,
        Reason.WRONG_ROUTE,
    )


def test_a_renamed_nic_fails_its_routes_too() -> None:
    renamed = {"nic eth1": "nic foo", "3: eth1 ": "3: foo ", "dev eth1": "dev foo"}
    assert routes(renamed) == (
        FAILED,
        Reason.SEVERAL,
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            r"2: eth0    inet 10.1.2.3/24 brd 10.1.2.255 scope global eth0\ valid_lft forever",
            {"eth0": ["10.1.2.3/24"]},
        ),
        ("7: tun0    inet 10.8.0.6 peer 10.8.0.5/32 scope global tun0", {"tun0": ["10.8.0.6/32"]}),
        ("5: veth1@if4    inet 10.1.0.1/8 scope global veth1", {"veth1": ["10.1.0.1/8"]}),
        ("2: eth0    inet 999.1.2.3/24 scope global eth0", {}),
        ("2: eth0    inet6 fe80::1/64 scope link", {}),
    ],
)
def test_lines_of_ip_addr(line: str, expected: dict[str, list[str]]) -> None:
    look = nodes_look.parse(["@begin addr", line, "@end 0"])
    assert look.addresses() == {
        name: [IPv4Interface(each) for each in held] for name, held in expected.items()
    }
