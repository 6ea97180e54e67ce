from __future__ import annotations

import dataclasses

import pytest

from stacklab.checks.explain.causes import causes
from stacklab.checks.explain.firewall import FirewallRule
from stacklab.checks.result import CheckKind
from stacklab.model.cause import CauseKind
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
    (cause,) = causes(found.values())
    assert (cause.cause.kind, len(cause.results)) == (CauseKind.NIC_DOWN, 7)
    assert {r.sentence for r in bad if r.check.kind is not CheckKind.NIC} == {
        f"{SILENT}: {cause.cause.text}"
    }
    assert "compute1: eth1 is down, no address" in cause.evidence
    assert "controller: ARP for 10.20.0.12: 52:54:00:00:01:01 (reachable)" in next(
        r.evidence for r in bad if r.check.node == "controller"
    )
    assert site.knocked == [], "who can be logged in on needs no knock"


@pytest.mark.parametrize(
    ("changes", "kind", "fact"),
    [
        ({"flags": ("UP",)}, CauseKind.NO_CARRIER, "eth1"),
        ({"addresses": ("10.20.0.99/24",)}, CauseKind.WRONG_ADDRESS, "10.20.0.99/24"),
        ({"addresses": ()}, CauseKind.WRONG_ADDRESS, "10.20.0.12/24"),
        ({"loss_percent": 100.0}, CauseKind.LOSSY, "100 %"),
    ],
)
def test_what_a_node_says_of_its_device(
    site: Site, changes: dict[str, object], kind: CauseKind, fact: str
) -> None:
    site.change("compute1", "eth1", **changes)
    site.fail(SILENT, **PING)
    assert site.kind(**PING) is kind
    assert fact in str(site.cause(**PING))


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
    ("changes", "kind", "device"),
    [
        ({"flags": ("BROADCAST",)}, CauseKind.NIC_DOWN, "br-ex"),
        ({"mac": "52:54:00:77:77:77"}, CauseKind.WRONG_ADDRESS, "eth1"),
        ({"addresses": ("10.20.0.99/24",)}, CauseKind.WRONG_ADDRESS, "eth1"),
    ],
)
def test_a_bridge_that_is_down_or_is_not_the_nic_s_is_one(
    site: Site, changes: dict[str, object], kind: CauseKind, device: str
) -> None:
    site.take("compute1", **changes)  # type: ignore[arg-type]
    site.fail(SILENT, **PING)
    assert site.kind(**PING) is kind
    assert device in str(site.cause(**PING))


def test_a_rule_is_of_the_bridge_that_took_the_address_not_of_the_nic_below(site: Site) -> None:
    site.take("compute1")
    rules = {
        device: FirewallRule(hook="input", text=f"-A INPUT -i {device} -p icmp -j DROP")
        for device in ("eth1", "br-ex")
    }
    site.fail(SILENT, **PING)
    for device, kind in (("eth1", None), ("br-ex", CauseKind.NODE_FIREWALL)):
        site.scenes["compute1"] = dataclasses.replace(
            site.scenes["compute1"], rules=(rules[device],)
        )
        assert site.kind(**PING) is kind
    assert rules["br-ex"].text in str(site.cause(**PING))


def test_a_device_that_is_not_there(site: Site) -> None:
    devices = {"eth0": site.scenes["compute1"].devices["eth0"]}
    site.scenes["compute1"] = dataclasses.replace(site.scenes["compute1"], devices=devices)
    site.fail(SILENT, **PING)
    assert site.kind(**PING) is CauseKind.NIC_MISSING


def test_a_wrong_mtu_explains_sizes_but_not_silence(site: Site) -> None:
    site.change("compute1", "eth1", mtu=1400)
    which = {**PING, "kind": "mtu"}
    site.fail("1500 bytes do not pass, 1400 do", **which)
    assert site.kind(**which) is CauseKind.WRONG_MTU
    site.fail("no reply to pings of any size", **which)
    assert site.kind(**which) is None


def test_a_pulled_cable_is_told_rather_than_the_carrier_that_is_gone_for_it(site: Site) -> None:
    plug = Plug(mac="52:54:00:00:01:01", network="", bridge="", tap="vnet-eth1", is_linked=False)
    site.see("compute1", "net1", lambda at: dataclasses.replace(at, plug=plug))
    site.change("compute1", "eth1", flags=("UP",))
    site.fail(SILENT, **PING)
    assert site.kind(**PING) is CauseKind.CABLE_PULLED


def test_a_tap_off_its_bridge_is_told(site: Site) -> None:
    site.see("compute1", "net1", lambda at: dataclasses.replace(at, tap=Link(name="vnet7")))
    site.fail(SILENT, **PING)
    assert site.kind(**PING) is CauseKind.TAP_ASTRAY
    assert "vnet7" in str(site.cause(**PING))
