"""The files of lab.check, and how it ends when one of them can't be written."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from stacklab.checks.result import CheckResult, CheckStatus
from stacklab.errors import CheckFailed, CheckWarned, LabError
from stacklab.views.checks.run import Reports
from tests.unit.views.fake_results import of_each_kind, ran

TOTAL = len(ran().results)


def test_reports_are_written_where_they_were_asked_for(tmp_path: Path) -> None:
    paths = {name: str(tmp_path / "new" / name) for name in ("json", "junit", "html")}
    Reports(**paths).write(ran())
    assert json.loads(Path(paths["json"]).read_text())["lab"] == "trio"
    assert "<testsuite " in Path(paths["junit"]).read_text()
    assert Path(paths["html"]).read_text().startswith("<!doctype html>")


def test_reports_that_nobody_asked_for_are_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    reports = Reports()
    reports.check_writable()
    reports.conclude(ran())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["json", "junit", "html"])
def test_a_report_that_can_not_be_written_is_told_before_and_after(
    tmp_path: Path, kind: str
) -> None:
    reports = Reports(**{kind: str(tmp_path)})
    with pytest.raises(LabError, match="is a directory"):
        reports.check_writable()
    with pytest.raises(LabError) as caught:
        reports.write(ran())
    assert caught.value.message == f"{tmp_path}: Is a directory"
    assert list(tmp_path.iterdir()) == []


def test_one_that_can_not_be_written_keeps_no_other_from_it(tmp_path: Path) -> None:
    reports = Reports(json=str(tmp_path), junit="/dev/full", html=str(tmp_path / "page.html"))
    with pytest.raises(LabError) as caught:
        reports.write(ran())
    assert caught.value.message == f"{tmp_path}: Is a directory\n/dev/full: No space left on device"
    assert (tmp_path / "page.html").exists()


def test_failed_checks_are_told_by_the_exit_code_be_the_report_written_or_not(
    tmp_path: Path,
) -> None:
    with pytest.raises(CheckFailed) as caught:
        Reports(json=str(tmp_path)).conclude(ran(spoil=of_each_kind))
    assert caught.value.exit_code == 5
    assert caught.value.message == f"7 of {TOTAL} checks did not pass\n{tmp_path}: Is a directory"
    with pytest.raises(CheckFailed) as caught:
        Reports(json=str(tmp_path / "r")).conclude(ran(spoil=of_each_kind))
    assert caught.value.message == f"7 of {TOTAL} checks did not pass"


def test_warnings_end_a_strict_run_alone() -> None:
    def warned(result: CheckResult) -> CheckResult:
        return dataclasses.replace(result, status=CheckStatus.WARNED)

    Reports().conclude(ran(spoil=warned))
    with pytest.raises(CheckWarned):
        Reports().conclude(dataclasses.replace(ran(spoil=warned), is_strict=True))


def test_a_healthy_lab_whose_report_is_not_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="Is a directory") as caught:
        Reports(json=str(tmp_path)).conclude(ran())
    assert caught.value.exit_code == 1
