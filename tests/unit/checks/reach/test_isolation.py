from __future__ import annotations

import dataclasses
import errno
import os
import re

import pytest

from stacklab.checks.family import Facts, Tried
from stacklab.checks.reach import isolation, isolation_family
from stacklab.checks.result import HOST, CheckKind, CheckResult, CheckStatus, Reason
from stacklab.dev.simulated import outside as outside_simulated
from stacklab.model.lab import Lab, NetworkMode
from stacklab.nodes.protocol import Part
from tests.unit.checks.fake_lab import late, make_lab
from tests.unit.checks.reach.apart_labs import healthy, judged, make_apart, make_closed, of, text

LAB = make_apart()
FACTS = outside_simulated.facts(LAB)
TRANSIT = ("no-transit", "net1")
SEPARATE = ("separate", "net2")
OUTSIDE = "203.0.113.80:80"


def controller(
    facts: Facts = FACTS, lab: Lab = LAB, **said: list[str]
) -> dict[tuple[str, str], CheckResult]:
    """The controller's results, some of its parts saying something else."""
    written = healthy(isolation_family, lab, "controller", facts) | {
        f"isolation.{tag}": lines for tag, lines in said.items()
    }
    return judged(isolation_family, lab, "controller", text(written), facts)


def shells(node: str) -> dict[str, str]:
    return {
        p.tag: p.shell
        for p in isolation_family.parts(LAB, LAB.node(node), of(isolation_family, LAB, node), FACTS)
    }


def transit_lines(code: str, facts: Facts = FACTS) -> list[str]:
    lines = healthy(isolation_family, LAB, "controller", facts)["isolation.transit"]
    return [re.sub(r"^(dial \S+) \d+$", rf"\1 {code}", line) for line in lines]


def closed_to(*places: str) -> Facts:
    """The host has no answer of these."""
    tried = {
        place: Tried(why_not="timed out") if place in places else t
        for place, t in FACTS.tried.items()
    }
    return dataclasses.replace(FACTS, tried=tried)


def test_what_is_expected_follows_from_modes_and_members() -> None:
    found = [
        (check.node, str(check.kind), check.network, check.device)
        for check in isolation_family.expected(LAB)
    ]
    assert found == [
        (HOST, "host-apart", "net2", "sl-trio2"),
        ("controller", "separate", "net2", ""),
        ("controller", "no-transit", "net1", "eth1"),
        ("compute1", "no-transit", "net1", "eth1"),
        ("compute1", "no-transit", "net2", "eth2"),
        ("compute2", "separate", "net1", ""),
        ("compute2", "no-transit", "net2", "eth2"),
    ]


def test_a_bridged_network_is_nobody_s_to_keep_apart() -> None:
    networks = tuple(
        dataclasses.replace(network, mode=NetworkMode.BRIDGED) for network in LAB.networks
    )
    assert list(isolation_family.expected(dataclasses.replace(LAB, networks=networks))) == []


def test_a_lab_of_nat_networks_that_all_are_on_has_nothing_to_keep_apart() -> None:
    lab = make_lab()
    assert list(isolation_family.expected(lab)) == []
    assert list(isolation_family.parts(lab, lab.nodes[0], (), FACTS)) == []


def test_a_healthy_lab_passes() -> None:
    for node in LAB.nodes:
        results = judged(
            isolation_family,
            LAB,
            node.name,
            text(healthy(isolation_family, LAB, node.name, FACTS)),
            FACTS,
        )
        assert {r.status for r in results.values()} == {CheckStatus.PASSED}, results
        assert {(r.command, r.output) for r in results.values()} == {("", "")}


def test_one_fping_asks_all_addresses_of_the_networks_that_a_node_is_not_on() -> None:
    parts = shells("controller")
    assert parts["isolation.separate"].endswith(" 10.30.0.12 10.30.0.13")
    assert parts["isolation.separate"].count("fping") == 1


def test_an_address_that_answers_where_the_node_has_no_nic_fails_and_is_named() -> None:
    result = controller(separate=["10.30.0.12 : - -", "10.30.0.13 : - 0.41"])[SEPARATE]
    assert result.status is CheckStatus.FAILED
    assert result.reason == Reason.REACHED
    assert result.command.endswith(" 10.30.0.12 10.30.0.13")


