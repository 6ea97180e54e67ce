from __future__ import annotations

import dataclasses

import pytest

from stacklab.checks import expect, plan
from stacklab.checks.expect import Effect, Fault, FaultKind, Outage, cut
from stacklab.checks.impairments import family as impairments
from stacklab.checks.pairs import family as pairs
from stacklab.checks.result import HOST, Check, CheckKind, CheckResult, CheckStatus, Layer, Reason
from stacklab.model.lab import Impairment, Lab
from tests.unit.checks.fake_lab import make_lab

LAB = make_lab()
DOWN = Fault(kind=FaultKind.LINK_DOWN, node="compute1", device="eth1", network="net1", at=100.0)
GONE = Fault(kind=FaultKind.UNPLUG, node="compute1", device="eth1", network="net1", at=100.0)
ACCESS = Fault(kind=FaultKind.LINK_DOWN, node="compute1", device="eth0", network="net0", at=100.0)
PAUSED = Fault(kind=FaultKind.PAUSE, node="compute1", at=100.0)
OFF = Fault(kind=FaultKind.POWER_OFF, node="compute1", at=100.0)
PARTED = Fault(
    kind=FaultKind.PARTITION,
    network="net1",
    groups=(("controller", "compute1"), ("compute2",)),
    at=100.0,
)
EVERY = (DOWN, GONE, ACCESS, PAUSED, OFF, PARTED)


def pair(kind: CheckKind, node: str, target: str, network: str = "net1") -> Check:
    theirs = LAB.node(target).nic_on(network)
    assert theirs is not None
    return Check(
        kind=kind,
        node=node,
        target=target,
        network=network,
        address=str(theirs.address.ip),
        device="eth1",
    )


def one(kind: CheckKind, node: str) -> Check:
    return Check(kind=kind, node=node)


_REASONS = {
    CheckStatus.PASSED: Reason.OK,
    CheckStatus.WARNED: Reason.UNPROVED,
    CheckStatus.FAILED: Reason.NO_REPLY,
    CheckStatus.ERROR: Reason.PROGRAM_MISSING,
}


def result(
    check: Check,
    status: CheckStatus = CheckStatus.PASSED,
    detail: str = "1.2 ms",
    reason: Reason | None = None,
) -> CheckResult:
    return CheckResult(
        check=check,
        status=status,
        reason=reason or _REASONS[status],
        detail=detail,
        command="fping",
        output="said",
    )


def effect(check: Check, *faults: Fault, lab: Lab = LAB) -> Effect:
    return Outage(lab, faults).effect(check)[0]


# --- what is cut


def test_without_a_fault_everything_must_work() -> None:
    assert {effect(check) for check in plan.expected(LAB)} == {Effect.NONE}
    assert not any(cut(LAB, (), check) for check in plan.expected(LAB))


@pytest.mark.parametrize("fault", [DOWN, GONE], ids=str)
def test_a_nic_that_is_gone_cuts_its_node_off_that_network_both_ways_and_nothing_else(
    fault: Fault,
) -> None:
    pings = [check for check in pairs.expected(LAB) if check.kind is CheckKind.PING]
    found = {(c.node, c.target) for c in pings if cut(LAB, [fault], c)}
    assert found == {
        ("compute1", "controller"),
        ("compute1", "compute2"),
        ("controller", "compute1"),
        ("compute2", "compute1"),
    }
    assert {c.network for c in pings if cut(LAB, [fault], c)} == {"net1"}
    for kind in (CheckKind.STATE, CheckKind.LOGIN, CheckKind.HOSTNAME, CheckKind.CLOCK):
        assert effect(one(kind, "compute1"), fault) is Effect.NONE


@pytest.mark.parametrize(
    "kind",
    [CheckKind.MTU, CheckKind.PORT, CheckKind.SSH, CheckKind.DELAY, CheckKind.LOSS, CheckKind.PING],
)
def test_all_that_goes_to_a_node_and_back_is_cut_with_it(kind: CheckKind) -> None:
    assert cut(LAB, [DOWN], pair(kind, "controller", "compute1"))
    assert cut(LAB, [DOWN], pair(kind, "compute1", "controller"))
    assert not cut(LAB, [DOWN], pair(kind, "controller", "compute2"))
    assert not cut(LAB, [DOWN], pair(kind, "controller", "compute1", "net0"))


def test_names_are_known_whatever_is_cut() -> None:
    assert effect(pair(CheckKind.NAME, "controller", "compute1"), DOWN, PARTED) is Effect.NONE


