"""The report of a run of checks as JUnit XML, written piece by piece, for CI systems."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape, quoteattr

from stacklab.checks import report
from stacklab.checks.result import CheckResult, CheckStatus, Layer
from stacklab.model.lab import Lab


def junit_parts(ran: report.CheckRun) -> Iterator[str]:
    """Yield the report as JUnit XML: a suite per layer, a test case per check.

    Valid by the schema of Jenkins' xUnit plug-in, and but for the totals and the cases'
    system-out by that of Ant: hence the empty elements, and `localhost`.
    """
    counts = report.summary(ran.results)
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    totals = f'tests="{counts["total"]}" failures="{counts["failed"]}" errors="{counts["error"]}"'
    whole = _quoted_attribute(f"stacklab.{ran.lab.name}")
    yield f'<testsuites name={whole} {totals} time="{ran.elapsed_s:.3f}">\n'
    for number, (layer, of_layer) in enumerate(report.by_layer(ran.results).items()):
        results = [result for result in ran.results if result.check.kind.layer is layer]
        yield _suite_head(ran, number, layer, of_layer, results)
        for result in results:
            yield _test_case(ran.lab, result)
        yield "<system-out/>\n<system-err/>\n</testsuite>\n"
    yield "</testsuites>\n"


def _suite_head(
    ran: report.CheckRun,
    number: int,
    layer: Layer,
    counts: report.Counts,
    results: Sequence[CheckResult],
) -> str:
    """Return the beginning of a layer's suite."""
    package = _quoted_attribute(ran.lab.name)
    name = _quoted_attribute(f"{ran.lab.name}.{layer}")
    timestamp = report.stamp(ran.started_at, "%Y-%m-%dT%H:%M:%S")  # the schema's, without a zone
    seconds = sum(result.elapsed_s for result in results)
    return (
        f'<testsuite name={name} package={package} id="{number}" hostname="localhost"'
        f' timestamp="{timestamp}" tests="{counts["total"]}"'
        f' failures="{counts["failed"]}" errors="{counts["error"]}" skipped="0"'
        f' time="{seconds:.3f}">\n<properties/>\n'
    )


def _test_case(lab: Lab, result: CheckResult) -> str:
    """Return a check as a test case; what passed with a warning says so in its system-out."""
    check = result.check
    classname = _quoted_attribute(f"{lab.name}.{check.kind.layer}.{check.kind}")
    title = _quoted_attribute(check.title)
    head = f'<testcase classname={classname} name={title} time="{result.elapsed_s:.3f}"'
    if result.status is CheckStatus.PASSED:
        return f"{head}/>\n"
    command = f"$ {result.command}" if result.command else ""
    details = "\n".join(filter(None, [command, result.output, result.evidence]))
    whole = f"{check.title}: {result.sentence}\n{details}"
    if result.status is CheckStatus.WARNED:
        warning = escape(report.clean(f"warning: {whole}"))
        return f"{head}>\n<system-out>{warning}</system-out>\n</testcase>\n"
    tag = "failure" if result.status is CheckStatus.FAILED else "error"
    # The message is all that many readers show, and group by.
    message = result.sentence
    if result.cause is not None and not result.is_cause_in_sentence:
        message += f" (cause: {result.cause})"
    text = escape(report.clean(whole))
    body = f'<{tag} message={_quoted_attribute(message)} type="{check.kind}">{text}</{tag}>\n'
    if details:
        body += f"<system-out>{escape(report.clean(details))}</system-out>\n"
    return f"{head}>\n{body}</testcase>\n"


def _quoted_attribute(text: str) -> str:
    # Also \r and \t as references: a parser makes blanks of the bare ones.
    return quoteattr(report.clean(text), {"\r": "&#13;", "\t": "&#9;", "\n": "&#10;"})
