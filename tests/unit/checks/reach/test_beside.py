from __future__ import annotations

import dataclasses
import errno

import pytest

from stacklab.checks.family import Facts
from stacklab.checks.reach import beside_family
from stacklab.checks.result import Check, CheckKind, CheckResult, CheckStatus, Reason
from stacklab.model.lab import Impairment, Lab, NetworkMode
from tests.unit.checks.reach.apart_labs import healthy, judged, make_apart, of, text

LAB = make_apart()  # net0 is NATted, net1 isolated, net2 isolated and without the host
NOBODY = Facts(host_ports=(22,))
OTHERS = dataclasses.replace(
    NOBODY, other_labs={"192.168.9.11": "web of shop", "192.168.8.11": "db of store"}
)
HOST0 = "10.10.0.11,10.10.0.1"
LABS = Check(kind=CheckKind.OTHER_LABS, node="controller")


def controller(
    facts: Facts = NOBODY, lab: Lab = LAB, **codes: str
) -> dict[tuple[str, str], CheckResult]:
    """The controller's results; `p22`, `p9`, `p53`, `web`, `db` say how these ended."""
    lines = healthy(beside_family, lab, "controller", facts).get(beside_family.BESIDE, [])
    word_of = {
        "p22": f"{HOST0},22",
        "p9": f"{HOST0},9",
        "p53": f"{HOST0},53",
        "web": "10.10.0.11,192.168.9.11,22",
        "db": "10.10.0.11,192.168.8.11,22",
    }
    for key, ended in codes.items():
        lines = [line for line in lines if f" {word_of[key]} " not in line]
        if ended:
            word, _, code = ended.partition(" ")
            lines.append(f"{word} {word_of[key]} {code}")
    return judged(beside_family, lab, "controller", text({beside_family.BESIDE: lines}), facts)


def host_result(facts: Facts = NOBODY, **codes: str) -> CheckResult:
    return controller(facts, **codes)["host-services", "net0"]


def test_the_host_is_to_be_closed_wherever_it_is_and_the_spec_says_nothing_else() -> None:
    found = [
        (check.node, check.network, check.device)
        for check in beside_family.expected(LAB)
        if check.kind is CheckKind.HOST_SERVICES
    ]
    assert ("controller", "net0", "eth0") in found
    assert ("controller", "net1", "eth1") in found
    assert all(network != "net2" for _node, network, _device in found)


@pytest.mark.parametrize("change", [{"opens_host": True}, {"mode": NetworkMode.BRIDGED}])
def test_an_open_network_and_one_that_is_the_host_s_own_promise_nothing(
    change: dict[str, object],
) -> None:
    networks = tuple(dataclasses.replace(one, **change) for one in LAB.networks)  # type: ignore[arg-type]
    lab = dataclasses.replace(LAB, networks=networks)
    kinds = {check.kind for check in beside_family.expected(lab)}
    assert kinds == {CheckKind.OTHER_LABS}


def test_a_healthy_lab_passes_beside_others_and_alone() -> None:
    for facts in (NOBODY, OTHERS):
        for node in LAB.nodes:
            written = text(healthy(beside_family, LAB, node.name, facts))
            results = judged(beside_family, LAB, node.name, written, facts)
            assert {r.status for r in results.values()} == {CheckStatus.PASSED}, results


def test_one_program_tries_all_of_them() -> None:
    checks = of(beside_family, LAB, "controller")
    (part,) = beside_family.parts(LAB, LAB.node("controller"), checks, OTHERS)
    assert part.shell.count("python3") == 1
    for word in (f"{HOST0},53", f"{HOST0},22", f"{HOST0},9", "10.10.0.11,192.168.9.11,22"):
        assert part.shell.count(word) == 1


@pytest.mark.parametrize("code", ["0", str(errno.ECONNREFUSED)])
@pytest.mark.parametrize("port", [9, 22])
def test_what_only_the_host_itself_can_have_answered_fails(code: str, port: int) -> None:
    result = host_result(**{f"p{port}": f"dial {code}"})  # type: ignore[arg-type]
    assert (result.status, result.reason) == (CheckStatus.FAILED, Reason.REACHED)
    assert f"10.10.0.1:{port};" in result.detail
    assert "lab.up" in result.detail
    assert f"/dev/tcp/10.10.0.1/{port}" in result.command


