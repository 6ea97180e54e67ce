"""Whole files: a folder per rule with what breaks it and what is said, and files without fault.

A folder holds answer files as they would lie somewhere. Beside them there may be:
  lab.yaml       a spec: the files are its nodes', each in a directory of the node's name
  case.json      {"release": NAME, "paths": [PATH, ...] to lint too,
                  "sizes": {PATH: BYTES} to make first}
  expected.txt   the findings, one per line
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from stacklab import spec
from stacklab.installers import linting as lint
from stacklab.installers import rendering as answers
from stacklab.model.lab import Lab
from stacklab.paths.project import PROJECT

HERE = Path(__file__).parent
BAD = sorted(path for path in (HERE / "bad").iterdir() if path.is_dir())
GOOD = sorted(path for path in (HERE / "good").iterdir() if path.is_dir())
RENDERED = sorted(path for path in (HERE.parent / "specs" / "answers").iterdir() if path.is_dir())
LABS = sorted((PROJECT / "labs").glob("*.yaml"))
OWN = frozenset({"expected.txt", "case.json", "lab.yaml"})
SECRET = "Leak"  # every password in these folders begins with it, however it goes on

Compare = Callable[[Path, str], None]


def findings(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[lint.Finding, ...]:
    """Lint a copy of a folder, so that names in messages are the same everywhere."""
    copy = tmp_path / "case"
    shutil.copytree(folder, copy)
    monkeypatch.chdir(copy)
    case = json.loads((copy / "case.json").read_text()) if (copy / "case.json").is_file() else {}
    for name, size in case.get("sizes", {}).items():
        with Path(name).open("wb") as file:
            file.truncate(size)
    files = sorted(
        path.relative_to(copy)
        for path in copy.rglob("*")
        if path.is_file() and path.name not in OWN
    )
    if Path("lab.yaml").is_file():
        return lint.lint_lab(_lab(), _rendered(files))
    return lint.lint_files(
        [*files, *map(Path, case.get("paths", []))], release=case.get("release", "")
    )


def _lab() -> Lab:
    return spec.load(Path("lab.yaml"))


def _rendered(files: list[Path]) -> dict[str, dict[PurePosixPath, str]]:
    rendered: dict[str, dict[PurePosixPath, str]] = {}
    for path in files:
        node, *rest = path.parts
        rendered.setdefault(node, {})[PurePosixPath("/opt/stack", *rest)] = path.read_text()
    return rendered


@pytest.mark.parametrize("folder", BAD, ids=lambda path: path.name)
def test_a_bad_file_is_told_what_will_happen(
    folder: Path, compare: Compare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = findings(folder, tmp_path, monkeypatch)
    compare(folder / "expected.txt", "".join(f"{each}\n" for each in found))


@pytest.mark.parametrize("folder", BAD, ids=lambda path: path.name)
def test_a_finding_is_one_line_with_a_fix_and_without_a_secret(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in findings(folder, tmp_path, monkeypatch):
        assert "\n" not in str(each)
        assert each.fix
        assert each.effect
        assert SECRET not in str(each)


@pytest.mark.parametrize("folder", BAD, ids=lambda path: path.name)
def test_a_folder_shows_its_rule_and_only_few_others(folder: Path) -> None:
    told = [line.split(": ")[1] for line in (folder / "expected.txt").read_text().splitlines()]
    assert folder.name in told, f"{folder.name}/expected.txt says {told}"
    assert len(set(told) - {folder.name}) <= 2, (
        f"{folder.name} shows {sorted(set(told))}: keep it to one rule"
    )


@pytest.mark.parametrize("rule", lint.RULES, ids=lambda rule: rule.id)
def test_every_rule_has_a_folder(rule: lint.Rule) -> None:
    assert (HERE / "bad" / rule.id).is_dir(), (
        f"tests/lint/bad/{rule.id}/ is missing: a file that breaks the rule"
    )


def test_every_folder_is_a_rules() -> None:
    assert {path.name for path in BAD} <= {rule.id for rule in lint.RULES}


def test_rules_have_ids_of_their_own_and_say_where_they_are_from() -> None:
    assert len({rule.id for rule in lint.RULES}) == len(lint.RULES) >= 40
    for rule in lint.RULES:
        assert rule.id == rule.id.lower()
        assert rule.title
        assert rule.source


@pytest.mark.parametrize("folder", GOOD, ids=lambda path: path.name)
def test_nothing_is_said_of_a_good_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [str(each) for each in findings(folder, tmp_path, monkeypatch)] == []


@pytest.mark.parametrize("folder", RENDERED, ids=lambda path: path.name)
def test_nothing_is_said_of_what_we_render(folder: Path) -> None:
    names = ("localrc", "local.conf", "answers.txt", "globals.yml", "multinode", "instances.yaml")
    # Of a cloud from Debian's packages.
    names += ("nova.conf", "neutron.conf", "ml2_conf.ini", "keystone.conf")
    named = [path for path in sorted(folder.rglob("*")) if path.name in names]
    lab = PROJECT / "labs" / f"{folder.name}.yaml"
    release = spec.load(lab).stack.release if lab.is_file() else ""
    assert named
    assert [str(each) for each in lint.lint_files(named, release=release)] == []


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_nothing_is_said_of_a_lab_of_the_project(path: Path) -> None:
    lab = spec.load(path)
    assert [str(each) for each in lint.lint_lab(lab, answers.preview(lab))] == []
