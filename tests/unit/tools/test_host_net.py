from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacklab.model.host_network import HostFirewallRule, Link, Neighbour, Plug, Route, Snapshot
from stacklab.tools.host import net as host_net

LINKS = json.dumps(
    [
        {
            "ifname": "sl-a",
            "flags": ["BROADCAST", "UP"],
            "address": "52:54:00:8a:7c:06",
            "stats64": {"rx": {"packets": 1}},
        },
        {
            "ifname": "vnet9",
            "flags": ["UP", "LOWER_UP"],
            "master": "sl-a",
            "address": "fe:54:00:60:e3:f1",
            "stats64": {"rx": {"packets": 79, "dropped": 2}, "tx": {"packets": 116, "dropped": 1}},
        },
    ]
)
DOMAIN = """<domain><devices>
<interface type='network'><mac address='52:54:00:60:E3:F1'/><source network='t_net0' bridge='sl-a'/>
<target dev='vnet9'/><link state='down'/></interface>
<interface type='bridge'><mac address='52:54:00:60:e3:f2'/><source bridge='br0'/></interface>
</devices></domain>"""


def test_interfaces_are_read_with_bridge_and_counters() -> None:
    found = host_net.parse_links(LINKS)
    assert found["vnet9"] == Link(
        name="vnet9", master="sl-a", mac="fe:54:00:60:e3:f1", received=79, sent=116, dropped=3
    )
    assert (found["sl-a"].is_up, found["sl-a"].has_carrier) == (True, False)


def test_a_tap_is_known_by_its_node_s_mac() -> None:
    snapshot = Snapshot(links=host_net.parse_links(LINKS))
    assert snapshot.tap_of("52:54:00:60:e3:f1") == snapshot.links["vnet9"]
    assert snapshot.tap_of("52:54:00:8a:7c:06") is None, "that is the bridge's own MAC"


def test_a_bridge_that_took_a_tap_s_mac_is_not_taken_for_it() -> None:
    snapshot = Snapshot(
        links=host_net.parse_links(LINKS.replace("52:54:00:8a:7c:06", "fe:54:00:60:e3:f1"))
    )
    assert snapshot.tap_of("52:54:00:60:e3:f1") == snapshot.links["vnet9"]


def test_neighbours_are_read_the_silent_ones_too() -> None:
    text = '[{"dst":"10.0.0.1","dev":"b","lladdr":"52:54:00:00:00:01","state":["STALE"]},'
    text += '{"dst":"10.0.0.2","dev":"b","state":["INCOMPLETE"]}]'
    known, silent = host_net.parse_neighbours(text)
    assert known == Neighbour(
        address="10.0.0.1", device="b", mac="52:54:00:00:00:01", state="STALE"
    )
    assert (known.is_silent, silent.is_silent) == (False, True)


def test_a_route_is_read() -> None:
    text = '[{"dst":"10.0.0.2","gateway":"10.1.0.1","dev":"b","prefsrc":"10.1.0.2","cache":[]}]'
    assert host_net.parse_route(text) == Route(device="b", source="10.1.0.2", gateway="10.1.0.1")
    assert host_net.parse_route("[]") is None


RULES = """# Generated
*filter
:INPUT ACCEPT [0:0]
[7:420] -A INPUT -i sl-a -p tcp -m tcp --dport 22 -j DROP
[0:0] -A INPUT -i sl-ab -j REJECT --reject-with icmp-port-unreachable
[3:9] -A INPUT -p icmp -j DROP
[1:1] -A FORWARD -j LIBVIRT_FWX
COMMIT
"""


def test_firewall_rules_are_read_with_their_packets() -> None:
    rules = host_net.parse_rules(RULES)
    assert rules[0] == HostFirewallRule(
        text="-A INPUT -i sl-a -p tcp -m tcp --dport 22 -j DROP", packets=7
    )
    assert [rule.refuses for rule in rules] == [True, True, True, False]


def test_the_rules_on_a_bridge_are_those_that_name_it_and_those_that_hold_for_all() -> None:
    snapshot = Snapshot(rules=host_net.parse_rules(RULES))
    assert [rule.packets for rule in snapshot.rules_on("sl-a")] == [7, 3]


def test_a_domain_s_plugs_are_read() -> None:
    assert host_net.parse_plugs(DOMAIN) == (
        Plug(
            mac="52:54:00:60:e3:f1", network="t_net0", bridge="sl-a", tap="vnet9", is_linked=False
        ),
        Plug(mac="52:54:00:60:e3:f2", network="", bridge="br0", tap="", is_linked=True),
    )


@pytest.mark.parametrize("text", ["", "no json", "{}", "[1, null]", "null"])
def test_what_is_no_answer_is_read_as_nothing(text: str) -> None:
    assert host_net.parse_links(text) == {}
    assert host_net.parse_neighbours(text) == ()
    assert host_net.parse_route(text) is None


@given(st.text())
def test_no_text_is_too_odd(text: str) -> None:
    host_net.parse_links(text)
    host_net.parse_rules(text)


def test_every_look_is_bounded_and_finds_sbin() -> None:
    looks = (
        host_net.links(),
        host_net.neighbours(),
        host_net.route("10.0.0.1"),
        host_net.firewall(),
    )
    assert all(
        look.timeout_s and look.timeout_s <= 5 and "/usr/sbin" in str(look.env["PATH"])
        for look in looks
    )
