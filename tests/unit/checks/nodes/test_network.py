from __future__ import annotations

from ipaddress import IPv4Interface

import pytest

from stacklab.checks.nodes import look as nodes_look
from stacklab.checks.result import CheckKind, CheckStatus
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


def routes(changes: Changes, lab: Lab = LAB) -> tuple[CheckStatus, str]:
    return said(CheckKind.ROUTES, changes, lab=lab)


def isolated() -> Lab:
    return make_lab(mode=NetworkMode.ISOLATED)


# NICs


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"nic eth1": "nic foo"}, f"eth1 is missing: its MAC {MAC1} is on foo"),
        (
            {f"nic eth1 {MAC1}": "nic foo 02:00:00:00:00:01"},
            f"eth1 is missing: no NIC has its MAC {MAC1}",
        ),
        ({f"{MAC1} 1500 0x1003 1": f"{MAC1} 1500 0x1002 -"}, "eth1 is down"),
        (
            {f"{MAC1} 1500 0x1003 1": f"{MAC1} 1500 0x1003 0"},
            "eth1 has no carrier: it is unplugged",
        ),
        ({f"{MAC1} 1500": f"{MAC1} 1400"}, "has MTU 1400, not 1500"),
        ({"inet 10.20.0.11/24": "inet 10.20.0.99/24"}, "has 10.20.0.99/24, not 10.20.0.11/24"),
        ({"inet 10.20.0.11/24": "inet 10.20.0.11/16"}, "has 10.20.0.11/16, not 10.20.0.11/24"),
        (
            {"3: eth1    inet 10.20.0.11/24": "3: eth1    inet6 fe80::1/64"},
            "has no address, not 10.20.0.11/24",
        ),
        ({"3: eth1 ": "3: eth0 "}, "10.20.0.11/24 is on eth0"),
        (
            {"3: eth1 ": "3: eth1    inet 10.20.0.11/24 x\n4: dummy0 "},
            "10.20.0.11/24 is on dummy0 as well",
        ),
        (
            {"3: eth1 ": "3: eth1    inet 10.9.9.9/8 x\n4: dummy0 "},
            "has 10.9.9.9/8, and 10.20.0.11/24 is on dummy0",
        ),
        (
            {MAC0: "X", MAC1: MAC0, "X": MAC1},
            f"eth1 has MAC {MAC0}, not {MAC1}: that is on eth0",
        ),
        ({MAC1: "02:00:00:00:00:01"}, f"eth1 has MAC 02:00:00:00:00:01, not {MAC1}"),
        (
            {
                f"{MAC1} 1500 0x1003 1": f"{MAC1} 9000 0x1002 -",
                "inet 10.20.0.11/24": "inet 10.20.0.12/24",
            },
            "eth1 is down; has MTU 9000, not 1500; has 10.20.0.12/24, not 10.20.0.11/24",
        ),
    ],
)
def test_a_nic_says_all_that_differs(changes: Changes, detail: str) -> None:
    assert nic(changes) == (FAILED, detail)


@pytest.mark.parametrize("name", ["br-ex", "vhost0"])
def test_what_a_cloud_makes_of_a_nic_may_have_its_address(name: str) -> None:
    made = f"nic eth1 {MAC1} 1500 0x1003 1\nnic {name} {MAC1} 1500 0x1003 1"
    moved = {
        f"nic eth1 {MAC1} 1500 0x1003 1": made,
        "3: eth1 ": f"9: {name} ",
        "dev eth1": f"dev {name}",
    }
    assert nic(moved) == (PASSED, f"10.20.0.11/24 on {name}, which has its MAC, {MAC1}, MTU 1500")
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
    ("changes", "detail"),
    [
        (
            {"default via": "198.51.100.0/24 via"},
            "the default route is missing: it should be via 10.10.0.1 dev eth0",
        ),
        (
            {"default via": "default via 10.20.0.1 dev eth1 \ndefault via"},
            "default via 10.20.0.1 dev eth1 beside via 10.10.0.1 dev eth0",
        ),
        (
            {"default via 10.10.0.1 dev eth0": "default via 10.20.0.1 dev eth1"},
            "default via 10.20.0.1 dev eth1 instead of via 10.10.0.1 dev eth0",
        ),
        (
            {"default via 10.10.0.1 dev eth0": "default via 10.10.0.254 dev eth0"},
            "default via 10.10.0.254 dev eth0 instead of via 10.10.0.1 dev eth0",
        ),
        (
            {
                "default via 10.10.0.1 dev eth0": "default \\\tnexthop via 10.10.0.1 dev eth0 weight 1 "
                "\\\tnexthop via 10.20.0.1 dev eth1 weight 1"
            },
            "default via 10.10.0.1 via 10.20.0.1 dev eth0, eth1 instead of via 10.10.0.1 dev eth0",
        ),
        (
            {"10.20.0.0/24 dev": "10.21.0.0/24 dev"},
            "the route to 10.20.0.0/24 out of eth1 is missing",
        ),
        (
            {"10.20.0.0/24 dev": "unreachable 10.20.0.0/24 dev"},
            "the route to 10.20.0.0/24 out of eth1 is missing",
        ),
        (
            {"src 10.20.0.11": "src 10.20.0.99"},
            "10.20.0.0/24 goes out of eth1 from 10.20.0.99, not 10.20.0.11",
        ),
        (
            {"10.20.0.0/24 dev": "10.20.0.0/24 via 10.20.0.1 dev"},
            "10.20.0.0/24 goes via 10.20.0.1 dev eth1, and eth1 is on it",
        ),
        (
            {"10.20.0.0/24 dev": "10.20.0.0/24 dev virbr0 scope link\n10.20.0.0/24 dev"},
            "10.20.0.0/24 goes out of virbr0 as well",
        ),
        (
            {"10.20.0.0/24 dev eth1": "10.20.0.0/24 dev eth0"},
            "the route to 10.20.0.0/24 out of eth1 is missing; 10.20.0.0/24 goes out of eth0 as well",
        ),
    ],
)
def test_routes_that_differ(changes: Changes, detail: str) -> None:
    assert routes(changes) == (FAILED, detail)


def test_routes_that_a_cloud_adds_are_its_own() -> None:
    assert (
        routes({"10.20.0.0/24 dev": "172.17.0.0/16 dev docker0 scope link\n10.20.0.0/24 dev"})[0]
        is PASSED
    )


def test_a_node_without_nat_has_no_default_route() -> None:
    assert routes({}, isolated()) == (PASSED, "no default route, 2 connected")
    wrong = {"10.20.0.0/24 dev": "default via 10.10.0.1 dev eth0\n10.20.0.0/24 dev"}
    assert routes(wrong, isolated()) == (
        FAILED,
        "default via 10.10.0.1 dev eth0, where none should be: net0 is isolated",
    )


def test_a_renamed_nic_fails_its_routes_too() -> None:
    renamed = {"nic eth1": "nic foo", "3: eth1 ": "3: foo ", "dev eth1": "dev foo"}
    assert routes(renamed) == (
        FAILED,
        "the route to 10.20.0.0/24 out of eth1 is missing; 10.20.0.0/24 goes out of foo as well",
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
