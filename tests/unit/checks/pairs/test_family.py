from __future__ import annotations

import dataclasses

import pytest

from stacklab.checks.pairs import family as pairs
from stacklab.checks.result import CheckKind, CheckStatus
from stacklab.model.lab import Impairment, Lab
from stacklab.model.stack import Installer
from tests.unit.checks.fake_lab import make_lab
from tests.unit.checks.pairs.said import (
    CHECKS,
    FACTS,
    HEALTHY,
    LAB,
    OF_CONTROLLER,
    bad,
    judged,
    line,
    script,
)
from tests.unit.installers.contrail.labs import make_lab as make_contrail


def test_every_pair_is_checked_on_every_network_they_share() -> None:
    for kind in (CheckKind.PING, CheckKind.MTU, CheckKind.SOURCE, CheckKind.PORT):
        found = {
            (check.node, check.target, check.network) for check in CHECKS if check.kind is kind
        }
        assert len(found) == 3 * 2 * 2
        assert ("compute2", "controller", "net1") in found
    for kind in (CheckKind.NAME, CheckKind.SSH):
        assert sum(check.kind is kind for check in CHECKS) == 6


def test_a_ping_names_the_peers_address_and_the_nodes_own_interface() -> None:
    ping = next(
        check for check in CHECKS if check.kind is CheckKind.PING and check.network == "net1"
    )
    assert (ping.node, ping.device, ping.target, ping.address) == (
        "controller",
        "eth1",
        "compute1",
        "10.20.0.12",
    )


def test_a_lone_node_has_no_pairs() -> None:
    lab = make_lab(nodes=("one",))
    assert list(pairs.expected(lab)) == []
    assert list(pairs.parts(lab, lab.nodes[0], [], FACTS)) == []


def test_the_expected_checks_have_one_order() -> None:
    assert tuple(pairs.expected(LAB)) == CHECKS
    assert len(set(CHECKS)) == len(CHECKS)


def test_checks_of_one_address_share_one_string() -> None:
    of_compute1 = [c.address for c in CHECKS if c.target == "compute1" and c.network == "net0"]
    assert len({id(address) for address in of_compute1}) == 1


def test_a_name_is_checked_for_the_address_that_it_stands_for() -> None:
    lab = make_contrail(installer=Installer.KOLLA)
    found = [
        check for check in pairs.expected(lab) if check.kind in (CheckKind.NAME, CheckKind.SSH)
    ]
    assert {check.network for check in found} == {"fabric"}
    assert {check.device for check in found} == {"eth1"}


def impaired(**how: float) -> Lab:
    """compute2's eth1 impaired."""
    *others, last = LAB.nodes
    nic = dataclasses.replace(last.nics[1], impairment=Impairment(**how))  # type: ignore[arg-type]
    return dataclasses.replace(
        LAB, nodes=(*others, dataclasses.replace(last, nics=(last.nics[0], nic)))
    )


def test_nothing_is_promised_of_a_nic_that_loses_everything() -> None:
    lost = set(CHECKS) - set(pairs.expected(impaired(loss_percent=100)))
    assert {check.network for check in lost} == {"net1"}
    assert {frozenset({check.node, check.target}) for check in lost} == {
        frozenset({"controller", "compute2"}),
        frozenset({"compute1", "compute2"}),
    }
    assert len(lost) == 4 * 4


def test_a_lost_packet_is_no_failure_where_loss_is_declared() -> None:
    lab = impaired(loss_percent=10)
    some, none = line("ping", "10.20.0.13 : 0.5 - 0.4"), line("ping", "10.20.0.13 : - - -")
    for said, status in ((some, CheckStatus.PASSED), (none, CheckStatus.FAILED)):
        text = HEALTHY.replace(line("ping", "10.20.0.13 : 0.5 1.25 0.4"), said)
        assert judged(text, lab=lab)[CheckKind.PING, "compute2", "net1"].status is status


def test_declared_delays_are_waited_for() -> None:
    fast, slow = (
        [*pairs.parts(lab, LAB.nodes[0], OF_CONTROLLER, FACTS)]
        for lab in (LAB, impaired(delay_ms=1500.0))
    )
    by_tag = {part.tag: part for part in fast}
    for part in slow:
        if part.tag in ("pairs.ping", "pairs.logins"):
            assert part.limit_s > by_tag[part.tag].limit_s
    assert "-t 5000 " in next(part.shell for part in slow if part.tag == "pairs.ping")


@pytest.mark.parametrize(("loss", "count"), [(1, 3), (10, 5), (40, 8)])
def test_where_loss_is_declared_so_many_are_sent_that_one_comes_back(
    loss: float, count: int
) -> None:
    """Three were: with 40 % one healthy pair in sixteen failed."""
    lab = impaired(loss_percent=loss)
    by_tag = {part.tag: part.shell for part in pairs.parts(lab, lab.nodes[0], OF_CONTROLLER, FACTS)}
    assert f"fping -q -C {count} " in by_tag["pairs.ping"]
    assert f"tries={count}\n" in by_tag["pairs.ping"]
    assert f"fping -q -r {count - 2} " in by_tag["pairs.logins"]


