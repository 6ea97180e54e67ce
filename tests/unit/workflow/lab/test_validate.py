from __future__ import annotations

from pathlib import Path

import pytest

from stacklab.errors import Problem, SpecError
from stacklab.model.lab import Lab
from stacklab.model.stack import SecretSource
from stacklab.workflow.lab import validate
from tests.unit.checks.fake_lab import make_lab
from tests.unit.installers.contrail.labs import make_lab as make_contrail
from tests.unit.installers.kit.test_host import with_stack


def fake_load(path: Path) -> Lab:
    if path.stem.startswith("bad"):
        raise SpecError([Problem(path.name, line, 1, "nodes", "wrong") for line in (2, 1)])
    return make_lab(name=path.stem)


def test_good_files_are_all_loaded() -> None:
    labs = validate.all_of([Path("b.yaml"), Path("a.yaml")], fake_load)
    assert [lab.name for lab in labs] == ["b", "a"]


def test_every_problem_of_every_file_is_told_at_once_in_order() -> None:
    with pytest.raises(SpecError) as caught:
        validate.all_of([Path("bad2.yaml"), Path("a.yaml"), Path("bad1.yaml")], fake_load)
    assert [(problem.file, problem.line) for problem in caught.value.problems] == [
        ("bad1.yaml", 1),
        ("bad1.yaml", 2),
        ("bad2.yaml", 1),
        ("bad2.yaml", 2),
    ]
    assert caught.value.hint == "correct them, then ./invoke lab.validate again"


def test_no_file_is_no_lab() -> None:
    assert validate.all_of([], fake_load) == ()


def test_what_only_rendering_refuses_is_told_too_at_the_stack(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("# a lab\nimage: x\nstack:\n  installer: contrail\n")
    source = SecretSource(name="admin_pasword", env="MINE")
    lab = with_stack(make_contrail(), secrets=(source,))
    with pytest.raises(SpecError) as caught:
        validate.all_of([path], lambda _path: lab)
    (problem,) = caught.value.problems
    assert (problem.line, problem.wrong) == (
        3,
        "stack.secrets: contrail does not ask for 'admin_pasword'",
    )
    assert "admin_password" in problem.right
