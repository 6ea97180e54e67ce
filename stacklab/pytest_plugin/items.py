"""The built-in checks as pytest items, for `pytest --lab NAME --lab-checks`.

Loaded by pytest_plugin when both options are given.
"""

from __future__ import annotations

import pickle
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import pytest

from stacklab import locks
from stacklab.checks import plan
from stacklab.checks.result import Check, CheckResult, CheckStatus, Selection
from stacklab.errors import LabError
from stacklab.foreign import printable
from stacklab.pytest_plugin.lab import LabCheckWarning, RunningLab, fail
from stacklab.workflow.check import checking

_CHECKS_LIMIT_S = 3600.0  # an xdist worker waits this long for the checks that another one runs

Outcome: TypeAlias = tuple[Mapping[Check, CheckResult], str]
"""The results by check; and "", or why the checks could not be run."""


class Checks:
    """The built-in checks as test items.

    All of them are run at once, with one ssh session per node, when the first item needs a result.
    """

    def __init__(self, config: pytest.Config, running: RunningLab, marker: str) -> None:
        self._running = running
        self.marker = marker
        self._outcome: Outcome | None = None
        # xdist workers share a directory of their controller: the first one writes the results,
        # the others read them.
        shared = getattr(config, "workerinput", {}).get("stacklab_shared")
        self._shared = Path(shared or tempfile.mkdtemp(prefix="stacklab-pytest-"))
        if not shared:
            config.add_cleanup(lambda: shutil.rmtree(self._shared, ignore_errors=True))

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: object) -> None:
        """Tell an xdist worker in which directory the results are."""
        node.workerinput["stacklab_shared"] = str(self._shared)  # type: ignore[attr-defined]

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> None:
        """Put the checks before the other tests, early enough for `-k` and `-m` to select them."""
        by_kind: dict[str, list[Check]] = {}
        for check in plan.expected(self._running.spec):
            by_kind.setdefault(check.kind.value, []).append(check)
        check_items: list[pytest.Item] = []
        for kind, checks in by_kind.items():
            collector = LabChecks.from_parent(
                session,
                name=kind,
                nodeid=f"{self._running.name}::{kind}",
                path=self._running.spec.source,
                checks=self,
                own=checks,
            )
            report = collector.ihook.pytest_make_collect_report(collector=collector)
            # Without this report pytest's "collected N items" would not count them.
            collector.ihook.pytest_collectreport(report=report)
            check_items += report.result
        items[:0] = check_items

    def result(self, session: pytest.Session, check: Check) -> CheckResult | None:
        """Return a check's result, None if it was not tried; the first call runs all checks.

        Fails the test if the checks could not be run at all.
        """
        if self._outcome is None:
            self._outcome = self._load_or_run(session)
        results, why_not_run = self._outcome
        if why_not_run:
            fail(why_not_run)
        return results.get(check)

    def _load_or_run(self, session: pytest.Session) -> Outcome:
        file = self._shared / "results"
        lock = self._shared / "lock"
        with locks.held(lock, "the checks of this test run", wait_s=_CHECKS_LIMIT_S):
            if file.exists():
                # Safe to unpickle: we wrote it, in a directory of mode 0700.
                outcome: Outcome = pickle.loads(file.read_bytes())
                return outcome
            outcome = self._run(session)
            file.write_bytes(pickle.dumps(outcome))
            return outcome

    def _run(self, session: pytest.Session) -> Outcome:
        """Run the layers of checks that are selected, and no others."""
        checks = [item.check for item in session.items if isinstance(item, LabCheck)]
        selection = Selection(layers=frozenset(check.kind.layer for check in checks))
        lab = self._running
        try:
            results = checking.check(lab.context, lab.spec, lab.paths, selection=selection)
        except LabError as error:
            return {}, str(error)
        return {result.check: result for result in results}, ""


class LabChecks(pytest.Collector):
    """Collects the checks of one kind."""

    def __init__(self, *, checks: Checks, own: Sequence[Check], **rest: object) -> None:
        super().__init__(**rest)  # type: ignore[arg-type]
        self._checks = checks
        self._own = own

    def collect(self) -> Iterator[pytest.Item]:
        """See pytest.Collector.collect."""
        for check in self._own:
            yield LabCheck.from_parent(self, name=check.title, checks=self._checks, check=check)


def _description(result: CheckResult) -> str:
    """Return a check that did not pass in the words of lab.check."""
    command = f"$ {result.command}" if result.command else ""
    parts = (
        f"{result.check.title}: {result.sentence}",
        command,
        result.output.rstrip(),
        result.evidence.rstrip(),
    )
    return printable("\n".join(filter(None, parts)), indent="")


class LabCheck(pytest.Item):
    """One check: a failed one is a failure, an unanswered one an error, a warning is pytest's."""

    def __init__(self, *, checks: Checks, check: Check, **rest: object) -> None:
        super().__init__(**rest)  # type: ignore[arg-type]
        self._checks = checks
        self.check = check
        self.extra_keyword_matches.add(check.kind.layer.value)
        self.add_marker(checks.marker)

    def setup(self) -> None:
        """Run the checks; an unanswered one fails here, which pytest counts as an error."""
        result = self._checks.result(self.session, self.check)
        if result is None:
            fail(f"{self.check.title}: was not tried")
        if result.status is CheckStatus.ERROR:
            fail(_description(result))
        if result.status is CheckStatus.WARNED:
            self.warn(LabCheckWarning(f"{self.check.title}: {result.detail}"))

    def runtest(self) -> None:
        """See pytest.Item.runtest."""
        result = self._checks.result(self.session, self.check)
        assert result is not None  # else setup() has failed
        if not result.is_passed:
            fail(_description(result))

    def reportinfo(self) -> tuple[Path, int, str]:
        """See pytest.Item.reportinfo: the place of a check is its lab's file."""
        return self.path, 0, self.name
