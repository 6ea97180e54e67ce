"""Who gets which address and which MAC, and that nobody is ever moved."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest

from stacklab.spec import addresses
from stacklab.spec.addresses import Slot, assign, macs

NET = {"net": IPv4Network("10.0.0.0/24")}


def slot(node: str, wanted: str | None = None, network: str = "net") -> Slot:
    return Slot(node, network, ("nodes", node, "nics", 0), IPv4Address(wanted) if wanted else None)


def given(*slots: Slot, networks: dict[str, IPv4Network] = NET) -> list[str]:
    found, findings = assign(slots, networks)
    assert not findings
    return [str(address) for address in found.values()]


def refused(*slots: Slot, networks: dict[str, IPv4Network] = NET) -> list[str]:
    return [finding.wrong for finding in assign(slots, networks)[1]]


def test_automatic_addresses_begin_at_11_in_the_order_written() -> None:
    assert given(slot("b"), slot("a"), slot("c")) == ["10.0.0.11", "10.0.0.12", "10.0.0.13"]


def test_automatic_addresses_pass_over_those_given_before() -> None:
    assert given(slot("a", "10.0.0.12"), slot("b"), slot("c")) == [
        "10.0.0.12",
        "10.0.0.11",
        "10.0.0.13",
    ]


def test_each_network_counts_for_itself() -> None:
    two = NET | {"other": IPv4Network("10.1.0.0/16")}
    assert given(slot("a"), slot("a", network="other"), slot("b"), networks=two) == [
        "10.0.0.11",
        "10.1.0.11",
        "10.0.0.12",
    ]


def test_a_later_fixed_address_never_moves_an_earlier_automatic_one() -> None:
    assert refused(slot("a"), slot("b", "10.0.0.11")) == [
        "10.0.0.11 of b is already a's (given automatically)"
    ]


def test_the_top_of_a_wide_network_stays_free_for_floating_addresses() -> None:
    slots = [slot(f"n{number}") for number in range(213)]
    assert given(*slots)[-1] == "10.0.0.223"
    assert len(refused(*slots, slot("one-more"))) == 1


def test_a_small_network_is_used_up_to_its_broadcast_address() -> None:
    small = {"net": IPv4Network("10.0.0.0/28")}
    assert given(*map(slot, "abcd"), networks=small)[-1] == "10.0.0.14"
    assert (
        "does not have an automatic address left for e"
        in refused(*map(slot, "abcde"), networks=small)[0]
    )


def test_fixed_addresses_may_be_where_automatic_ones_are_not() -> None:
    assert given(slot("a", "10.0.0.2"), slot("b", "10.0.0.254")) == ["10.0.0.2", "10.0.0.254"]


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ("10.0.1.5", "is outside net"),
        ("10.0.0.0", "is the network address"),
        ("10.0.0.255", "is the broadcast address"),
        ("10.0.0.1", "is the host's own"),
    ],
)
def test_addresses_that_no_node_can_have_are_refused(wanted: str, why: str) -> None:
    (wrong,) = refused(slot("a", wanted))
    assert why in wrong


def test_an_address_given_twice_names_its_owner_and_a_free_one() -> None:
    _, (finding,) = assign([slot("a", "10.0.0.11"), slot("b", "10.0.0.11")], NET)
    assert finding.wrong == "10.0.0.11 of b is already a's"
    assert finding.right == "10.0.0.12 is free"
    assert finding.path == ("nodes", "b", "nics", 0, "address")


def test_an_undeclared_network_is_somebody_elses_problem() -> None:
    assert assign([slot("a", network="none")], NET) == ({}, [])


def test_a_mac_is_a_function_of_lab_node_and_network() -> None:
    ends = [("a", "net"), ("b", "net"), ("a", "other")]
    first = macs("lab", ends)
    assert first == macs("lab", ends)
    assert first[ends[0]] == macs("lab", ends[:1])[ends[0]]
    assert len(set(first.values())) == 3
    assert not set(first.values()) & set(macs("other", ends).values())
    assert all(mac.startswith("52:54:00:") and len(mac) == 17 for mac in first.values())


def test_the_macs_of_a_lab_are_these_for_ever() -> None:
    assert macs("mini-2node", [("node1", "net")]) == {("node1", "net"): "52:54:00:0d:c9:43"}


def test_macs_that_collide_are_told_apart_the_same_way_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fake_hex(*parts: str, digits: int) -> str:
        return (parts[3] if len(parts) > 3 else "0").rjust(digits, "0")

    monkeypatch.setattr(addresses, "stable_hex", fake_hex)
    ends = [("a", "net"), ("b", "net"), ("c", "net")]
    assert [mac[-2:] for mac in macs("lab", ends).values()] == ["00", "01", "02"]
    assert [mac[-2:] for mac in macs("lab", ends[:2]).values()] == ["00", "01"]
