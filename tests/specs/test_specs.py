"""Whole files: every problem of every bad one as exact text, every good one resolved."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from stacklab import spec
from stacklab.errors import SpecError
from stacklab.images import catalogue
from stacklab.model import lab_json
from stacklab.model.lab import Lab
from stacklab.paths.project import PROJECT

HERE = Path(__file__).parent
BAD = sorted((HERE / "bad").glob("*.yaml"))
GOOD = sorted((HERE / "good").glob("*.yaml"))
LABS = sorted((PROJECT / "labs").glob("*.yaml"))
KNOWN_IMAGES = ("centos-stream-9", "debian-12", "ubuntu-12.04", "ubuntu-14.04", "ubuntu-16.04")

Compare = Callable[[Path, str], None]


def load(path: Path) -> Lab:
    return spec.load(path, known_images=KNOWN_IMAGES)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_spec_tells_all_its_problems(
    path: Path, compare: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    with pytest.raises(SpecError) as caught:
        load(path)
    compare(path.with_suffix(".txt"), f"{caught.value}\n")


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_problem_is_one_line_at_a_place_that_exists(path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load(path)
    lines = path.read_text().splitlines()
    assert caught.value.problems
    for problem in caught.value.problems:
        assert "\n" not in str(problem)
        assert 1 <= problem.line <= len(lines) + 1
        if problem.line <= len(lines):
            assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_good_spec_resolves_to_what_is_recorded(path: Path, compare: Compare) -> None:
    resolved = lab_json.to_dict(load(path))
    del resolved["source"]  # where the checkout lies
    compare(path.with_suffix(".json"), json.dumps(resolved, indent=2) + "\n")


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_every_lab_of_the_project_loads(path: Path) -> None:
    lab = spec.load(path, known_images=catalogue.load())
    assert lab.name == path.stem
    assert lab.description


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_every_lab_of_the_project_teaches(path: Path) -> None:
    first, *rest = path.read_text().splitlines()
    assert first == "# yaml-language-server: $schema=./lab.schema.json"
    assert any(line.startswith("#") for line in rest)


def test_the_committed_schema_is_fresh() -> None:
    committed = (PROJECT / "labs" / "lab.schema.json").read_text()
    assert committed == spec.schema_json(), "write it anew: see schema_json() in stacklab/spec"


def test_no_expected_text_lies_there_without_its_spec() -> None:
    texts = {path.stem for path in (HERE / "bad").glob("*.txt")}
    resolved = {path.stem for path in (HERE / "good").glob("*.json")}
    assert texts == {path.stem for path in BAD}
    assert resolved == {path.stem for path in GOOD}