@pytest.mark.parametrize(
    ("lines", "code", "reason"),
    [
        (["10.30.0.12 : - -"], 1, Reason.PROGRAM_FAILED),
        (["sh: 1: fping: not found"], 127, Reason.PROGRAM_MISSING),
    ],
)
def test_what_was_not_asked_is_no_silence(lines: list[str], code: int, reason: Reason) -> None:
    written = healthy(isolation_family, LAB, "controller", FACTS) | {"isolation.separate": lines}
    said = text(written, {"isolation.separate": code})
    result = judged(isolation_family, LAB, "controller", said, FACTS)[SEPARATE]
    assert (result.status, result.reason) == (CheckStatus.ERROR, reason)


def test_silence_of_addresses_that_do_not_answer_the_host_either_proves_nothing() -> None:
    facts = dataclasses.replace(FACTS, alive=FACTS.alive - {"10.20.0.11", "10.20.0.12"})
    said = text(healthy(isolation_family, LAB, "compute2", facts))
    result = judged(isolation_family, LAB, "compute2", said, facts)["separate", "net1"]
    assert result.status is CheckStatus.WARNED
    assert "nothing is proved" in result.detail


def test_what_is_declared_to_be_late_is_waited_for() -> None:
    """It was not: with a delay of 2 s nothing could answer in time, and what was open passed as
    closed.
    """

    def parts(lab: Lab) -> dict[str, Part]:
        own = of(isolation_family, lab, "controller")
        return {
            part.tag: part
            for part in isolation_family.parts(lab, lab.node("controller"), own, FACTS)
        }

    soon, later = parts(LAB), parts(late(LAB, 2000))
    assert "-t 1000 10.30.0" in soon["isolation.separate"].shell
    assert "-t 5000 10.30.0" in later["isolation.separate"].shell
    assert re.search(r"' ?\S* 3 \"\$@\"", soon["isolation.transit"].shell)
    assert re.search(r"' ?\S* 7 \"\$@\"", later["isolation.transit"].shell)
    assert all(later[tag].limit_s >= part.limit_s + 4 for tag, part in soon.items())


def test_where_the_host_is_apart_it_can_not_be_the_witness() -> None:
    assert (
        controller(facts=dataclasses.replace(FACTS, alive=frozenset()))[SEPARATE].status
        is CheckStatus.PASSED
    )


def test_packets_go_by_the_host_between_two_addresses_only_and_the_way_is_closed_again() -> None:
    parts = shells("controller")
    shell = parts["isolation.transit"]
    assert "route replace default via 10.20.0.1 dev ${1} table 20454" in shell
    assert "\nable eth1 10.20.0.11 52:54:00:00:01:00 10.20.0.11,10.10.0.13,22 " in shell
    assert "rule add from 10.20.0.11 to 10.10.0.13 pref 20454 lookup 20454" in shell
    assert "rule add from 10.20.0.11 to 203.0.113.80 pref 20454 lookup 20454" in shell
    assert "trap " in shell
    assert shell.count("rule del pref 20454") >= shell.count("rule add")


def test_who_answers_by_one_way_only_is_asked_first_and_nobody_asks_itself() -> None:
    # compute2 is not on net1: its answers have to come back through the host, as the question came
    def asked(node: str) -> list[str]:
        return re.findall(r"\b10\.20\.0\.\d+,(\S+),22", shells(node)["isolation.transit"])

    assert asked("controller") == ["10.10.0.13"]
    for node in LAB.nodes:
        own = {str(nic.address.ip) for nic in node.nics}
        words = [
            word
            for shell in shells(node.name).values()
            for word in re.findall(r"[\d.]+,([\d.]+),\d+", shell)
        ]
        assert words
        assert not own & set(words)


def test_what_gets_through_fails_and_is_named_with_the_line_that_shows_it() -> None:
    lines = [line.replace("10.10.0.13,22 111", "10.10.0.13,22 0") for line in transit_lines("111")]
    result = controller(transit=lines)[TRANSIT]
    assert result.status is CheckStatus.FAILED
    assert result.reason == Reason.REACHED
    assert result.command.startswith("sudo ip route add 10.10.0.13 via 10.20.0.1 dev eth1 && ")
    assert "-b 10.20.0.11 -p 22 10.10.0.13" in result.command
    everywhere = controller(transit=transit_lines("0"))[TRANSIT]
    assert f"{OUTSIDE} outside" in everywhere.detail


def test_silence_on_a_network_of_the_host_s_is_no_refusal() -> None:
    result = controller(transit=transit_lines("silent"))[TRANSIT]
    assert result.status is CheckStatus.WARNED
    assert "packets may get out" in result.detail


