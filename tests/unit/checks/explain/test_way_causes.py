from __future__ import annotations

import dataclasses

import pytest

from stacklab.checks.explain.causes import causes
from stacklab.checks.explain.firewall import FirewallRule
from stacklab.checks.result import CheckKind
from stacklab.model.cause import CauseKind
from tests.unit.checks.explain.sites import PING, SILENT, SSH, Site


def test_a_route_by_another_device(site: Site) -> None:
    found = site.scenes["controller"]
    routes = {**found.routes, "10.20.0.12": "10.20.0.12 via 10.10.0.1 dev eth0 src 10.10.0.11"}
    site.scenes["controller"] = dataclasses.replace(found, routes=routes)
    site.fail(SILENT, **PING)
    assert site.kind(**PING) is CauseKind.WRONG_ROUTE
    assert routes["10.20.0.12"] in str(site.cause(**PING))


@pytest.mark.parametrize(
    ("neighbour", "kind"),
    [
        (("52:54:00:ff:ff:ff", "REACHABLE"), CauseKind.ADDRESS_TAKEN),
        (("", "FAILED"), CauseKind.NO_ARP),
    ],
)
def test_who_answers_arp(site: Site, neighbour: tuple[str, str], kind: CauseKind) -> None:
    found = site.scenes["controller"]
    neighbours = {**found.neighbours, "10.20.0.12": neighbour}
    site.scenes["controller"] = dataclasses.replace(found, neighbours=neighbours)
    site.fail(SILENT, **PING)
    assert site.kind(**PING) is kind
    assert neighbour[0] in str(site.cause(**PING))


def test_a_firewall_of_the_target_s(site: Site) -> None:
    rule = FirewallRule(hook="input", text="-A INPUT -p icmp -j DROP")
    site.scenes["compute1"] = dataclasses.replace(site.scenes["compute1"], rules=(rule,))
    site.fail(SILENT, **PING)
    site.fail("timed out", **SSH)
    assert site.kind(**PING) is CauseKind.NODE_FIREWALL
    assert rule.text in str(site.cause(**PING))
    assert site.kind(**SSH) is None, "that rule is not about TCP"


def test_a_firewall_of_the_source_s(site: Site) -> None:
    rule = FirewallRule(hook="output", text="-A OUTPUT -o eth0 -j DROP")
    site.scenes["controller"] = dataclasses.replace(site.scenes["controller"], rules=(rule,))
    site.fail("timed out", **SSH)
    assert site.kind(**SSH) is CauseKind.NODE_FIREWALL
    assert "controller" in str(site.cause(**SSH))


def test_a_firewall_that_lets_no_answer_in_explains_the_pings_that_its_own_node_sends(
    site: Site,
) -> None:
    rule = FirewallRule(hook="input", text="-A INPUT -i eth1 -p icmp -j DROP")
    site.scenes["compute1"] = dataclasses.replace(site.scenes["compute1"], rules=(rule,))
    site.fail(SILENT, kind="ping", node="compute1", network="net1")
    site.fail(SILENT, **PING)
    (cause,) = causes(site.explained().values())
    assert (cause.cause.kind, len(cause.results)) == (CauseKind.NODE_FIREWALL, 3)
    assert rule.text in cause.cause.text


def test_a_firewall_that_lets_no_answer_out(site: Site) -> None:
    rule = FirewallRule(hook="output", text="-A OUTPUT -p tcp --sport 22 -j DROP")
    site.scenes["compute1"] = dataclasses.replace(site.scenes["compute1"], rules=(rule,))
    site.fail("timed out", **SSH)
    assert site.kind(**SSH) is CauseKind.NODE_FIREWALL
    assert rule.text in str(site.cause(**SSH))


def test_a_node_that_ignores_pings(site: Site) -> None:
    site.scenes["compute1"] = dataclasses.replace(site.scenes["compute1"], ignores_pings=True)
    site.fail(SILENT, **PING)
    assert site.kind(**PING) is CauseKind.PINGS_IGNORED


def test_an_sshd_that_is_not_up_though_the_shared_connection_lives_on(site: Site) -> None:
    found = dataclasses.replace(
        site.scenes["compute1"], listens=False, journal=("Received signal 15; terminating.",)
    )
    site.scenes["compute1"] = found
    site.fail("refused", **SSH)
    result = next(
        r for c, r in site.explained().items() if c.kind is CheckKind.SSH and not r.is_passed
    )
    assert result.cause is not None
    assert result.cause.kind is CauseKind.SSHD_DOWN
    assert "compute1: sshd: Received signal 15; terminating." in result.evidence
    assert result.command == "type this"


@pytest.mark.parametrize("said", ["HOST KEY MISMATCH", "permission denied", "name not known"])
def test_what_ssh_itself_has_told_is_no_network_s_fault(site: Site, said: str) -> None:
    site.change("compute1", "eth0", flags=())
    site.fail(said, **SSH)
    assert site.kind(**SSH) is None