def test_where_lab_up_could_not_close_the_host_it_is_a_warning_that_says_why() -> None:
    facts = dataclasses.replace(NOBODY, why_host_open="sudo: a password is required")
    result = host_result(facts, p9=f"dial {errno.ECONNREFUSED}")
    assert (result.status, result.reason) == (CheckStatus.WARNED, Reason.REACHED)
    assert "sudo: a password is required" in result.detail


def test_a_refusal_counts_where_the_name_server_beside_it_answers() -> None:
    assert host_result(p9=f"dial {errno.EHOSTUNREACH}").is_passed


def lossy_lab() -> Lab:
    node, *others = LAB.nodes
    harmed = dataclasses.replace(node.access, impairment=Impairment(loss_percent=20))
    node = dataclasses.replace(node, nics=(harmed, *node.nics[1:]))
    return dataclasses.replace(LAB, nodes=(node, *others))


def test_silence_counts_only_where_the_spec_has_packets_lost() -> None:
    result = host_result(p22="dial silent")
    assert (result.status, result.reason) == (CheckStatus.WARNED, Reason.NOT_REFUSED)
    assert "10.10.0.1:22" in result.detail
    assert controller(NOBODY, lossy_lab(), p22="dial silent")["host-services", "net0"].is_passed


@pytest.mark.parametrize("dns", [str(errno.EHOSTUNREACH), str(errno.ECONNREFUSED), "silent"])
def test_a_refusal_proves_nothing_where_what_is_open_does_not_answer_either(dns: str) -> None:
    result = host_result(p53=f"dial {dns}")
    assert (result.status, result.reason) == (CheckStatus.WARNED, Reason.UNPROVED)


@pytest.mark.parametrize(
    ("code", "said"),
    [(errno.EADDRNOTAVAIL, "eth0 lacks its address"), (errno.ENETUNREACH, "is unreachable")],
)
def test_what_never_left_the_node_is_an_error(code: int, said: str) -> None:
    result = host_result(p9=f"unsent {code}")
    assert (result.status, result.reason) == (CheckStatus.ERROR, Reason.NOT_SENT)
    assert result.about == "eth0"
    assert said in result.detail


@pytest.mark.parametrize("line", ["", "dial 0 extra", "dial ٣", "dial 99999999999"])
def test_a_line_that_is_none_is_no_answer(line: str) -> None:
    assert host_result(p9=line).status is CheckStatus.ERROR


def test_a_node_of_another_lab_that_is_reached_is_named() -> None:
    result = controller(OTHERS, web="dial 0")["other-labs", ""]
    assert (result.status, result.reason) == (CheckStatus.FAILED, Reason.REACHED)
    assert "web of shop (192.168.9.11)" in result.detail
    assert "db of store" not in result.detail


@pytest.mark.parametrize("ended", ["dial 111", "dial 113", "dial silent", "unsent 101"], ids=str)
def test_other_labs_that_are_refused_or_have_no_way_pass(ended: str) -> None:
    result = controller(OTHERS, web=ended, db=ended)["other-labs", ""]
    assert result.status is CheckStatus.PASSED
    assert "web of shop" in result.detail


def test_another_lab_that_was_not_tried_is_an_error() -> None:
    assert controller(OTHERS, web="")["other-labs", ""].status is CheckStatus.ERROR
    result = controller(OTHERS, web=f"unsent {errno.EADDRNOTAVAIL}")["other-labs", ""]
    assert (result.status, result.reason) == (CheckStatus.ERROR, Reason.NOT_SENT)


def test_other_labs_that_are_silent_prove_nothing_where_the_name_server_is_silent_too() -> None:
    result = controller(OTHERS, web="dial silent", p53="dial silent")["other-labs", ""]
    assert (result.status, result.reason) == (CheckStatus.WARNED, Reason.UNPROVED)


def test_without_another_lab_there_is_nothing_to_reach() -> None:
    result = controller(NOBODY)["other-labs", ""]
    assert result.status is CheckStatus.PASSED
    assert "no other lab" in result.detail
