from __future__ import annotations

import dataclasses

import pytest

from stacklab.checks.explain.causes import causes
from stacklab.checks.explain.firewall import FirewallRule
from stacklab.checks.result import CheckKind
from tests.unit.checks.explain.sites import PING, SILENT, SSH, Site


def test_a_route_by_another_device(site: Site) -> None:
    found = site.scenes["controller"]
    routes = {**found.routes, "10.20.0.12": "10.20.0.12 via 10.10.0.1 dev eth0 src 10.10.0.11"}
    site.scenes["controller"] = dataclasses.replace(found, routes=routes)
    site.fail(SILENT, **PING)
    cause = (
        "controller sends to 10.20.0.12 wrongly: 10.20.0.12 via 10.10.0.1 dev eth0 src 10.10.0.11"
    )
    assert site.detail(**PING) == f"{SILENT}: {cause}"


@pytest.mark.parametrize(
    ("neighbour", "cause"),
    [
        (
            ("52:54:00:ff:ff:ff", "REACHABLE"),
            "another machine has 10.20.0.12: 52:54:00:ff:ff:ff answers, not compute1's 52:54:00:00:01:01",
        ),
        (("", "FAILED"), "compute1 does not answer ARP for 10.20.0.12"),
    ],
)
def test_who_answers_arp(site: Site, neighbour: tuple[str, str], cause: str) -> None:
    found = site.scenes["controller"]
    neighbours = {**found.neighbours, "10.20.0.12": neighbour}
    site.scenes["controller"] = dataclasses.replace(found, neighbours=neighbours)
    site.fail(SILENT, **PING)
    assert site.detail(**PING) == f"{SILENT}: {cause}"


def test_a_firewall_of_the_target_s(site: Site) -> None:
    rule = FirewallRule(hook="input", text="-A INPUT -p icmp -j DROP")
    site.scenes["compute1"] = dataclasses.replace(site.scenes["compute1"], rules=(rule,))
    site.fail(SILENT, **PING)
    site.fail("timed out", **SSH)
    assert (
        site.detail(**PING)
        == f"{SILENT}: a firewall rule of compute1 refuses it: -A INPUT -p icmp -j DROP"
    )
    assert site.detail(**SSH) == "timed out", "that rule is not about TCP"


def test_a_firewall_of_the_source_s(site: Site) -> None:
    rule = FirewallRule(hook="output", text="-A OUTPUT -o eth0 -j DROP")
    site.scenes["controller"] = dataclasses.replace(site.scenes["controller"], rules=(rule,))
    site.fail("timed out", **SSH)
    assert (
        site.detail(**SSH)
        == "timed out: a firewall rule of controller refuses it: -A OUTPUT -o eth0 -j DROP"
    )


def test_a_firewall_that_lets_no_answer_in_explains_the_pings_that_its_own_node_sends(
    site: Site,
) -> None:
    rule = FirewallRule(hook="input", text="-A INPUT -i eth1 -p icmp -j DROP")
    site.scenes["compute1"] = dataclasses.replace(site.scenes["compute1"], rules=(rule,))
    site.fail(SILENT, kind="ping", node="compute1", network="net1")
    site.fail(SILENT, **PING)
    (cause,) = causes(site.explained().values())
    assert (cause.cause.text, len(cause.results)) == (
        f"a firewall rule of compute1 refuses it: {rule.text}",
        3,
    )


def test_a_firewall_that_lets_no_answer_out(site: Site) -> None:
    rule = FirewallRule(hook="output", text="-A OUTPUT -p tcp --sport 22 -j DROP")
    site.scenes["compute1"] = dataclasses.replace(site.scenes["compute1"], rules=(rule,))
    site.fail("timed out", **SSH)
    assert site.detail(**SSH) == f"timed out: a firewall rule of compute1 refuses it: {rule.text}"


def test_a_node_that_ignores_pings(site: Site) -> None:
    site.scenes["compute1"] = dataclasses.replace(site.scenes["compute1"], ignores_pings=True)
    site.fail(SILENT, **PING)
    assert site.detail(**PING) == f"{SILENT}: compute1 ignores pings (icmp_echo_ignore_all)"


def test_an_sshd_that_is_not_up_though_the_shared_connection_lives_on(site: Site) -> None:
    found = dataclasses.replace(
        site.scenes["compute1"], listens=False, journal=("Received signal 15; terminating.",)
    )
    site.scenes["compute1"] = found
    site.fail("refused", **SSH)
    result = next(
        r for c, r in site.explained().items() if c.kind is CheckKind.SSH and not r.is_passed
    )
    assert result.sentence == "refused: sshd is not up on compute1: nothing listens on TCP 22"
    assert "compute1: sshd: Received signal 15; terminating." in result.evidence
    assert result.command == "type this"


@pytest.mark.parametrize("said", ["HOST KEY MISMATCH", "permission denied", "name not known"])
def test_what_ssh_itself_has_told_is_no_network_s_fault(site: Site, said: str) -> None:
    site.change("compute1", "eth0", flags=())
    site.fail(said, **SSH)
    assert site.detail(**SSH) == said