def test_the_refusal_of_one_way_is_none_of_another() -> None:
    """It was: packets that left for the outside, and had no way back, passed for the neighbour's
    refusal.
    """
    lines = [re.sub(r"^(dial \S+,80) \d+$", r"\1 silent", line) for line in transit_lines("111")]
    assert "silent" in " ".join(lines)
    result = controller(transit=lines)[TRANSIT]
    assert result.status is CheckStatus.WARNED
    assert f"neither an answer from {OUTSIDE} outside" in result.detail


def test_silence_is_all_that_can_be_heard_where_there_is_no_host() -> None:
    written = healthy(isolation_family, LAB, "compute2", FACTS)
    lines = [
        re.sub(r"^(dial \S+) \d+$", r"\1 silent", line) for line in written["isolation.transit"]
    ]
    said = text(written | {"isolation.transit": lines})
    result = judged(isolation_family, LAB, "compute2", said, FACTS)["no-transit", "net2"]
    assert (result.status, result.reason) == (
        CheckStatus.PASSED,
        Reason.OK,
    )


def test_packets_that_did_not_go_by_the_host_prove_nothing() -> None:
    lines = [
        line.replace("via 10.20.0.1 dev eth1", "dev eth0 src 10.20.0.11")
        for line in transit_lines("111")
    ]
    assert controller(transit=lines)[TRANSIT].status is CheckStatus.ERROR
    assert controller(transit=["flock: timeout"])[TRANSIT].status is CheckStatus.ERROR


def test_what_connected_past_the_host_is_not_open() -> None:
    """Of those that had not gone by the host only the first was left out."""
    lines = [
        line.replace("via 10.20.0.1 dev eth1", "dev eth2 src 10.20.0.11")
        for line in transit_lines("0")
    ]
    assert len(lines) == 4
    result = controller(transit=lines)[TRANSIT]
    assert (result.status, result.reason) == (
        CheckStatus.ERROR,
        Reason.NOT_SENT,
    )
    one = [
        line.replace("via 10.20.0.1 dev eth1", "dev eth2") if "10.10.0.13" in line else line
        for line in transit_lines("0")
    ]
    result = controller(transit=one)[TRANSIT]
    assert result.reason == Reason.REACHED


def test_what_was_made_of_the_nic_is_its_way_and_nothing_else_is() -> None:
    lines = [line.replace("dev eth1", "dev br-ex") for line in transit_lines("111")]
    assert controller(transit=lines)[TRANSIT].status is CheckStatus.ERROR
    assert controller(transit=["by eth2 br-ex", *lines])[TRANSIT].status is CheckStatus.ERROR
    assert controller(transit=["by eth1 br-ex", *lines])[TRANSIT].status is CheckStatus.PASSED
    result = controller(transit=["nic eth1 down br-ex"])[TRANSIT]
    assert result.reason == Reason.NOT_SENT
    assert result.command == "ip addr show dev br-ex"


def arp(state: str, device: str = "eth1") -> str:
    return (
        f"10.20.0.1 dev {device} {'' if state == 'FAILED' else 'lladdr 52:54:00:aa:aa:aa '}{state}"
    )


@pytest.mark.parametrize(
    "code", [errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES]
)
def test_what_a_host_can_say_is_a_refusal(code: int) -> None:
    result = controller(transit=[*transit_lines(str(code)), arp("REACHABLE")])[TRANSIT]
    detail = f"no way to net0, the outside: {os.strerror(code).lower()}"
    assert (result.status, result.detail) == (CheckStatus.PASSED, detail)


@pytest.mark.parametrize("code", [errno.EPERM, errno.EINVAL, errno.EADDRNOTAVAIL, errno.EHOSTDOWN])
def test_any_other_error_is_no_refusal(code: int) -> None:
    lines = [re.sub(r"^(dial \S+,80) \d+$", rf"\1 {code}", line) for line in transit_lines("111")]
    result = controller(transit=[*lines, arp("REACHABLE")])[TRANSIT]
    detail = (
        f"{os.strerror(code).lower()} on the way to {OUTSIDE} outside: the host refuses in"
        " other words"
    )
    assert (result.status, result.detail) == (CheckStatus.ERROR, detail)


