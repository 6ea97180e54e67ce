"""Units of a cloud: one check per unit that the kit names, from one question per node."""

from __future__ import annotations

import pytest

from stacklab import spec
from stacklab.checks.cloud import services
from stacklab.checks.family import Facts
from stacklab.checks.result import CheckResult, CheckStatus, Layer, Reason, Selection
from stacklab.nodes.protocol import Answer, Said
from stacklab.paths.project import PROJECT

LAB = spec.load(PROJECT / "labs" / "openstack-3node.yaml")
CHECKS = [check for check in services.expected(LAB) if check.node == "compute1"]


def judged(*lines: str, code: int | None = 0) -> dict[str, CheckResult]:
    answer = Answer(is_begun=True, said={"cloud.units": Said(lines=lines, code=code)})
    results = services.judge(LAB, CHECKS, answer, Facts())
    return {result.check.subject: result for result in results}


def shown(unit: str, active: str = "active", sub: str = "running", **more: str) -> list[str]:
    """As systemctl show writes it, in an order of its own, blank lines left out."""
    properties = {"NRestarts": "0", "Result": "success", **more}
    lines = [f"{key}={value}" for key, value in properties.items()]
    return [f"Id={unit}", *lines, f"ActiveState={active}", f"SubState={sub}"]


def test_each_node_is_asked_once_for_all_its_units() -> None:
    (part,) = services.parts(LAB, LAB.node("compute1"), CHECKS, Facts())
    assert all(check.subject in part.shell for check in CHECKS)
    assert {check.kind.layer for check in CHECKS} == {Layer.SERVICES}
    assert list(services.parts(LAB, LAB.node("compute2"), CHECKS, Facts())) == []


def test_an_active_unit_has_passed_and_tells_how_often_it_was_restarted() -> None:
    lines = [line for check in CHECKS for line in shown(check.subject, NRestarts="3")]
    results = judged(*lines)
    assert {result.status for result in results.values()} == {CheckStatus.PASSED}
    assert all("3" in result.detail for result in results.values())


@pytest.mark.parametrize(
    ("restarts", "active_s", "status"),
    [
        ("0", 1, CheckStatus.PASSED),
        ("1", 29, CheckStatus.FAILED),
        ("1", 31, CheckStatus.PASSED),
        ("3", 31, CheckStatus.WARNED),
        ("3", 601, CheckStatus.PASSED),
        ("99999999999", 5, CheckStatus.FAILED),
    ],
)
def test_a_unit_that_is_active_between_two_crashes_has_not_passed(
    restarts: str, active_s: int, status: CheckStatus
) -> None:
    unit = "stacklab-nova-compute.service"
    since = str((5000 - active_s) * 1_000_000)
    lines = shown(unit, NRestarts=restarts, ActiveEnterTimestampMonotonic=since)
    said = f"Said={unit} Error: no such host ActiveState=active"
    result = judged(*lines, "Now=5000", said)[unit]
    assert result.status is status
    if status is CheckStatus.PASSED:
        assert result.reason is Reason.OK
        assert "no such host" not in result.detail
    else:
        assert result.reason is Reason.RESTARTING
        assert f"active for {active_s} s: Error: no such host" in result.detail


@pytest.mark.parametrize("since", ["", "x", "9" * 5000, "-1"])
def test_a_time_that_is_none_says_nothing(since: str) -> None:
    unit = "stacklab-nova-compute.service"
    lines = shown(unit, NRestarts="2", ActiveEnterTimestampMonotonic=since)
    assert judged(*lines, "Now=5000")[unit].status is CheckStatus.PASSED


def test_last_words_of_a_unit_without_a_state_are_no_answer() -> None:
    unit = "stacklab-nova-compute.service"
    assert judged(f"Said={unit} hello")[unit].status is CheckStatus.ERROR


