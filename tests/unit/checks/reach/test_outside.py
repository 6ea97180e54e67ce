from __future__ import annotations

import dataclasses
import re
from ipaddress import IPv4Network

import pytest

from stacklab.checks.family import Facts, Tried
from stacklab.checks.reach import outside_family, outside_places
from stacklab.checks.result import CheckKind, CheckResult, CheckStatus, Reason
from stacklab.dev.simulated import outside as outside_simulated
from stacklab.model.lab import Lab, NetworkMode
from stacklab.model.stack import Mirrors
from tests.unit.checks.fake_lab import late, make_lab
from tests.unit.checks.reach.apart_labs import healthy, judged, make_closed, of, text, with_stack
from tests.unit.checks.reach.outside_labs import CLOUD, PLAIN, places

CLOSED = make_closed()


FACTS = outside_simulated.facts(CLOUD)


GIT = ("reach", "git.example.org:443")


def results(
    lab: Lab, facts: Facts, *changes: tuple[str, str]
) -> dict[tuple[str, str], CheckResult]:
    """The controller's results.

    Each change is the beginning of a line, and what is said instead of it.
    """
    written = healthy(outside_family, lab, "controller", facts)
    for begins, instead in changes:
        lines = written["outside.dials"]
        assert any(line.startswith(begins) for line in lines), lines
        written["outside.dials"] = [line for line in lines if not line.startswith(begins)] + [
            instead
        ] * bool(instead)
    return judged(outside_family, lab, "controller", text(written), facts)


def unreached(*names: str, facts: Facts = FACTS, address: str = "") -> Facts:
    """The host itself does not reach these names."""
    why = "timed out" if address else "name not known"
    lost = Tried(address=address, why_not=why, is_timed_out=bool(address))
    tried = {
        place: lost if outside_places.name_of(place) in names else each
        for place, each in facts.tried.items()
    }
    return dataclasses.replace(facts, tried=tried)


def test_all_of_it_is_one_process_of_the_node_s() -> None:
    parts = list(
        outside_family.parts(CLOUD, CLOUD.nodes[0], of(outside_family, CLOUD, "controller"), FACTS)
    )
    assert [part.tag for part in parts] == ["outside.dials"]
    assert re.findall(r"^dial tcp (\S+) &$", parts[0].shell, re.MULTILINE) == list(places(CLOUD))
    assert "/etc/apt" not in parts[0].shell


def test_a_selected_check_asks_for_no_more_than_it_needs() -> None:
    only = [
        check
        for check in of(outside_family, CLOUD, "controller")
        if check.subject == "git.example.org:443"
    ]
    (part,) = outside_family.parts(CLOUD, CLOUD.nodes[0], only, FACTS)
    assert "dial tcp git.example.org:443" in part.shell
    assert "pip.example.org" not in part.shell
    assert list(outside_family.parts(CLOUD, CLOUD.nodes[0], (), FACTS)) == []


@pytest.mark.parametrize("lab", [PLAIN, CLOUD, CLOSED])
def test_a_healthy_node_passes(lab: Lab) -> None:
    facts = outside_simulated.facts(lab)
    found = results(lab, facts).values()
    assert {result.status for result in found} == {CheckStatus.PASSED}
    assert {(result.command, result.output) for result in found} == {("", "")}


def test_what_the_host_reaches_and_a_node_does_not_fails() -> None:
    said = "tcp git.example.org:443 1 bash: connect: Connection refused"
    result = results(CLOUD, FACTS, ("tcp git", said))[GIT]
    assert result.status is CheckStatus.FAILED
    assert result.reason == Reason.REFUSED
    assert result.command == "timeout 4 bash -c 'exec 3<>/dev/tcp/git.example.org/443'"
    assert "Connection refused" in result.output


def test_what_the_host_does_not_reach_either_is_a_warning() -> None:
    facts = unreached("git.example.org")
    result = results(
        CLOUD, facts, ("tcp git", "tcp git.example.org:443 1 bash: git: Name or service not known")
    )[GIT]
    assert result.status is CheckStatus.WARNED
    assert result.reason == (Reason.HOST_FAILS_TOO)


def test_a_node_that_reaches_what_the_host_does_not_passes() -> None:
    assert results(CLOUD, unreached("git.example.org"))[GIT].status is CheckStatus.PASSED


def test_what_the_time_ran_out_on_timed_out_and_the_rest_counts() -> None:
    written = healthy(outside_family, CLOUD, "controller", FACTS)
    lines = [line for line in written["outside.dials"] if not line.startswith("tcp git")]
    found = judged(
        outside_family,
        CLOUD,
        "controller",
        text({"outside.dials": lines}, {"outside.dials": 124}),
        FACTS,
    )
    assert found[GIT].detail.endswith("timed out")
    assert {key for key, result in found.items() if not result.is_passed} == {GIT}


