from __future__ import annotations

import dataclasses
import itertools
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacklab.checks.outcome import Outcome
from stacklab.checks.report_json import json_parts
from stacklab.checks.report_junit import junit_parts
from stacklab.checks.result import CheckKind, CheckResult, CheckStatus, Reason
from tests.unit.views.fake_results import dead, down, failed, is_way, many, of_each_kind, ran

TOTAL = len(ran().results)

KEYS = {
    "layer",
    "kind",
    "node",
    "target",
    "network",
    "address",
    "device",
    "subject",
    "status",
    "reason",
    "about",
    "detail",
    "rtt_ms",
    "elapsed_s",
    "command",
    "output",
    "cause_kind",
    "cause",
    "evidence",
}


def lost(detail: str = "no reply to 3 pings", output: str = "10.20.0.12 : - - -") -> Outcome:
    """A run in which one ping failed."""

    def spoil(result: CheckResult) -> CheckResult:
        if not is_way(result, "controller", "compute1", "net1", CheckKind.PING):
            return result
        return failed(
            result,
            detail,
            command="fping 10.20.0.12",
            output=output,
            clues="arp FAILED",
            elapsed_s=0.5,
        )

    return ran(spoil=spoil)


def as_json(found: Outcome) -> dict[str, object]:
    return json.loads("".join(json_parts(found)))  # type: ignore[no-any-return]


def as_xml(found: Outcome) -> ET.Element:
    return ET.fromstring("".join(junit_parts(found)).encode())


# --- JSON


def test_the_json_tells_how_the_run_was() -> None:
    found = as_json(lost())
    checks = found.pop("checks")
    summary = found["summary"]
    assert isinstance(checks, list)
    assert isinstance(summary, dict)
    layers = summary.pop("layers")
    assert found == {
        "version": 1,
        "lab": "trio",
        "started_at": "2026-11-20T10:30:00Z",
        "elapsed_s": 4.25,
        "verdict": "failed",
        "exit_code": 5,
        "summary": {"total": TOTAL, "passed": TOTAL - 1, "warned": 0, "failed": 1, "error": 0},
        "causes": [],
    }
    assert list(layers) == ["nodes", "pairs", "isolation"]
    assert layers["pairs"] == {"total": 72, "passed": 71, "warned": 0, "failed": 1, "error": 0}
    assert len(checks) == TOTAL
    assert {frozenset(row) for row in checks} == {frozenset(KEYS)}


def test_a_failed_check_is_whole_in_the_json() -> None:
    (bad,) = [row for row in as_json(lost())["checks"] if row["status"] == "failed"]  # type: ignore[attr-defined]
    assert bad == {
        "layer": "pairs",
        "kind": "ping",
        "node": "controller",
        "target": "compute1",
        "network": "net1",
        "address": "10.20.0.12",
        "device": "eth1",
        "subject": "",
        "status": "failed",
        "reason": "no-reply",
        "about": "",
        "detail": "no reply to 3 pings",
        "rtt_ms": None,
        "elapsed_s": 0.5,
        "command": "fping 10.20.0.12",
        "output": "10.20.0.12 : - - -",
        "cause_kind": "",
        "cause": "",
        "evidence": "arp FAILED",
    }


@pytest.mark.parametrize(
    ("statuses", "verdict", "code"),
    [
        ("passed passed", "passed", 0),
        ("passed warned", "warned", 0),
        ("warned error", "error", 6),
        ("error failed", "failed", 5),
    ],
)
def test_the_verdict_is_the_exit_codes(statuses: str, verdict: str, code: int) -> None:
    turns = itertools.cycle(map(CheckStatus, statuses.split()))
    found = as_json(
        ran(
            spoil=lambda result: CheckResult(
                check=result.check, status=next(turns), reason=Reason.OK, detail=""
            )
        )
    )
    assert (found["verdict"], found["exit_code"]) == (verdict, code)


def test_a_warning_is_an_exit_code_of_a_strict_run_alone() -> None:
    warned = ran(
        spoil=lambda result: CheckResult(
            check=result.check, status=CheckStatus.WARNED, reason=Reason.OK, detail=""
        )
    )
    assert as_json(warned)["exit_code"] == 0
    assert as_json(dataclasses.replace(warned, is_strict=True))["exit_code"] == 7


def test_the_json_is_a_check_per_line_and_never_whole_in_memory() -> None:
    parts = json_parts(ran(many(40)))
    assert isinstance(parts, Iterator)
    sizes = [len(part) for part in parts]
    assert max(sizes) < 1000
    assert len(sizes) == 18961 + 3


@settings(deadline=None)
@given(st.text(st.characters()))
def test_any_output_makes_json_without_halves_of_characters(text: str) -> None:
    (bad,) = [row for row in as_json(lost(output=text))["checks"] if row["status"] == "failed"]  # type: ignore[attr-defined]
    bad["output"].encode()  # a lone surrogate would raise
    if not any("\ud800" <= char <= "\udfff" for char in text):
        assert bad["output"] == text


def test_the_json_tells_each_cause_once() -> None:
    found = as_json(ran(spoil=down("compute1", "net1", "eth1")))
    (cause,) = found["causes"]  # type: ignore[misc,attr-defined]
    evidence = cause.pop("evidence").splitlines()
    assert cause == {
        "kind": "nic-down",
        "cause": "eth1 is down on compute1",
        "count": 12,
        "scope": "ping, mtu, port on net1; compute1 <-> controller, compute2",
    }
    assert evidence[0] == "compute1: eth1 is down, no address"
    assert len(evidence) == len(set(evidence))
    rows = [row for row in found["checks"] if row["cause"]]  # type: ignore[attr-defined]
    assert len(rows) == 12
    assert {(row["cause"], row["cause_kind"], row["status"]) for row in rows} == {
        ("eth1 is down on compute1", "nic-down", "failed")
    }


