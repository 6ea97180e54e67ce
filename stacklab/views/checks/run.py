"""Views of a check run: tables on the terminal; JSON, JUnit and a page as files."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Group

from stacklab.checks.outcome import Outcome, raise_for_checks
from stacklab.checks.report_json import json_parts
from stacklab.checks.report_junit import junit_parts
from stacklab.checks.result import Check, CheckResult
from stacklab.errors import LabError
from stacklab.foreign import printable
from stacklab.model.lab import Lab
from stacklab.views import saving, tables
from stacklab.views.checks import matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """Files that were asked for; "" for none."""

    json: str = ""
    junit: str = ""
    html: str = ""

    def check_writable(self) -> None:
        """Make sure, before the checks run, that all can be written; raises LabError otherwise."""
        saving.check_writable((self.json, self.junit, self.html))

    def write(self, run: Outcome) -> None:
        """Write what was asked for, as much of it as can be; raises LabError naming the rest."""
        problems: list[LabError] = []
        for path, parts_of in (
            (self.json, json_parts),
            (self.junit, junit_parts),
            (self.html, _page_parts),
        ):
            if not path:
                continue
            try:
                saving.save(path, parts_of(run))
            except LabError as error:
                problems.append(error)  # the others may still be written
        if problems:
            message = "\n".join(error.message for error in problems)
            raise LabError(message, hint=problems[0].hint)

    def conclude(self, run: Outcome) -> None:
        """Write the reports, then raise how the checks came out, be a report written or not.

        In a line, since `outcome_groups` has shown what did not pass.
        """
        unwritten = ""
        try:
            self.write(run)
        except LabError as error:
            unwritten = error.message
        try:
            raise_for_checks(run.lab, run.results, is_strict=run.is_strict)
        except LabError as error:
            # The first line says how many did not pass; the others name them.
            head = error.message.partition("\n")[0].rstrip(":")
            message = f"{head}\n{unwritten}".rstrip("\n")
            raise type(error)(message, hint=error.hint) from None
        if unwritten:
            raise LabError(unwritten, hint="name a file in a directory of yours")


def _page_parts(run: Outcome) -> Iterator[str]:
    from stacklab.views.page import (
        html,  # its template engine takes as long to load as all else here
    )

    return html.page_parts(run)


def outcome_groups(run: Outcome) -> list[Group]:
    """Return who reaches whom, and what does not pass."""
    return [results_group(run.lab, run.results)]


def results_group(lab: Lab, results: Sequence[CheckResult], *, width: int | None = None) -> Group:
    """Return who reaches whom per network, the layers with counts, and whatever did not pass."""
    # A group, since a Text on its own is wrapped whatever it asks for.
    return Group(*matrix.draw_results(lab, results, width or tables.console().width))


def print_changes(rounds: Iterable[Outcome], reports: Reports = Reports()) -> None:
    """Print each round where it differs from the one before, until Ctrl-C.

    Raises LabError if reports are asked for: it never ends, so they would never be written.
    """
    if reports != Reports():
        raise LabError(
            "--watch never ends, so it can't write a report at its end",
            hint="--watch alone, or --wait 60 with a report",
        )
    for line in change_lines(rounds):
        print(line, flush=True)


def change_lines(rounds: Iterable[Outcome]) -> Iterator[str]:
    """Yield the lines of `print_changes`.

    They are a summary at first and whenever it changes, and each check that has changed.
    """
    standings: dict[Check, _Standing] = {}
    last_summary = ""
    for run in rounds:
        now = run.started_at + run.elapsed_s
        clock = time.strftime("%H:%M:%S", time.localtime(now))
        for result in run.results:
            standing = standings.get(result.check)
            if standing is not None and standing.result.status is result.status:
                continue
            # In the first round, what passes is in the summary.
            is_news = standing is not None or not result.is_passed
            if is_news:
                yield f"{clock} {_change_text(result, standing, now)}"
            standings[result.check] = _Standing(result=result, since=now)
        passed = sum(result.is_passed for result in run.results)
        summary = f"{passed} of {len(run.results)} checks passed"
        if summary != last_summary:
            last_summary = summary
            yield f"{clock} {summary}"


@dataclass(frozen=True, slots=True)
class _Standing:
    """The result of a check since a moment."""

    result: CheckResult
    since: float


def _change_text(result: CheckResult, standing: _Standing | None, now: float) -> str:
    """Write how a check came out, and how long it had come out otherwise before."""
    text = f"{result.status}: {result.check.title}: {printable(result.detail)}"
    if standing is None:
        return text
    lasted_s = now - standing.since
    return f"{text} (was {standing.result.status} for {lasted_s:.0f} s)"
