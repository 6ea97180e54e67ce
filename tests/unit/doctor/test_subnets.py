from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacklab.doctor import subnets
from stacklab.doctor.result import ProbeResult, ProbeStatus
from stacklab.model.lab import Lab, NetworkMode
from tests.unit.checks.fake_lab import make_lab
from tests.unit.doctor.fake_machine import link

LAB = make_lab(cidrs=("192.168.122.0/24",))


def route(dst: str, dev: str, **more: str) -> dict[str, Any]:
    return {"dst": dst, "dev": dev, "flags": [], **more}


def probe(
    *,
    links: tuple[dict[str, Any], ...] = (),
    routes: tuple[dict[str, Any], ...] = (),
    lab: Lab = LAB,
    others: tuple[Lab, ...] = (),
) -> ProbeResult:
    claims = (
        *subnets.parse_addresses(json.dumps(links)),
        *subnets.parse_routes(json.dumps(routes)),
    )
    return subnets.probe_networks(lab, claims, subnets.parse_links(json.dumps(links)), others)[0]


def test_a_range_that_nobody_has_is_free() -> None:
    result = probe(
        links=(link("eth0", "10.0.0.5/24"),),
        routes=(route("default", "eth0"), route("10.0.0.0/24", "eth0")),
    )
    assert (result.status, result.sentence) == (
        ProbeStatus.OK,
        "network 'net0' (192.168.122.0/24) is free",
    )


def test_a_host_that_is_a_guest_in_the_labs_range_is_told_so() -> None:
    result = probe(links=(link("eth0", "192.168.122.15/24"),))
    assert result.status is ProbeStatus.FAILED
    assert (
        result.sentence == "network 'net0' (192.168.122.0/24) is taken: eth0 has 192.168.122.15/24"
    )
    assert result.fix == "give 'net0' another cidr in labs/trio.yaml, 10.64.0.0/24 is free"


@pytest.mark.parametrize(
    "claim",
    [
        route("192.168.122.0/24", "tun0"),
        route("192.168.122.0/25", "tun0"),
        route("192.168.122.7", "tun0"),
        route("192.168.122.0/24", "eth1", gateway="10.0.0.9", table="vpn"),
        {"type": "blackhole", "dst": "192.168.122.0/24", "flags": []},
    ],
)
def test_a_route_as_narrow_as_the_network_takes_it(claim: dict[str, Any]) -> None:
    assert probe(routes=(claim,)).status is ProbeStatus.FAILED


def test_a_wide_route_is_hidden_in_part_and_only_warned_of() -> None:
    result = probe(routes=(route("192.168.0.0/16", "tun0", gateway="10.8.0.1"),))
    assert result.status is ProbeStatus.WARNING
    assert "hide a part of the route to 192.168.0.0/16 by tun0" in result.sentence


def test_an_address_in_a_wide_range_takes_the_network() -> None:
    wide = (link("eth0", "192.168.3.4/16"),)
    assert probe(links=wide, routes=(route("192.168.0.0/16", "eth0"),)).status is ProbeStatus.FAILED


def test_the_labs_own_bridge_takes_nothing() -> None:
    own = LAB.networks[0].bridge
    result = probe(links=(link(own, "192.168.122.1/24"),), routes=(route("192.168.122.0/24", own),))
    assert result.status is ProbeStatus.OK


def test_a_bridge_whose_name_only_begins_like_ours_is_not_ours() -> None:
    result = probe(links=(link(LAB.networks[0].bridge + "x", "192.168.122.1/24"),))
    assert result.status is ProbeStatus.FAILED


def test_another_running_lab_is_named() -> None:
    other = make_lab(name="other", cidrs=("192.168.122.0/24",))
    result = probe(links=(link(other.networks[0].bridge, "192.168.122.1/24"),), others=(LAB, other))
    assert result.status is ProbeStatus.FAILED
    assert "lab other has 192.168.122.1/24" in result.sentence
    assert result.fix.startswith("./invoke lab.down other")