# --- JUnit


def test_the_message_of_a_failure_has_its_cause_once() -> None:
    found = as_xml(ran(many(4), dead("compute2")))
    messages = {each.get("message") for tag in ("failure", "error") for each in found.iter(tag)}
    assert messages == {
        "is off (cause: compute2 is shut off (crashed))",
        "the node is off (cause: compute2 is shut off (crashed))",
        "not reached: the node is off (cause: compute2 is shut off (crashed))",
        "no reply to 3 pings: compute2 is shut off (crashed)",
        "no route to host: compute2 is shut off (crashed)",
    }


def test_junit_has_a_suite_per_layer_and_a_case_per_check() -> None:
    root = as_xml(ran(spoil=of_each_kind))
    assert [suite.get("name") for suite in root] == ["trio.nodes", "trio.pairs", "trio.isolation"]
    for suite in root:
        assert suite.get("tests") == str(len(suite.findall("testcase")))
        assert suite.get("failures") == str(len(suite.findall("testcase/failure")))
        assert suite.get("errors") == str(len(suite.findall("testcase/error")))
    cases = [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]
    assert len(set(cases)) == len(cases) == TOTAL
    assert ("trio.pairs.ping", "controller eth1 -> compute1 10.20.0.12 (net1): ping") in cases
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == (f"{TOTAL}", "4", "3")


# What the schemas of Jenkins' xUnit plug-in and of Ant allow and demand, as far as they agree.
ATTRIBUTES = {
    "testsuites": {"name", "time", "tests", "failures", "errors"},
    "testsuite": {
        "name",
        "package",
        "id",
        "hostname",
        "timestamp",
        "tests",
        "failures",
        "errors",
        "skipped",
        "time",
    },
    "properties": set(),
    "testcase": {"classname", "name", "time"},
    "failure": {"message", "type"},
    "error": {"message", "type"},
    "system-out": set(),
    "system-err": set(),
}


def test_junit_keeps_to_the_schemas() -> None:
    root = as_xml(ran(spoil=of_each_kind))
    for element in root.iter():
        assert set(element.attrib) == ATTRIBUTES[element.tag]
        for name in {"tests", "failures", "errors", "skipped", "id"} & set(element.attrib):
            assert (element.get(name) or "").isdigit()
        if "time" in element.attrib:
            assert re.fullmatch(r"\d+\.\d{3}", element.get("time") or "")
    for suite in root:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp") or "")
        tags = [child.tag for child in suite]
        assert tags == ["properties", *["testcase"] * (len(tags) - 3), "system-out", "system-err"]
        assert {tuple(child.tag for child in case) for case in suite.iter("testcase")} <= {
            (),
            ("failure",),
            ("failure", "system-out"),
            ("error",),
            ("error", "system-out"),
            ("system-out",),
        }


def test_a_junit_failure_has_all_that_is_known() -> None:
    case = next(
        case for case in as_xml(lost()).iter("testcase") if case.find("failure") is not None
    )
    failure = case.find("failure")
    assert failure is not None
    assert failure.get("message") == "no reply to 3 pings"
    assert failure.get("type") == "ping"
    assert failure.text == (
        "controller eth1 -> compute1 10.20.0.12 (net1): ping: no reply to 3 pings\n"
        "$ fping 10.20.0.12\n10.20.0.12 : - - -\narp FAILED"
    )
    assert case.findtext("system-out") == "$ fping 10.20.0.12\n10.20.0.12 : - - -\narp FAILED"


def test_a_warning_is_a_case_that_passes_and_says_so() -> None:
    (said,) = [
        each.text or ""
        for each in as_xml(ran(spoil=of_each_kind)).iter("system-out")
        if (each.text or "").startswith("warning: ")
    ]
    assert "the root file system is 94% full" in said


def test_nothing_is_skipped() -> None:
    root = as_xml(ran(spoil=of_each_kind))
    assert not list(root.iter("skipped"))
    assert {suite.get("skipped") for suite in root} == {"0"}


@settings(deadline=None)  # a loaded machine is no bug
@given(st.text(st.characters()), st.text(st.characters()))
def test_any_output_makes_junit_that_a_parser_loads(detail: str, output: str) -> None:
    assert as_xml(lost(detail, output)).find(".//failure") is not None


def test_control_characters_are_dropped_and_text_is_kept() -> None:
    nasty = "\x1b[31mred\x1b[0m\x00\x08 <&\"'> ]]> \ud800\ufffe ümlaut \U0001f600 a\tb \u202e"
    failure = as_xml(lost(nasty, nasty)).find(".//failure")
    assert failure is not None
    assert failure.get("message") == "red <&\"'> ]]>  ümlaut \U0001f600 a\tb "


def test_no_row_of_the_json_gives_orders_to_a_ci_system() -> None:
    """It may be written to /dev/stdout, which is the log of a job."""
    output = "x ##[add-mask]b ###vso[task.setvariable]c"
    text = "".join(json_parts(lost(output=output)))
    assert "##" not in text
    assert output in [check["output"] for check in json.loads(text)["checks"]]