def test_what_a_busy_node_never_began_to_try_has_no_answer() -> None:
    for lab in (PLAIN, CLOUD, CLOSED):
        facts = outside_simulated.facts(lab)
        found = judged(
            outside_family,
            lab,
            "controller",
            text({"outside.dials": []}, {"outside.dials": 124}),
            facts,
        )
        assert {result.status for result in found.values()} == {CheckStatus.ERROR}, found
        begun = [
            line
            for line in healthy(outside_family, lab, "controller", facts)["outside.dials"]
            if line.startswith("try")
        ]
        begun += ["packages packages.example.org:80"]
        found = judged(
            outside_family,
            lab,
            "controller",
            text({"outside.dials": begun}, {"outside.dials": 124}),
            facts,
        )
        wanted = CheckStatus.PASSED if lab is CLOSED else CheckStatus.FAILED
        assert {result.status for result in found.values()} == {wanted}, found


def test_what_does_not_answer_the_host_is_not_waited_for_long() -> None:
    def limit(facts: Facts) -> float:
        (part,) = outside_family.parts(
            CLOUD, CLOUD.nodes[0], of(outside_family, CLOUD, "controller"), facts
        )
        return part.limit_s

    assert limit(unreached("git.example.org", address="203.0.113.80")) < limit(
        unreached("git.example.org")
    )


def test_the_mirror_in_the_node_s_own_sources_is_held_against_the_host() -> None:
    facts = outside_simulated.facts(PLAIN)
    said = ("tcp packages", "tcp packages.example.org:80 1 bash: connect: Connection timed out")
    result = results(PLAIN, facts, said)["reach", "packages"]
    assert (result.status, result.reason) == (
        CheckStatus.FAILED,
        Reason.TIMED_OUT,
    )
    nobody = unreached("packages.example.org", facts=facts)
    assert results(PLAIN, nobody, said)["reach", "packages"].status is CheckStatus.WARNED


def test_a_node_without_sources_is_a_warning() -> None:
    facts = outside_simulated.facts(PLAIN)
    result = results(PLAIN, facts, ("packages", ""), ("tcp", ""), ("dns", ""))["reach", "packages"]
    assert (result.status, result.reason) == (
        CheckStatus.WARNED,
        Reason.NO_MIRROR,
    )


def test_nothing_is_the_node_s_fault_if_the_host_never_tried() -> None:
    said = ("tcp git", "tcp git.example.org:443 1 bash: connect: Connection refused")
    written = healthy(outside_family, CLOUD, "controller", FACTS)
    lines = [line for line in written["outside.dials"] if not line.startswith("tcp git")] + [
        said[1]
    ]
    result = judged(outside_family, CLOUD, "controller", text({"outside.dials": lines}), Facts())[
        GIT
    ]
    assert (result.status, "did not try" in result.detail) == (CheckStatus.WARNED, True)


def named(facts: Facts, **codes: int) -> CheckResult:
    """The result of DNS where these names, of example.org, were asked for in turn."""
    lines = [
        line
        for line in healthy(outside_family, CLOUD, "controller", facts)["outside.dials"]
        if "tcp" in line
    ]
    for name, code in codes.items():
        lines += [
            f"try {name}.example.org",
            f"dns {name}.example.org {code} {'' if code else '203.0.113.80 STREAM x'}",
        ]
    return judged(outside_family, CLOUD, "controller", text({"outside.dials": lines}), facts)[
        "dns", ""
    ]


def test_one_name_that_is_known_shows_that_names_are() -> None:
    (part,) = outside_family.parts(
        CLOUD, CLOUD.nodes[0], of(outside_family, CLOUD, "controller"), FACTS
    )
    assert "look apt.example.org || look git.example.org || look pip.example.org &" in part.shell
    assert named(FACTS, apt=0).detail == "apt.example.org is 203.0.113.80"
    assert named(FACTS, apt=2, git=0).detail == "git.example.org is 203.0.113.80"
    result = named(FACTS, apt=2, git=2, pip=2)
    assert (result.status, result.reason) == (
        CheckStatus.FAILED,
        Reason.NAME_UNKNOWN,
    )


def test_what_the_host_knows_is_asked_first() -> None:
    (part,) = outside_family.parts(
        CLOUD, CLOUD.nodes[0], of(outside_family, CLOUD, "controller"), unreached("apt.example.org")
    )
    assert "look git.example.org || look pip.example.org || look apt.example.org &" in part.shell
    facts = outside_simulated.facts(PLAIN)
    (part,) = outside_family.parts(
        PLAIN, PLAIN.nodes[0], of(outside_family, PLAIN, "controller"), facts
    )
    assert '\nlook "$name" &' in part.shell


def test_names_that_the_host_does_not_know_either_are_a_warning() -> None:
    facts = unreached("apt.example.org", "git.example.org", "pip.example.org")
    assert named(facts, apt=2, git=2, pip=2).status is CheckStatus.WARNED
    # a name that the host knows, though nothing answers there, is known
    facts = unreached(
        "apt.example.org", "git.example.org", "pip.example.org", address="203.0.113.80"
    )
    assert named(facts, apt=2, git=2, pip=2).status is CheckStatus.FAILED


