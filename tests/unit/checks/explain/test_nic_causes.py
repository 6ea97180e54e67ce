from __future__ import annotations

import dataclasses

import pytest

from stacklab.checks.explain.causes import causes
from stacklab.checks.explain.firewall import FirewallRule
from stacklab.checks.result import CheckKind
from stacklab.model.host_network import Link, Plug
from tests.unit.checks.explain.sites import PING, SILENT, Site


def test_where_all_passed_nobody_is_asked(site: Site) -> None:
    assert list(site.explained().values()) == list(site.results.values())
    assert (site.asked, site.knocked) == ([], [])


def test_a_device_that_is_down_explains_all_that_needs_it_in_the_same_words(site: Site) -> None:
    site.change("compute1", "eth1", flags=("BROADCAST",), addresses=())
    for kind in ("ping", "mtu"):
        site.fail(SILENT, kind=kind, node="controller", target="compute1", network="net1")
        site.fail(SILENT, kind=kind, node="compute1", network="net1")
    site.fail("eth1 is down", kind="nic", node="compute1", device="eth1")
    found = site.explained()
    bad = [result for result in found.values() if not result.is_passed]
    assert {r.sentence for r in bad if r.check.kind is not CheckKind.NIC} == {
        f"{SILENT}: eth1 is down on compute1"
    }
    (cause,) = causes(found.values())
    assert (cause.cause.text, len(cause.results)) == ("eth1 is down on compute1", 7)
    assert "compute1: eth1 is down, no address" in cause.evidence
    assert "controller: ARP for 10.20.0.12: 52:54:00:00:01:01 (reachable)" in next(
        r.evidence for r in bad if r.check.node == "controller"
    )
    assert site.knocked == [], "who can be logged in on needs no knock"


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"flags": ("UP",)}, "eth1 has no carrier on compute1"),
        (
            {"addresses": ("10.20.0.99/24",)},
            "eth1 of compute1 has 10.20.0.99/24, not 10.20.0.12/24",
        ),
        ({"addresses": ()}, "eth1 of compute1 has no address, not 10.20.0.12/24"),
        ({"loss_percent": 100.0}, "eth1 of compute1 loses 100 % of what it sends (netem)"),
    ],
)
def test_what_a_node_says_of_its_device(site: Site, changes: dict[str, object], cause: str) -> None:
    site.change("compute1", "eth1", **changes)
    site.fail(SILENT, **PING)
    assert site.detail(**PING) == f"{SILENT}: {cause}"


def test_a_bridge_that_took_a_nic_s_address_and_mac_is_no_cause(site: Site) -> None:
    """It was told as certain that the NIC has no address, or that its node sends wrongly."""
    site.take("compute1")
    site.take("controller")
    site.fail(SILENT, **PING)
    site.fail(
        "no packet could be sent", **{**PING, "kind": "nic", "node": "compute1", "target": ""}
    )
    found = [r for r in site.explained().values() if not r.is_passed]
    assert [(r.cause, r.detail) for r in found if r.cause] == []
    assert "compute1: eth1 is up, no address" in found[-1].evidence
    assert "compute1: br-ex is up, 10.20.0.12/24" in found[-1].evidence


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"flags": ("BROADCAST",)}, "br-ex is down on compute1"),
        ({"mac": "52:54:00:77:77:77"}, "eth1 of compute1 has no address, not 10.20.0.12/24"),
        ({"addresses": ("10.20.0.99/24",)}, "eth1 of compute1 has no address, not 10.20.0.12/24"),
    ],
)
def test_a_bridge_that_is_down_or_is_not_the_nic_s_is_one(
    site: Site, changes: dict[str, object], cause: str
) -> None:
    site.take("compute1", **changes)  # type: ignore[arg-type]
    site.fail(SILENT, **PING)
    assert site.detail(**PING) == f"{SILENT}: {cause}"


def test_a_rule_is_of_the_bridge_that_took_the_address_not_of_the_nic_below(site: Site) -> None:
    site.take("compute1")
    rules = {
        device: FirewallRule(hook="input", text=f"-A INPUT -i {device} -p icmp -j DROP")
        for device in ("eth1", "br-ex")
    }
    site.fail(SILENT, **PING)
    for device, says in (
        ("eth1", ""),
        ("br-ex", f": a firewall rule of compute1 refuses it: {rules['br-ex'].text}"),
    ):
        site.scenes["compute1"] = dataclasses.replace(
            site.scenes["compute1"], rules=(rules[device],)
        )
        assert site.detail(**PING) == f"{SILENT}{says}"


def test_a_device_that_is_not_there(site: Site) -> None:
    devices = {"eth0": site.scenes["compute1"].devices["eth0"]}
    site.scenes["compute1"] = dataclasses.replace(site.scenes["compute1"], devices=devices)
    site.fail(SILENT, **PING)
    assert site.detail(**PING) == f"{SILENT}: compute1 lacks eth1"


def test_a_wrong_mtu_explains_sizes_but_not_silence(site: Site) -> None:
    site.change("compute1", "eth1", mtu=1400)
    which = {**PING, "kind": "mtu"}
    site.fail("1500 bytes do not pass, 1400 do", **which)
    assert (
        site.detail(**which)
        == "1500 bytes do not pass, 1400 do: eth1 of compute1 has an MTU of 1400, not 1500"
    )
    site.fail("no reply to pings of any size", **which)
    assert site.detail(**which) == "no reply to pings of any size"


def test_a_pulled_cable_is_told_rather_than_the_carrier_that_is_gone_for_it(site: Site) -> None:
    plug = Plug(mac="52:54:00:00:01:01", network="", bridge="", tap="vnet-eth1", is_linked=False)
    site.see("compute1", "net1", lambda at: dataclasses.replace(at, plug=plug))
    site.change("compute1", "eth1", flags=("UP",))
    site.fail(SILENT, **PING)
    cause = "eth1 of compute1 has its cable pulled: its link is down in the domain"
    assert site.detail(**PING) == f"{SILENT}: {cause}"


def test_a_tap_off_its_bridge_is_told(site: Site) -> None:
    site.see("compute1", "net1", lambda at: dataclasses.replace(at, tap=Link(name="vnet7")))
    site.fail(SILENT, **PING)
    assert (
        site.detail(**PING)
        == f"{SILENT}: tap vnet7 of compute1's eth1 is not on bridge sl-trio1, but on none"
    )