def test_another_lab_that_is_down_is_a_warning() -> None:
    other = make_lab(name="other", cidrs=("192.168.0.0/16",))
    result = probe(others=(LAB, other))
    assert result.status is ProbeStatus.WARNING
    assert "lab other, which is down" in result.sentence


def test_local_and_other_families_routes_take_nothing() -> None:
    routes = (
        route("192.168.122.1", "eth9", type="local"),
        route("192.168.122.255", "eth9", type="broadcast"),
        route("default", "eth0"),
        route("0.0.0.0/0", "eth0"),
        route("fe80::/64", "eth0"),
        route("192.168.122.0/24", "lo"),
    )
    assert probe(routes=routes).status is ProbeStatus.OK


def test_a_bridged_network_needs_its_bridge_and_minds_no_neighbours() -> None:
    lab = make_lab(cidrs=("192.168.122.0/24",), mode=NetworkMode.BRIDGED)
    bridge = lab.networks[0].bridge
    assert (
        probe(lab=lab, links=(link(bridge), link("eth0", "192.168.122.4/24"))).status
        is ProbeStatus.OK
    )
    result = probe(lab=lab)
    assert result.status is ProbeStatus.FAILED
    assert f"bridged to {bridge}, which this host does not have" in result.sentence


def test_a_network_by_macvtap_needs_its_interface_and_minds_no_neighbours() -> None:
    lab = make_lab(cidrs=("192.168.122.0/24",), mode=NetworkMode.MACVTAP)
    device = lab.networks[0].bridge
    links = (link(device), link("eth0", "192.168.122.4/24"))
    assert probe(lab=lab, links=links).status is ProbeStatus.OK
    result = probe(lab=lab)
    assert result.status is ProbeStatus.FAILED
    assert f"interface {device}, which this host does not have" in result.sentence


def test_the_suggested_range_is_free_of_everything_known() -> None:
    lab = make_lab(cidrs=("192.168.122.0/24", "10.64.0.0/24"))
    other = make_lab(name="other", cidrs=("10.64.1.0/24",))
    links = (link("eth0", "192.168.122.15/24", "10.64.2.9/24"),)
    assert probe(lab=lab, links=links, others=(other,)).fix.endswith("10.64.3.0/24 is free")


def test_nothing_is_suggested_where_nothing_is_found() -> None:
    mine = ("192.168.122.15/24", "10.1.2.3/8")
    assert probe(links=(link("eth0", *mine),)).fix.endswith("172.30.0.0/24 is free")
    everything = (*mine, "172.16.0.1/12", "192.168.0.1/16")
    assert "is free" not in probe(links=(link("eth0", *everything),)).fix


def test_libvirts_default_network_over_the_hosts_own_is_found() -> None:
    links = [link("eth0", "192.168.122.15/24"), link("virbr0", "192.168.122.1/24")]
    result = subnets.probe_nested(subnets.parse_addresses(json.dumps(links)))
    assert result is not None
    assert result.status is ProbeStatus.WARNING
    assert "eth0" in result.sentence
    assert "net-destroy default" in result.fix


def test_libvirts_default_network_on_its_own_is_no_trap() -> None:
    links = [
        link("eth0", "10.0.0.15/24"),
        link("virbr0", "192.168.122.1/24"),
        link("lo", "127.0.0.1/8"),
    ]
    assert subnets.probe_nested(subnets.parse_addresses(json.dumps(links))) is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["ifname", "addr_info", "local", "prefixlen", "dst", "dev", "type"]),
            inner,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None)  # a loaded machine is no bug
@given(st.text() | _JSON.map(json.dumps) | _JSON.map(lambda value: json.dumps([value])))
def test_no_text_makes_the_readers_raise(text: str) -> None:
    for claim in (*subnets.parse_addresses(text), *subnets.parse_routes(text)):
        assert claim.cidr.prefixlen <= 32
    subnets.parse_links(text)