@pytest.mark.parametrize("order", [1, -1])
def test_a_unit_that_does_not_run_is_the_only_one_that_fails(order: int) -> None:
    down = "stacklab-nova-compute.service"
    lines: list[str] = []
    for check in CHECKS[::order]:
        if check.subject == down:
            lines += shown(down, active="failed", sub="failed", Result="exit-code")
        else:
            lines += shown(check.subject)
    results = judged(*lines)
    failed = [unit for unit, result in results.items() if result.status is CheckStatus.FAILED]
    assert failed == [down]
    assert results[down].reason is Reason.NOT_RUNNING
    assert "exit-code" in results[down].detail
    assert down in results[down].command


def test_a_unit_that_still_waits_for_another_service_has_not_passed() -> None:
    results = judged(*shown("stacklab-nova-compute.service", "activating", "start-pre"))
    assert results["stacklab-nova-compute.service"].status is CheckStatus.FAILED


@pytest.mark.parametrize(
    "lines", [(), ("=",), ("Id=",), ("Id=\x1b[2J", "ActiveState=active"), ("no equals sign",)]
)
def test_what_a_node_leaves_out_is_no_answer(lines: tuple[str, ...]) -> None:
    results = judged(*lines)
    assert {result.status for result in results.values()} == {CheckStatus.ERROR}
    assert {result.reason for result in results.values()} == {Reason.NO_ANSWER}


def test_foreign_words_are_made_printable() -> None:
    results = judged(*shown("stacklab-nova-compute.service", active="\x1b[2Jactive"))
    assert "\x1b" not in results["stacklab-nova-compute.service"].detail


STACKED = spec.load(PROJECT / "labs" / "devstack-3node.yaml")
PATTERN = "devstack@*"
(OF_DEVSTACK,) = [check for check in services.expected(STACKED) if check.node == "compute1"]


def judged_by_pattern(*lines: str, code: int | None = 0) -> CheckResult:
    answer = Answer(is_begun=True, said={"cloud.units": Said(lines=lines, code=code)})
    (result,) = services.judge(STACKED, [OF_DEVSTACK], answer, Facts())
    return result


def test_devstacks_units_are_asked_for_by_a_pattern_and_only_where_their_layer_is_named() -> None:
    assert OF_DEVSTACK.subject == PATTERN
    assert not Selection().wants(OF_DEVSTACK)
    assert Selection(layers=frozenset({Layer.SERVICES})).wants(OF_DEVSTACK)
    (part,) = services.parts(STACKED, STACKED.node("compute1"), [OF_DEVSTACK], Facts())
    assert f" '{PATTERN}'" in part.shell


def test_all_units_that_fit_a_pattern_have_to_run() -> None:
    lines = [*shown("devstack@n-cpu.service"), *shown("devstack@q-ovn-agent.service")]
    result = judged_by_pattern(*lines)
    assert result.status is CheckStatus.PASSED
    assert result.detail == "2 run"


def test_the_worst_of_the_units_that_fit_is_named() -> None:
    unit = "devstack@n-cpu.service"
    lines = [
        *shown("devstack@keystone.service"),
        *shown(unit, active="failed", sub="failed", Result="exit-code"),
        *shown("ssh.service", active="failed"),
        f"Said={unit} nova.exception.InvalidConfiguration: Duplicate compute node record",
    ]
    result = judged_by_pattern(*lines)
    assert result.status is CheckStatus.FAILED
    assert result.reason is Reason.NOT_RUNNING
    assert result.detail.startswith(f"{unit}: failed (failed)")
    assert "Duplicate compute node record" in result.detail
    assert result.command.endswith(unit)


def test_without_a_unit_that_fits_the_installer_has_not_come_so_far() -> None:
    result = judged_by_pattern(*shown("ssh.service"))
    assert result.status is CheckStatus.FAILED
    assert "no such unit" in result.detail
    assert judged_by_pattern(code=None).reason is Reason.NO_ANSWER


def test_a_units_name_that_could_be_a_command_is_in_none() -> None:
    result = judged_by_pattern(*shown("devstack@$(reboot).service", active="failed"))
    assert "reboot" not in result.command
