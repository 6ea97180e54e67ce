"""The report of a run of checks as JSON, written piece by piece: docs/check-report.md."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

from stacklab.checks import report
from stacklab.checks.explain.causes import Explained, causes
from stacklab.checks.result import CheckResult, CheckStatus
from stacklab.errors import CheckFailed, CheckWarned, NotChecked

# Of the JSON: a key that goes or changes its meaning makes a new version, a further key does not.
VERSION = 1
_EXIT_CODES = {
    CheckStatus.PASSED: 0,
    CheckStatus.WARNED: 0,  # but for a strict run
    CheckStatus.FAILED: CheckFailed.exit_code,
    CheckStatus.ERROR: NotChecked.exit_code,
}


def _exit_code(outcome: CheckStatus, *, is_strict: bool) -> int:
    """Return what lab.check ends with."""
    if is_strict and outcome is CheckStatus.WARNED:
        return CheckWarned.exit_code
    return _EXIT_CODES[outcome]


def json_parts(ran: report.CheckRun) -> Iterator[str]:
    """Yield the report as JSON, a check per line; docs/check-report.md says what is in it."""
    counts = report.summary(ran.results)
    outcome = report.verdict(counts)
    head = {
        "version": VERSION,
        "lab": ran.lab.name,
        "started_at": report.stamp(ran.started_at),
        "elapsed_s": round(ran.elapsed_s, 3),
        "verdict": outcome.value,
        "exit_code": _exit_code(outcome, is_strict=ran.is_strict),
        "summary": {**counts, "layers": report.by_layer(ran.results)},
    }
    # Without the brace that ends it: two lists follow, row by row.
    yield json.dumps(head)[:-1] + ', "causes": ['
    yield from _row_texts(map(_cause_row, causes(ran.results)))
    yield '], "checks": ['
    yield from _row_texts(map(_check_row, ran.results))
    yield "\n]}\n"


def _row_texts(rows: Iterable[Mapping[str, object]]) -> Iterator[str]:
    """Yield rows of a JSON list, each on a line of its own."""
    separator = "\n"
    for row in rows:
        # The same JSON: on stdout it may be the log of a CI system, to which ##[...] is an order.
        yield separator + json.dumps(row).replace("##", "#\\u0023")
        separator = ",\n"


def _check_row(result: CheckResult) -> dict[str, str | float | None]:
    """Return a check as the report has it; `reason` and `cause_kind` are words that stay."""
    check = result.check
    return {
        "layer": check.kind.layer.value,
        "kind": check.kind.value,
        "node": check.node,
        "target": check.target,
        "network": check.network,
        "address": check.address,
        "device": check.device,
        "subject": check.subject,
        "status": result.status.value,
        "reason": result.reason.value,
        "about": _valid_unicode(result.about),
        "detail": _valid_unicode(result.sentence),
        "rtt_ms": result.rtt_ms,
        "elapsed_s": round(result.elapsed_s, 3),
        "command": _valid_unicode(result.command),
        "output": _valid_unicode(result.output),
        "cause_kind": result.cause.kind.value if result.cause else "",
        "cause": _valid_unicode(result.cause_text),
        "evidence": _valid_unicode(result.evidence),
    }


def _cause_row(group: Explained) -> dict[str, str | int]:
    """Return a cause as the report has it, with the number of checks that it explains."""
    return {
        "kind": group.cause.kind.value,
        "cause": _valid_unicode(group.cause.text),
        "count": len(group.results),
        "scope": group.scope,
        "evidence": _valid_unicode(group.evidence),
    }


def _valid_unicode(text: str) -> str:
    """Return the text without halves of characters, which strict readers of JSON refuse."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