def test_a_nic_s_own_state_without_a_cable_is_anybody_s_guess_but_without_the_nic_it_is_not() -> (
    None
):
    own = Check(kind=CheckKind.NIC, node="compute1", device="eth1", network="net1")
    other = dataclasses.replace(own, device="eth0", network="net0")
    assert [effect(own, DOWN), effect(own, GONE)] == [Effect.EITHER, Effect.CUT]
    assert [effect(other, DOWN), effect(other, GONE)] == [Effect.NONE, Effect.NONE]
    for kind in (CheckKind.ROUTES, CheckKind.SOURCE, CheckKind.REACH):
        assert effect(dataclasses.replace(own, kind=kind), DOWN) is Effect.EITHER
        assert effect(dataclasses.replace(own, kind=kind, node="controller"), DOWN) is Effect.NONE


@pytest.mark.parametrize("fault", [PAUSED, OFF, ACCESS], ids=str)
def test_what_the_host_can_t_log_in_to_can_t_be_tried(fault: Fault) -> None:
    own = [
        check
        for check in plan.expected(LAB)
        if check.node == "compute1" and check.kind is not CheckKind.STATE
    ]
    assert len(own) > 5
    assert all(cut(LAB, [fault], check) for check in own)


def test_a_node_that_stands_still_is_seen_so_and_one_without_a_cable_runs() -> None:
    state = one(CheckKind.STATE, "compute1")
    assert [effect(state, fault) for fault in (PAUSED, OFF, ACCESS)] == [
        Effect.CUT,
        Effect.CUT,
        Effect.NONE,
    ]
    assert effect(one(CheckKind.STATE, "compute2"), PAUSED) is Effect.NONE


def test_others_reach_a_node_by_the_nics_that_it_has_left() -> None:
    assert effect(pair(CheckKind.PING, "controller", "compute1"), ACCESS) is Effect.NONE
    assert effect(pair(CheckKind.PING, "controller", "compute1", "net0"), ACCESS) is Effect.CUT
    assert effect(pair(CheckKind.PING, "controller", "compute1"), OFF) is Effect.CUT


def test_a_partition_cuts_between_groups_on_its_network_alone() -> None:
    def parted(node: str, target: str, network: str = "net1") -> bool:
        return cut(LAB, [PARTED], pair(CheckKind.PING, node, target, network))

    assert parted("controller", "compute2")
    assert parted("compute2", "compute1")
    assert not parted("controller", "compute1")
    assert not parted("controller", "compute2", "net0")
    assert effect(one(CheckKind.LOGIN, "compute2"), PARTED) is Effect.NONE  # the host hears all


def test_several_faults_add_up() -> None:
    faults = (PARTED, dataclasses.replace(DOWN, node="controller"))
    pings = [c for c in pairs.expected(LAB) if c.kind is CheckKind.PING and c.network == "net1"]
    assert all(cut(LAB, faults, check) for check in pings)


def test_what_the_host_does_itself_is_not_cut() -> None:
    check = Check(kind=CheckKind.HOST_APART, node=HOST, network="net1")
    assert {effect(check, fault) for fault in EVERY} == {Effect.NONE}


def test_what_a_network_loses_by_declaration_may_be_lost() -> None:
    lossy = dataclasses.replace(
        LAB,
        nodes=tuple(
            dataclasses.replace(
                node,
                nics=(
                    node.nics[0],
                    dataclasses.replace(node.nics[1], impairment=Impairment(loss_percent=100)),
                ),
            )
            for node in LAB.nodes
        ),
    )
    (check,) = [
        c for c in impairments.expected(lossy) if (c.node, c.target) == ("controller", "compute1")
    ]
    assert effect(check, DOWN, lab=lossy) is Effect.EITHER
    assert effect(check, lab=lossy) is Effect.NONE


def test_nobody_can_say_what_a_cloud_makes_of_it() -> None:
    assert effect(one(CheckKind.SERVICE, "controller"), PAUSED) is Effect.EITHER
    assert effect(one(CheckKind.CLOUD, "controller")) is Effect.NONE
    assert (
        effect(one(CheckKind.COMMAND, "controller"), PAUSED) is Effect.NONE
    )  # the lab's own: it must hold
    assert effect(one(CheckKind.COMMAND, "compute1"), PAUSED) is Effect.CUT


