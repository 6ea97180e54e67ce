"""Results of a project's own tests, for people and as JUnit XML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from rich.text import Text

from stacklab.checks import report
from stacklab.words import plural

if TYPE_CHECKING:
    from stacklab.workflow.source.testing import ProjectTest

_MOST_SHOWN = 20
_LAST_LINES = 15


def shown(tests: Sequence[ProjectTest]) -> list[Text]:
    """Return what failed, with its last words, and the counts."""
    parts: list[Text] = []
    failed = [test for test in tests if not test.is_good]
    for test in failed[:_MOST_SHOWN]:
        last_lines = test.detail.splitlines()[-_LAST_LINES:]
        parts.append(Text(f"{test.status}  {test.name}", style="red"))
        parts.append(Text("\n".join(last_lines)))
    counts: dict[str, int] = {}
    for test in tests:
        counts[test.status] = counts.get(test.status, 0) + 1
    words = ", ".join(f"{count} {status}" for status, count in counts.items())
    seconds = sum(test.seconds for test in tests)
    parts.append(Text(f"{plural(len(tests), 'test')}: {words}; {seconds:.1f} s in all"))
    return parts


def junit(suite: str, tests: Sequence[ProjectTest]) -> str:
    """Return JUnit XML: one suite, a case per test."""
    bad = sum(not test.is_good for test in tests)
    skipped = sum(test.status == "skip" for test in tests)
    root = ElementTree.Element(
        "testsuite",
        name=report.clean(suite),
        tests=str(len(tests)),
        failures=str(bad),
        errors="0",
        skipped=str(skipped),
        time=f"{sum(test.seconds for test in tests):.3f}",
    )
    for test in tests:
        # An id may end with [a, b]: its attributes.
        path, bracket, attributes = report.clean(test.name).partition("[")
        classname, _, name = path.rpartition(".")
        case = ElementTree.SubElement(
            root,
            "testcase",
            classname=classname,
            name=f"{name}{bracket}{attributes}",
            time=f"{test.seconds:.3f}",
        )
        if test.status == "skip":
            ElementTree.SubElement(case, "skipped", message=report.clean(test.detail[:200]))
        elif not test.is_good:
            failure = ElementTree.SubElement(case, "failure", message=test.status)
            failure.text = report.clean(test.detail)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(
        root, encoding="unicode"
    )
