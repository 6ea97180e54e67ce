"""What a check run shows and writes: tables on the terminal, JSON, JUnit, a page."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Group

from stacklab.checks import report
from stacklab.checks.result import Check, CheckResult
from stacklab.errors import LabError
from stacklab.foreign import printable
from stacklab.model.lab import Lab
from stacklab.views import matrix, tables
from stacklab.workflow.check import checking
from stacklab.workflow.check.checking import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """Files that were asked for; "" for none."""

    json: str = ""
    junit: str = ""
    html: str = ""

    def check_writable(self) -> None:
        """Make sure, before the checks run, that they can be written; raises LabError naming all that can't."""
        report.check_writable((self.json, self.junit, self.html))

    def write(self, found: Outcome) -> None:
        """Write what was asked for, as much of it as can be; raises LabError naming the rest."""
        problems = []
        for path, parts in (
            (self.json, report.json_parts),
            (self.junit, report.junit_parts),
            (self.html, _page_parts),
        ):
            try:
                if path:
                    report.save(path, parts(found))
            except LabError as error:
                problems.append(error)
        if problems:
            raise LabError("\n".join(error.message for error in problems), hint=problems[0].hint)

    def conclude(self, found: Outcome) -> None:
        """Write the reports, then raise what tells how the checks came out, be a report written or not.

        In a line, since `outcome` has shown what did not pass.
        """
        told = ""
        try:
            self.write(found)
        except LabError as error:
            told = error.message
        try:
            checking.raise_for_checks(found.lab, found.results)
        except LabError as error:
            head = error.message.partition("\n")[0].rstrip(":")
            raise type(error)(f"{head}\n{told}".rstrip("\n"), hint=error.hint) from None
        if told:
            raise LabError(told, hint="name a file in a directory of yours")


def _page_parts(found: Outcome) -> Iterator[str]:
    from stacklab.views import html  # its template engine takes as long to load as all else here

    return html.parts(found)


def outcome(found: Outcome) -> list[Group]:
    """Who reaches whom, and what does not pass."""
    return [results_group(found.lab, found.results)]


def results_group(lab: Lab, results: Sequence[CheckResult], *, width: int | None = None) -> Group:
    """Return who reaches whom per network, the layers with counts, and whatever did not pass."""
    # A group, since a Text on its own is wrapped whatever it asks for.
    return Group(*matrix.shown(lab, results, width or tables.console().width))


def watch(rounds: Iterable[Outcome], reports: Reports = Reports()) -> None:
    """Print how each round came out where it differs from the one before, until Ctrl-C; raises LabError for reports."""
    if reports != Reports():
        raise LabError(
            "--watch has no end to write a report at",
            hint="--watch alone, or --wait 60 with a report",
        )
    for line in changes(rounds):
        print(line, flush=True)


def changes(rounds: Iterable[Outcome]) -> Iterator[str]:
    """The lines of `watch`: a summary at first and whenever it changes, and each check that has changed."""
    before: dict[Check, tuple[CheckResult, float]] = {}
    summary = ""
    for found in rounds:
        now = found.started_at + found.elapsed_s
        at = time.strftime("%H:%M:%S", time.localtime(now))
        for result in found.results:
            was, since = before.get(result.check, (None, now))
            if was is None or was.status is not result.status:
                if was is not None or not result.is_passed:
                    yield f"{at} {_change_text(result, was, now - since)}"
                before[result.check] = (result, now)
        passed = sum(result.is_passed for result in found.results)
        if (words := f"{passed} of {len(found.results)} checks passed") != summary:
            summary = words
            yield f"{at} {words}"


def _change_text(result: CheckResult, was: CheckResult | None, for_s: float) -> str:
    text = f"{result.status}: {result.check.title}: {printable(result.detail)}"
    return text if was is None else f"{text} (was {was.status} for {for_s:.0f} s)"