def test_nothing_is_promised_of_a_way_that_loses_half_of_it() -> None:
    """TCP's waits double faster than the odds of the next packet shrink.

    A login ends when it likes.
    """
    assert set(pairs.expected(impaired(loss_percent=50))) == set(
        pairs.expected(impaired(loss_percent=100))
    )
    assert set(pairs.expected(impaired(loss_percent=49))) == set(CHECKS)


def test_what_a_cloud_made_of_a_nic_is_that_nic() -> None:
    """It was not: where vhost0 or br-ex had taken eth1's address and MAC, a healthy lab failed."""
    mac = LAB.node("controller").nics[1].mac
    old, way = "dev eth1 src 10.20.0.11", "dev vhost0 src 10.20.0.11"
    begins = line("source", "10.10.0.12 dev")
    assert begins in HEALTHY
    for found, is_fine in ((mac, True), ("52:54:00:ff:ff:ff", False)):
        told = line("source", f"mac vhost0 {found}") + "\n" + begins
        results = judged(HEALTHY.replace(old, way).replace(begins, told))
        sources = [
            r
            for (kind, _, network), r in results.items()
            if kind is CheckKind.SOURCE and network == "net1"
        ]
        assert [r.is_passed for r in sources] == [is_fine, is_fine]
    told = line("source", f"mac vhost0 {mac}") + "\n" + begins
    beside = judged(HEALTHY.replace(old, "dev vhost0 src 10.20.0.99").replace(begins, told))
    assert not beside[CheckKind.SOURCE, "compute1", "net1"].is_passed


def test_one_program_asks_for_all_addresses() -> None:
    lines = script(OF_CONTROLLER).splitlines()
    addresses = ("10.10.0.12", "10.10.0.13", "10.20.0.12", "10.20.0.13")
    for begins, number in (("out=$(fping -q", 1), ("ip ", 1), ("names '", 1), ("mtu 1500", 1)):
        found = [each for each in lines if each.startswith(begins)]
        assert len(found) == number, begins
        if begins in ("out=$(fping -q", "mtu 1500"):
            assert all(address in " ".join(found) for address in addresses)


def test_a_port_that_a_login_proves_is_not_scanned() -> None:
    def jobs(*kinds: CheckKind) -> list[str]:
        text = script([check for check in OF_CONTROLLER if check.kind in kinds])
        return [each for each in text.splitlines() if each.startswith(("reach ", "scan 1"))]

    login = ["reach compute1 10.10.0.12 &", "reach compute2 10.10.0.13 &"]
    assert jobs(CheckKind.SSH, CheckKind.PORT) == [*login, "scan 10.20.0.12 &", "scan 10.20.0.13 &"]
    assert jobs(CheckKind.SSH) == login
    assert len(jobs(CheckKind.PORT)) == 4


def test_only_what_is_asked_is_in_the_script() -> None:
    text = script([check for check in OF_CONTROLLER if check.kind is CheckKind.SSH][:1])
    assert "reach compute1 10.10.0.12 &" in text
    for absent in ("compute2", "fping -q -C", "names", "getent", "scan 1", "route"):
        assert absent not in text


def test_each_node_logs_in_to_another_one_first() -> None:
    def order(name: str) -> list[str]:
        text = script([check for check in CHECKS if check.node == name])
        return [each.split()[1] for each in text.splitlines() if each.startswith("reach ")]

    assert order("controller") == ["compute1", "compute2"]
    assert order("compute1") == ["compute2", "controller"]


def test_many_peers_are_logged_in_to_a_few_at_a_time() -> None:
    lab = make_lab(nodes=tuple(f"n{number}" for number in range(30)))
    parts = list(
        pairs.parts(lab, lab.nodes[0], [c for c in pairs.expected(lab) if c.node == "n0"], FACTS)
    )
    few = {part.tag: part for part in pairs.parts(LAB, LAB.nodes[0], OF_CONTROLLER, FACTS)}
    for part in parts:
        at_once = longest = 0
        for each in part.shell.splitlines():
            is_job = each.startswith(("reach ", "scan 1", "names '"))
            assert not is_job or each.endswith(" &")
            at_once = at_once + is_job if each != "wait" else 0
            longest = max(longest, at_once)
        assert longest <= 4, part.tag
        assert longest == 4 or part.tag in ("pairs.ping", "pairs.source")
        assert part.limit_s >= few[part.tag].limit_s


def test_the_script_checks_host_keys() -> None:
    assert "StrictHostKeyChecking=yes" in script(OF_CONTROLLER)


def test_a_healthy_answer_passes_everything() -> None:
    results = judged(HEALTHY)
    assert len(results) == len(OF_CONTROLLER)
    assert bad(results) == {}
    assert results[CheckKind.PING, "compute1", "net1"].rtt_ms == 1.25
    assert {r.command + r.output + r.evidence for r in results.values()} == {""}


def test_results_that_say_the_same_share_one_string() -> None:
    details = [
        r.detail
        for r in judged(HEALTHY).values()
        if r.check.kind in (CheckKind.PING, CheckKind.MTU)
    ]
    assert len({id(detail) for detail in details}) == 2