@pytest.mark.parametrize("fault", EVERY, ids=str)
@pytest.mark.parametrize("kind", list(CheckKind))
def test_every_kind_of_check_has_its_effect_under_every_fault(
    fault: Fault, kind: CheckKind
) -> None:
    for check in (one(kind, "compute1"), one(kind, "controller"), one(kind, HOST)):
        assert effect(check, fault) in Effect
    for layer in Layer:
        assert layer  # each kind has one: plan knows who judges it


# --- results, turned round


def test_what_must_be_cut_and_is_passes() -> None:
    check = pair(CheckKind.PING, "controller", "compute1")
    found = Outage(LAB, [DOWN]).as_expected(
        result(check, CheckStatus.FAILED, "no reply to 3 pings")
    )
    assert found.status is CheckStatus.PASSED
    assert found.reason is Reason.CUT
    assert (found.command, found.output) == ("", "")


@pytest.mark.parametrize("status", [CheckStatus.PASSED, CheckStatus.WARNED])
def test_what_must_be_cut_and_still_works_fails(status: CheckStatus) -> None:
    check = pair(CheckKind.PING, "controller", "compute1")
    found = Outage(LAB, [DOWN]).as_expected(result(check, status))
    assert found.status is CheckStatus.FAILED
    assert found.reason is Reason.STILL_WORKS


@pytest.mark.parametrize("status", list(CheckStatus))
def test_what_is_not_cut_stays_as_it_came_out(status: CheckStatus) -> None:
    given = result(pair(CheckKind.PING, "controller", "compute2"), status)
    assert Outage(LAB, [DOWN]).as_expected(given) is given


def test_what_could_not_be_tried_on_a_node_that_answers_proves_no_cut() -> None:
    given = result(
        pair(CheckKind.PING, "controller", "compute1"), CheckStatus.ERROR, "fping is not installed"
    )
    assert Outage(LAB, [DOWN]).as_expected(given) is given


def test_what_could_not_be_tried_on_a_node_that_is_cut_off_is_as_it_should_be() -> None:
    given = result(
        one(CheckKind.HOSTNAME, "compute1"), CheckStatus.ERROR, "not reached: the node is paused"
    )
    assert Outage(LAB, [PAUSED]).as_expected(given).status is CheckStatus.PASSED


@pytest.mark.parametrize("reason", [Reason.HOST_KEY, Reason.DENIED])
def test_who_answers_wrongly_is_not_cut_off(reason: Reason) -> None:
    check = pair(CheckKind.SSH, "controller", "compute1")
    given = result(check, CheckStatus.FAILED, reason=reason)
    assert Outage(LAB, [DOWN]).as_expected(given) is given


def test_what_may_be_either_passes_and_says_why() -> None:
    own = Check(kind=CheckKind.NIC, node="compute1", device="eth1", network="net1")
    outage = Outage(LAB, [DOWN])
    assert outage.as_expected(result(own)).detail == "1.2 ms"
    found = outage.as_expected(result(own, CheckStatus.FAILED, "no carrier"))
    assert found.is_passed
    assert found.reason is Reason.MAY_FAIL


def test_a_lab_where_nothing_was_cut_fails_under_every_fault() -> None:
    """The whole of --expect could only pass if this did."""
    for fault in EVERY:
        outage = Outage(LAB, [fault])
        assert not all(
            outage.as_expected(result(check)).is_passed for check in plan.expected(LAB)
        ), str(fault)


def test_a_lab_that_is_all_cut_fails_but_where_nothing_is_left() -> None:
    for fault in EVERY:
        outage = Outage(LAB, [fault])
        found = [
            outage.as_expected(result(c, CheckStatus.FAILED, "no reply"))
            for c in plan.expected(LAB)
        ]
        assert not all(each.is_passed for each in found), str(fault)


# --- how it is told


def test_the_time_is_counted_from_the_last_fault() -> None:
    outage = Outage(LAB, [DOWN, dataclasses.replace(PARTED, at=140.0)])
    check = pair(CheckKind.PING, "controller", "compute1")
    text = expect.summary(outage, [outage.as_expected(result(check, CheckStatus.FAILED))], 147.25)
    assert text.endswith(
        "1 checks cut, 0 must still work; all as expected 7.2 s after the fault at the latest"
    )
    text = expect.summary(outage, [outage.as_expected(result(check))], 147.25)
    assert text.endswith("1 not as expected")


def test_a_fault_is_written_as_it_is_typed() -> None:
    assert [str(fault) for fault in EVERY] == [
        "link-down compute1 eth1",
        "unplug compute1 eth1",
        "link-down compute1 eth0",
        "pause compute1",
        "power-off compute1",
        "partition net1 controller,compute1 compute2",
    ]
