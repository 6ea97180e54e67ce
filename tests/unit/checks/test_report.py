from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacklab.checks import report, script
from stacklab.checks.result import CheckKind, CheckResult, CheckStatus, outcome, raise_for
from stacklab.errors import CheckFailed
from tests.unit.checks.fake_lab import make_lab

LAB = make_lab()


def results(**spoilt: tuple[CheckStatus, str, str]) -> list[CheckResult]:
    """All passed, but for pings on net1 to the named node."""
    made = []
    for check in script.expected(LAB):
        rtt = 1.5 if check.kind is CheckKind.PING else None
        status, detail, output = CheckStatus.PASSED, "fine", ""
        if check.kind is CheckKind.PING and check.network == "net1" and check.target in spoilt:
            (status, detail, output), rtt = spoilt[check.target], None
        made.append(outcome(check, status, detail, output=output, rtt_ms=rtt, elapsed_s=0.25))
    return made


LOST = (CheckStatus.FAILED, "no reply to 3 pings", "10.20.0.12 : - - -")


def test_the_json_has_a_summary_and_every_check() -> None:
    found = json.loads(json.dumps(report.to_json(LAB, results(compute1=LOST))))
    total = len(script.expected(LAB))
    assert found["lab"] == "trio"
    assert found["summary"] == {"total": total, "passed": total - 2, "failed": 2, "error": 0}
    bad = [row for row in found["checks"] if row["status"] == "failed"]
    assert {(row["node"], row["device"], row["address"]) for row in bad} == {
        ("controller", "eth1", "10.20.0.12"),
        ("compute2", "eth1", "10.20.0.12"),
    }


def test_junit_has_a_case_per_check_and_counts_them() -> None:
    spoilt = results(compute1=LOST, compute2=(CheckStatus.ERROR, "not reached", ""))
    suite = ET.fromstring(report.to_junit(LAB, spoilt))[0]
    assert suite.attrib["tests"] == str(len(suite.findall("testcase"))) == str(len(spoilt))
    assert suite.attrib["failures"] == str(len(suite.findall("testcase/failure"))) == "2"
    assert suite.attrib["errors"] == str(len(suite.findall("testcase/error"))) == "2"
    assert len({(case.attrib["classname"], case.attrib["name"]) for case in suite}) == len(spoilt)


def test_a_junit_failure_has_the_detail_and_the_output() -> None:
    failure = ET.fromstring(report.to_junit(LAB, results(compute1=LOST))).find(".//failure")
    assert failure is not None
    assert failure.attrib["message"] == "no reply to 3 pings"
    assert "10.20.0.12 : - - -" in (failure.text or "")


@settings(deadline=None)  # a loaded machine is no bug
@given(st.text(st.characters()), st.text(st.characters()))
def test_any_output_makes_junit_that_a_parser_loads(detail: str, output: str) -> None:
    spoilt = results(compute1=(CheckStatus.FAILED, detail, output))
    root = ET.fromstring(report.to_junit(LAB, spoilt).encode())
    assert root.find(".//failure") is not None


def test_control_characters_are_dropped_and_text_is_kept() -> None:
    nasty = "\x1b[31mred\x00\x08 <&\"'> ]]> \ud800\ufffe ümlaut \U0001f600"
    text = report.to_junit(LAB, results(compute1=(CheckStatus.FAILED, nasty, nasty)))
    failure = ET.fromstring(text.encode()).find(".//failure")
    assert failure is not None
    assert failure.attrib["message"] == "[31mred <&\"'> ]]>  ümlaut \U0001f600"


def test_rows_are_as_wide_as_their_table() -> None:
    assert {len(row) for row in report.rows(results())} == {7}


def test_the_matrix_shows_who_reaches_whom() -> None:
    first, second = report.matrix(LAB, results(compute1=LOST, compute2=(CheckStatus.ERROR, "not reached", "")))
    assert (first.network, first.cidr) == ("net0", "10.10.0.0/24")
    assert first.header == ("from", "controller", "compute1", "compute2")
    assert first.rows[0] == ("controller", "-", "1.5 ms", "1.5 ms")
    assert second.rows == (
        ("controller", "-", "lost", "?"),
        ("compute1", "1.5 ms", "-", "?"),
        ("compute2", "1.5 ms", "lost", "-"),
    )


def test_a_matrix_without_pings_is_empty_but_whole() -> None:
    assert report.matrix(LAB, [])[0].rows[0] == ("controller", "-", "", "")


def test_passing_checks_raise_nothing() -> None:
    raise_for(results())


def test_the_error_names_the_failing_cells_by_address_and_interface() -> None:
    with pytest.raises(CheckFailed) as caught:
        raise_for(results(compute1=LOST), hint="invoke lab.console trio")
    text = str(caught.value)
    assert "controller eth1 -> compute1 10.20.0.12 (net1): ping: no reply to 3 pings" in text
    assert text.startswith(f"2 of {len(script.expected(LAB))} checks did not pass:")
    assert caught.value.hint == "invoke lab.console trio"
    assert caught.value.exit_code == 5


def test_failures_stand_before_what_was_not_reached() -> None:
    not_reached = (CheckStatus.ERROR, "not reached", "")
    with pytest.raises(CheckFailed) as caught:
        raise_for(results(controller=not_reached, compute1=LOST))
    lines = caught.value.message.splitlines()[1:]
    assert ["not reached" in line for line in lines] == [False, False, True, True]


def test_a_long_list_of_failures_is_cut_with_its_number() -> None:
    bad = [outcome(check, CheckStatus.FAILED, "x") for check in script.expected(LAB)]
    with pytest.raises(CheckFailed, match=rf"and {len(bad) - 20} more"):
        raise_for(bad)
