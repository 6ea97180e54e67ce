from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from stacklab.checks.expect import Fault, FaultKind, Outage
from stacklab.checks.explain import explain
from stacklab.checks.explain import site as site_module
from stacklab.checks.explain.causes import causes
from stacklab.checks.explain.scene import UNSEEN
from stacklab.checks.result import HOST, Check, CheckKind, CheckResult, CheckStatus, Reason
from stacklab.model.cause import CauseKind
from stacklab.model.state import NodeState
from tests.unit.checks.explain.sites import PING, SILENT, Site, _passed
from tests.unit.checks.fake_lab import make_lab


def test_what_lab_fault_has_done_needs_no_other_cause(site: Site) -> None:
    groups = (("controller",), ("compute1", "compute2"))
    site.faults = [Fault(kind=FaultKind.PARTITION, network="net1", groups=groups)]
    site.fail(SILENT, **PING)
    site.fail(SILENT, kind="ping", node="compute2", target="compute1", network="net1")
    assert site.kind(**PING) is CauseKind.FAULT
    assert str(site.faults[0]) in str(site.cause(**PING))
    within = {"kind": "ping", "node": "compute2", "target": "compute1", "network": "net1"}
    assert site.kind(**within) is None, "both are on one side"


def test_a_node_that_lab_fault_has_paused(site: Site) -> None:
    site.faults = [Fault(kind=FaultKind.PAUSE, node="compute1")]
    site.views["compute1"] = dataclasses.replace(
        site.views["compute1"], state=NodeState.PAUSED, reason="user"
    )
    site.fail("not reached: the node is paused", status=CheckStatus.ERROR, node="compute1")
    site.fail("is paused", kind="state", node="compute1")
    site.fail("the node is paused", kind="login", node="compute1")
    site.fail(SILENT, **PING)
    (cause,) = causes(site.explained().values())
    assert cause.is_fault
    assert str(site.faults[0]) in cause.cause.text


def test_without_a_certain_cause_there_is_evidence_alone(site: Site) -> None:
    site.fail(SILENT, **PING)
    found = site.explained()
    result = next(r for r in found.values() if not r.is_passed)
    assert result.sentence == SILENT
    assert result.evidence.startswith("controller: eth1 is up, 10.20.0.11/24\n")
    assert causes(found.values()) == ()


def test_nodes_that_can_t_be_asked_leave_what_the_host_sees(site: Site) -> None:
    site.scenes = dict.fromkeys(site.scenes, UNSEEN)
    site.fail(SILENT, **PING)
    result = next(r for r in site.explained().values() if not r.is_passed)
    assert result.sentence == SILENT
    assert "compute1, from the host: NIC eth1" in result.evidence


def test_without_the_host_the_nodes_are_asked(site: Site) -> None:
    site.change("compute1", "eth1", flags=())
    site.fail(SILENT, **PING)
    results = explain.explain(site.lab, site.paths, None, tuple(site.results.values()), None)  # type: ignore[arg-type]
    (result,) = (r for r in results if not r.is_passed)
    assert result.cause is not None
    assert result.cause.kind is CauseKind.NIC_DOWN


def test_only_so_many_nodes_are_asked_those_with_the_most_failures_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(make_lab(nodes=tuple(f"n{number}" for number in range(30))), tmp_path)
    monkeypatch.setattr(site_module, "_ask_node", site.ask)
    site.fail(SILENT, kind="ping", target="n29")
    site.explained()
    assert len(site.asked) == 12
    assert site.asked[0] == "n29"


def test_what_the_host_itself_did_and_other_layers_are_left_alone(site: Site) -> None:
    check = Check(kind=CheckKind.HOST_APART, node=HOST, network="net1")
    site.results[check] = CheckResult(
        check=check,
        status=CheckStatus.FAILED,
        reason=Reason.REACHED,
        detail="answers",
        clues="its own",
    )
    assert site.explained()[check] == site.results[check]


def test_what_else_a_nic_fails_at_that_lab_fault_has_taken_is_the_same_cause(site: Site) -> None:
    site.faults = [Fault(kind=FaultKind.LINK_DOWN, node="compute1", device="eth1", network="net1")]
    site.see(
        "compute1",
        "net1",
        lambda at: dataclasses.replace(at, plug=dataclasses.replace(at.plug, is_linked=False)),
    )  # type: ignore[type-var]
    site.fail(SILENT, **PING)
    site.fail(
        "would leave by eth0, not by eth1",
        kind="source",
        node="compute1",
        target="controller",
        network="net1",
    )
    site.fail("eth1 has no carrier", kind="nic", node="compute1", network="net1")
    (cause,) = causes(site.explained().values())
    assert cause.is_fault
    assert str(site.faults[0]) in cause.cause.text


