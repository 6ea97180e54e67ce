"""Check results for machines and people: JSON, JUnit, and rows for tables."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypedDict

from stacklab.checks.result import CheckKind, CheckResult, CheckStatus
from stacklab.model import Lab

# What XML 1.0 allows in a document, not even as a reference: everything else goes.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Summary(TypedDict):
    """How many checks there are of each outcome."""

    total: int
    passed: int
    failed: int
    error: int


class CheckRow(TypedDict):
    """One check in the JSON report."""

    kind: str
    node: str
    target: str
    network: str
    address: str
    device: str
    status: str
    detail: str
    rtt_ms: float | None
    elapsed_s: float
    command: str
    output: str


class Report(TypedDict):
    """The JSON report of one lab."""

    lab: str
    summary: Summary
    checks: list[CheckRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Who reaches whom on one network; a row begins with its node, a cell holds the slowest round trip."""

    network: str
    cidr: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def summary(results: Iterable[CheckResult]) -> Summary:
    """Count the outcomes."""
    counts = Counter(result.status for result in results)
    return {
        "total": counts.total(),
        "passed": counts[CheckStatus.PASSED],
        "failed": counts[CheckStatus.FAILED],
        "error": counts[CheckStatus.ERROR],
    }


def to_json(lab: Lab, results: Sequence[CheckResult]) -> Report:
    """Give the report as plain values, ready for json.dumps."""
    return {"lab": lab.name, "summary": summary(results), "checks": [_row(result) for result in results]}


def _row(result: CheckResult) -> CheckRow:
    return {
        "kind": result.kind.value,
        "node": result.node,
        "target": result.target,
        "network": result.network,
        "address": result.address,
        "device": result.device,
        "status": result.status.value,
        "detail": result.detail,
        "rtt_ms": result.rtt_ms,
        "elapsed_s": round(result.elapsed_s, 3),
        "command": result.command,
        "output": result.output,
    }


def to_junit(lab: Lab, results: Sequence[CheckResult]) -> str:
    """Give the report as JUnit XML: one test case per check, grouped by kind."""
    counts = summary(results)
    suite = ET.Element("testsuite")
    suite.attrib |= {
        "name": _clean(f"stacklab.{lab.name}"),
        "tests": str(counts["total"]),
        "failures": str(counts["failed"]),
        "errors": str(counts["error"]),
        "skipped": "0",
        "time": f"{sum(result.elapsed_s for result in results):.3f}",
    }
    for result in results:
        suite.append(_case(lab, result))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _case(lab: Lab, result: CheckResult) -> ET.Element:
    case = ET.Element("testcase")
    case.attrib |= {
        "classname": _clean(f"{lab.name}.{result.kind}"),
        "name": _clean(result.check.title),
        "time": f"{result.elapsed_s:.3f}",
    }
    if not result.is_passed:
        tag = "failure" if result.status is CheckStatus.FAILED else "error"
        problem = ET.SubElement(case, tag, message=_clean(result.detail), type=result.kind.value)
        problem.text = _clean(f"{result.check.title}: {result.detail}\n$ {result.command}\n{result.output}")
    if result.output:
        ET.SubElement(case, "system-out").text = _clean(result.output)
    return case


def _clean(text: str) -> str:
    return _NOT_XML.sub("", text)


def rows(results: Iterable[CheckResult]) -> tuple[tuple[str, ...], ...]:
    """One row per check: kind, node, target, network, address, status, detail."""
    return tuple((r.kind.value, r.node, r.target, r.network, r.address, r.status.value, r.detail) for r in results)


def matrix(lab: Lab, results: Iterable[CheckResult]) -> tuple[Matrix, ...]:
    """Per network, who reaches whom by ping, and how slowly at worst."""
    found = {(r.network, r.node, r.target): r for r in results if r.kind is CheckKind.PING}
    matrices = []
    for network in lab.networks:
        names = tuple(node.name for node, _ in lab.members(network.name))
        lines = tuple(
            (source, *(_cell(source, target, found.get((network.name, source, target))) for target in names))
            for source in names
        )
        matrices.append(Matrix(network=network.name, cidr=str(network.cidr), header=("from", *names), rows=lines))
    return tuple(matrices)


def _cell(source: str, target: str, result: CheckResult | None) -> str:
    if source == target:
        return "-"
    if result is None:
        return ""
    if result.is_passed:
        return f"{result.rtt_ms:.1f} ms"
    if result.status is CheckStatus.ERROR:
        return "?"
    return "lost" if result.rtt_ms is None else f"{result.rtt_ms:.1f} ms, some lost"
