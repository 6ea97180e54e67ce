"""Free address ranges for a lab's networks."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from stacklab.spec import free_ranges, source


def ranges(*texts: str) -> list[IPv4Network]:
    return [IPv4Network(text) for text in texts]


def moved(networks: list[IPv4Network], used: list[IPv4Network]) -> list[str]:
    """Where each network is afterwards."""
    moves = free_ranges.moves(networks, used)
    return [str(moves.get(network, network)) for network in networks]


def test_free_networks_stay() -> None:
    assert free_ranges.moves(ranges("10.1.0.0/24"), ranges("10.2.0.0/24")) == {}


def test_all_networks_of_a_lab_get_the_same_number() -> None:
    networks = ranges("192.168.157.0/24", "10.157.0.0/24", "10.157.1.0/24", "172.30.157.0/24")
    assert moved(networks, ranges("192.168.157.0/24")) == [
        "192.168.180.0/24",
        "10.180.0.0/24",
        "10.180.1.0/24",
        "172.30.180.0/24",
    ]


def test_a_number_is_passed_over_if_any_of_the_ranges_is_used() -> None:
    networks = ranges("192.168.150.0/24", "10.150.0.0/24")
    used = ranges("10.150.0.0/16", "10.180.0.128/25", "192.168.181.7/32")
    assert moved(networks, used) == ["192.168.182.0/24", "10.182.0.0/24"]


def test_networks_that_would_meet_under_one_number_move_one_by_one() -> None:
    networks = ranges("10.150.0.0/24", "10.151.0.0/24")
    assert moved(networks, ranges("10.150.0.0/24")) == ["10.64.0.0/24", "10.151.0.0/24"]


@pytest.mark.parametrize("wide", ["10.0.0.0/12", "192.168.0.0/20", "100.64.7.0/24"])
def test_a_range_without_a_number_of_its_own_moves_to_any_free_one(wide: str) -> None:
    (old,) = networks = ranges(wide)
    (new,) = moved(networks, networks)
    assert not IPv4Network(new).overlaps(old)
    assert IPv4Network(new).prefixlen == old.prefixlen
    assert IPv4Network(new).is_private


def test_one_by_one_no_network_takes_what_another_one_has() -> None:
    networks = ranges("10.0.0.0/20", "10.64.0.0/20", "10.1.0.0/20")
    after = [IPv4Network(text) for text in moved(networks, ranges("10.0.0.0/15"))]
    assert after[1] == networks[1]
    assert not any(
        one.overlaps(other) for index, one in enumerate(after) for other in after[:index]
    )


def test_what_is_wider_than_all_free_ranges_stays() -> None:
    networks = ranges("10.0.0.0/8", "192.168.5.0/24")
    assert moved(networks, networks) == ["10.0.0.0/8", "172.30.0.0/24"]


def test_where_every_block_is_used_nothing_is_free() -> None:
    assert free_ranges.first_free(24, ranges("10.0.0.0/8", "172.16.0.0/12")) == IPv4Network(
        "192.168.0.0/24"
    )
    everything = ranges("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
    assert free_ranges.first_free(24, everything) is None
    assert free_ranges.moves(ranges("10.1.0.0/24"), everything) == {}


def test_a_file_claims_its_networks_and_its_pools() -> None:
    document = source.parse(
        "networks:\n"
        "  one: {cidr: 10.1.0.0/24, mode: nat}\n"
        "  two: {cidr: &range 10.2.0.0/24}\n"
        "  three: {cidr: *range}\n"
        "stack: {fixed_range: 10.3.0.0/24, floating_range: 10.2.0.128/25}\n",
        "x.yaml",
    )
    assert list(map(str, free_ranges.written_in(document))) == [
        "10.1.0.0/24",
        "10.2.0.0/24",
        "10.2.0.0/24",
        "10.3.0.0/24",
        "10.2.0.128/25",
    ]
    assert free_ranges.network_names(document) == ("one", "two", "three")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a list",
        "networks: [one]",
        "networks: {one: }",
        "networks: {one: {cidr: [1]}}",
        "networks: {one: {cidr: 10.1.0.0/99}}",
        "networks: {one: two}\nstack: none",
        "networks: {",
    ],
)
def test_of_a_file_that_is_half_written_what_can_be_read_counts(text: str) -> None:
    document = source.parse(f"{text}\n", "x.yaml")
    assert free_ranges.written_in(document) == ()
    free_ranges.network_names(document)


def test_host_bits_are_not_a_reason_to_overlook_a_range() -> None:
    document = source.parse("networks: {one: {cidr: 10.1.0.7/24}}\n", "x.yaml")
    assert free_ranges.written_in(document) == (IPv4Network("10.1.0.0/24"),)