@pytest.mark.parametrize(
    ("neighbour", "status"),
    [
        ("FAILED", CheckStatus.ERROR),
        ("INCOMPLETE", CheckStatus.ERROR),
        ("", CheckStatus.WARNED),
        ("STALE", CheckStatus.PASSED),
    ],
)
def test_no_route_to_host_is_a_refusal_only_of_a_host_that_answers_arp(
    neighbour: str, status: CheckStatus
) -> None:
    others = [arp("REACHABLE", "eth0"), *([arp(neighbour)] if neighbour else [])]
    assert controller(transit=[*transit_lines("113"), *others])[TRANSIT].status is status
    silent = controller(transit=[*transit_lines("silent"), *others])[TRANSIT].status
    assert silent is (CheckStatus.ERROR if status is CheckStatus.ERROR else CheckStatus.WARNED)


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("bare", "lacks its address"),
        ("down", "is down"),
        ("unplugged", "has no carrier"),
        ("missing", "is not there"),
    ],
)
def test_a_nic_that_can_send_nothing_is_told_and_proves_nothing(word: str, says: str) -> None:
    result = controller(transit=[f"nic eth1 {word} eth1"])[TRANSIT]
    detail = f"eth1 {says}: no packet could be sent by way of the host"
    assert (result.status, result.detail) == (CheckStatus.ERROR, detail)
    assert result.command == "ip addr show dev eth1"
    other = controller(transit=[f"nic eth2 {word} eth2", *transit_lines("111")])[TRANSIT]
    assert other.status is CheckStatus.PASSED, "that is another NIC's"


def test_a_target_that_does_not_answer_the_host_is_no_target() -> None:
    facts = closed_to("10.10.0.13:22")
    said = healthy(isolation_family, LAB, "controller", facts)["isolation.transit"]
    assert not any("10.10.0.13" in line for line in said)
    assert any("10.10.0.12,22" in line for line in said)
    assert controller(facts=facts)[TRANSIT].status is CheckStatus.PASSED


def test_without_anything_that_answers_the_host_nothing_is_proved() -> None:
    nobody = closed_to(*FACTS.tried)
    result = controller(facts=nobody)[TRANSIT]
    assert (result.status, "the outside" in result.detail) == (CheckStatus.WARNED, True)
    assert controller(facts=Facts(alive=FACTS.alive))[TRANSIT].status is CheckStatus.WARNED


def test_a_goal_that_could_not_be_tried_keeps_the_rest_from_passing() -> None:
    facts = closed_to("packages.example.org:80")
    result = controller(facts=facts)[TRANSIT]
    assert result.status is CheckStatus.WARNED
    assert result.detail.startswith("nothing is proved of the outside")


def wanting(node: str, network: str, facts: Facts) -> set[str]:
    """Who would have to answer the host for that node's check about a network to prove anything."""
    (check,) = [c for c in of(isolation_family, LAB, node) if c.network == network]
    return set(isolation.witnesses(LAB, check, facts))


def test_who_could_bear_witness_and_does_not_is_known() -> None:
    silent = dataclasses.replace(FACTS, alive=frozenset())
    assert [wanting("compute2", "net1", facts) for facts in (FACTS, silent)] == [
        set(),
        {"controller", "compute1"},
    ]
    assert wanting("controller", "net2", silent) == set(), "the host is not there, nor asked"
    some = closed_to("10.10.0.13:22")
    assert wanting("controller", "net1", some) == set(), "compute1 answers"
    none = closed_to("10.10.0.11:22", "10.10.0.12:22", "10.10.0.13:22")
    assert wanting("controller", "net1", none) == {"compute1", "compute2"}
    assert wanting("controller", "net1", closed_to("packages.example.org:80")) == set(), (
        "no node is outside"
    )


def test_a_network_where_the_host_is_not_is_no_goal() -> None:
    assert {place for place in isolation.candidates(LAB) if place.startswith("10.30.")} == set()


def test_candidates_do_not_grow_with_the_nodes() -> None:
    lab = make_lab(nodes=tuple(f"n{number}" for number in range(60)), mode=NetworkMode.ISOLATED)
    assert len(isolation.candidates(lab)) <= 6


def test_an_answer_cut_anywhere_neither_fails_nor_passes_what_was_cut() -> None:
    written = text(healthy(isolation_family, LAB, "controller", FACTS))
    whole = len(written) - len("stacklab-0123 end\n")
    for length in range(len(written)):
        results = judged(isolation_family, LAB, "controller", written[:length], FACTS).values()
        assert CheckStatus.FAILED not in {r.status for r in results}, length
        assert length >= whole - 1 or CheckStatus.ERROR in {r.status for r in results}, length


def test_a_closed_lab_s_networks_are_kept_apart_as_well() -> None:
    lab = make_closed()
    kinds = [check.kind for check in isolation_family.expected(lab) if check.node == "controller"]
    assert kinds == [CheckKind.NO_TRANSIT, CheckKind.NO_TRANSIT]


def test_a_number_that_is_no_errno_is_no_answer() -> None:
    result = controller(transit=transit_lines("99999999999999999999"))[TRANSIT]
    assert result.status is CheckStatus.ERROR