def test_a_lab_without_a_way_out_is_closed() -> None:
    found = [(str(check.kind), check.subject) for check in of(outside_family, CLOSED, "controller")]
    assert found == [("closed", ""), ("closed", "dns")]
    bridged = make_lab(mode=NetworkMode.BRIDGED)
    assert {check.kind for check in outside_family.expected(bridged)} == {
        CheckKind.DNS,
        CheckKind.REACH,
    }


@pytest.mark.parametrize("mode", [NetworkMode.NAT, NetworkMode.BRIDGED])
def test_only_the_first_nic_s_network_is_a_way_out(mode: NetworkMode) -> None:
    """The default route is that one's, says layer `nodes`.

    By a second NIC the node reaches nothing outside.
    """
    first, second = CLOSED.networks
    other = dataclasses.replace(CLOSED, networks=(first, dataclasses.replace(second, mode=mode)))
    assert list(outside_family.expected(other)) == list(outside_family.expected(CLOSED))
    open_ = dataclasses.replace(
        CLOSED, networks=(dataclasses.replace(first, mode=NetworkMode.NAT), second)
    )
    assert CheckKind.CLOSED not in {check.kind for check in outside_family.expected(open_)}


def test_what_is_declared_to_be_late_is_waited_for() -> None:
    """It was not: with seconds of delay a closed lab passed before anything could have answered."""

    def shell(lab: Lab) -> str:
        (part,) = outside_family.parts(
            lab, lab.node("controller"), of(outside_family, lab, "controller"), FACTS
        )
        return part.shell

    assert "timeout 4 bash" in shell(CLOSED)
    assert "timeout 8 bash" in shell(late(CLOSED, 2000))


def test_a_mirror_on_the_lab_s_own_network_must_be_reached_though_it_is_closed() -> None:
    address = str(CLOSED.networks[0].host_address)
    lab = with_stack(CLOSED, mirrors=Mirrors(apt=f"http://{address}:3142/debian"))
    found = [(str(check.kind), check.subject) for check in of(outside_family, lab, "controller")]
    assert found == [("closed", ""), ("closed", "dns"), ("reach", f"{address}:3142")]
    facts = Facts(tried={f"{address}:3142": Tried(address=address)})
    assert outside_places.controls(lab, facts) == {}


def test_what_a_closed_node_reaches_is_named() -> None:
    facts = outside_simulated.facts(CLOSED)
    found = results(CLOSED, facts, ("closed 203", "closed 203.0.113.80:80 0 "))
    result = found["closed", ""]
    assert (result.status, result.reason) == (
        CheckStatus.FAILED,
        Reason.REACHED,
    )
    assert found["closed", "dns"].status is CheckStatus.PASSED
    said = ("dns packages", "dns packages.example.org 0 203.0.113.80 STREAM x")
    result = results(CLOSED, facts, said)["closed", "dns"]
    assert (result.status, result.detail) == (
        CheckStatus.FAILED,
        "it is not: packages.example.org is 203.0.113.80",
    )


def test_a_closed_node_proves_nothing_where_the_host_is_closed_in_too() -> None:
    facts = unreached("packages.example.org", facts=outside_simulated.facts(CLOSED))
    assert {
        r.status for r in judged(outside_family, CLOSED, "controller", text({}), facts).values()
    } == {CheckStatus.WARNED}
    assert {
        r.status for r in judged(outside_family, CLOSED, "controller", text({}), Facts()).values()
    } == {CheckStatus.WARNED}


def test_what_answers_within_the_lab_is_no_outside() -> None:
    facts = Facts(
        tried={
            "10.10.0.12:22": Tried(address="10.10.0.12"),
            "a.example.org:80": Tried(address="10.10.0.1"),
        }
    )
    assert outside_places.controls(CLOSED, facts) == {}
    wide = dataclasses.replace(CLOSED.networks[0], cidr=IPv4Network("10.99.0.0/24"))
    lab = dataclasses.replace(CLOSED, networks=(wide, CLOSED.networks[1]))
    assert list(outside_places.controls(lab, facts)) == ["10.10.0.12:22", "10.10.0.1:80"]


@pytest.mark.parametrize(
    ("code", "words"), [(127, "bash or timeout is not installed"), (2, "bash ended with 2")]
)
def test_a_node_that_can_not_try_has_no_answer(code: int, words: str) -> None:
    for lab in (CLOUD, CLOSED):
        facts = outside_simulated.facts(lab)
        found = judged(
            outside_family,
            lab,
            "controller",
            text({"outside.dials": ["?"]}, {"outside.dials": code}),
            facts,
        )
        assert {result.status for result in found.values()} == {CheckStatus.ERROR}
        assert all(words in result.detail for result in found.values())


@pytest.mark.parametrize("lab", [CLOUD, CLOSED])
def test_an_answer_cut_anywhere_neither_fails_nor_passes_what_was_cut(lab: Lab) -> None:
    facts = outside_simulated.facts(lab)
    written = text(healthy(outside_family, lab, "controller", facts))
    whole = len(written) - len("stacklab-0123 end\n")
    for length in range(whole - 1):
        found = judged(outside_family, lab, "controller", written[:length], facts).values()
        assert {result.status for result in found} == {CheckStatus.ERROR}, length