def test_what_works_though_lab_fault_was_to_cut_it_is_not_explained_by_it(site: Site) -> None:
    site.faults = [Fault(kind=FaultKind.LINK_DOWN, node="compute1", device="eth1", network="net1")]
    check = next(c for c in site.results if all(str(getattr(c, k)) == v for k, v in PING.items()))
    site.results[check] = Outage(site.lab, site.faults).as_expected(_passed(check))
    found = site.explained()
    assert found[check].reason is Reason.STILL_WORKS
    assert causes(found.values()) == ()


@pytest.mark.parametrize(
    ("reason", "device", "kind"),
    [
        (Reason.NO_ROUTE, "eth1", CauseKind.NIC_DOWN),
        (Reason.NO_ROUTE, "eth0", None),
        (Reason.WRONG_ROUTE, "", None),
        (Reason.SEVERAL, "", None),
    ],
)
def test_a_route_that_is_missing_with_its_nic_has_the_nic_s_cause(
    site: Site, reason: Reason, device: str, kind: CauseKind | None
) -> None:
    check = Check(kind=CheckKind.ROUTES, node="compute1")
    site.change("compute1", "eth1", flags=())
    site.results[check] = CheckResult(
        check=check, status=CheckStatus.FAILED, reason=reason, detail="", about=device
    )
    assert site.kind(kind="routes", node="compute1") is kind


TRANSIT = Check(kind=CheckKind.NO_TRANSIT, node="compute1", network="net1", device="eth1")


def test_what_could_not_be_sent_by_a_nic_that_is_down_has_the_cause_of_all_else_by_it(
    site: Site,
) -> None:
    site.change("compute1", "eth1", flags=())
    site.fail("eth1 is down", kind="nic", node="compute1", device="eth1")
    said = "eth1 is down: no packet could be sent by way of the host"
    site.results[TRANSIT] = CheckResult(
        check=TRANSIT, status=CheckStatus.ERROR, reason=Reason.NOT_SENT, detail=said
    )
    (cause,) = causes(site.explained().values())
    assert (cause.cause.kind, len(cause.results)) == (CauseKind.NIC_DOWN, 2)
    assert site.explained()[TRANSIT].sentence == said


def test_a_nic_alone_explains_why_nothing_could_be_sent(site: Site) -> None:
    """Where its own layer alone is checked, nobody else has failed on that node."""
    site.change("compute1", "eth1", addresses=())
    site.results[TRANSIT] = CheckResult(
        check=TRANSIT,
        status=CheckStatus.ERROR,
        reason=Reason.NOT_SENT,
        detail="no packet could be sent",
    )
    assert site.kind(kind="no-transit") is CauseKind.WRONG_ADDRESS


def test_a_way_through_the_host_is_no_nic_s_fault(site: Site) -> None:
    site.change("compute1", "eth1", addresses=())
    site.results[TRANSIT] = CheckResult(
        check=TRANSIT,
        status=CheckStatus.FAILED,
        reason=Reason.REACHED,
        detail="gets through the host",
    )
    assert site.kind(kind="no-transit") is None


@pytest.mark.parametrize("kind", [CheckKind.DELAY, CheckKind.LOSS, CheckKind.RATE])
@pytest.mark.parametrize(
    ("node", "target"), [("compute1", "controller"), ("controller", "compute1")]
)
def test_what_is_measured_between_two_nics_is_not_where_one_is_down(
    site: Site, kind: CheckKind, node: str, target: str
) -> None:
    check = Check(
        kind=kind, node=node, target=target, network="net1", address="10.20.0.9", device="eth1"
    )
    site.results[check] = CheckResult(
        check=check,
        status=CheckStatus.FAILED,
        reason=Reason.NO_REPLY,
        detail="no reply to 20 pings",
    )
    assert site.explained()[check].cause is None
    site.change("compute1", "eth1", flags=())
    cause = site.explained()[check].cause
    assert cause is not None
    assert cause.kind is CauseKind.NIC_DOWN


@pytest.mark.parametrize(
    ("detail", "count"),
    [("has MTU 9000, not 1500", 2), ("eth1 is down; has MTU 9000, not 1500", 1)],
)
def test_a_wrong_mtu_is_one_cause_of_the_nic_s_failure_and_of_what_gets_lost(
    site: Site, detail: str, count: int
) -> None:
    site.change("compute1", "eth1", mtu=9000)
    site.fail(detail, kind="nic", node="compute1", device="eth1")
    lost = "1501 bytes are sent and get lost, 1500 is the MTU that the lab declares"
    site.fail(lost, kind="mtu", node="compute1", target="controller", network="net1")
    (cause,) = causes(site.explained().values())
    assert (cause.cause.kind, len(cause.results)) == (CauseKind.WRONG_MTU, count)
    assert "9000" in cause.cause.text
