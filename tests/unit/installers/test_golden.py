"""What is rendered today, file by file, under tests/specs/answers; review its diff.

`STACKLAB_UPDATE_ANSWERS=1 pytest tests/unit/installers/test_golden.py` rewrites it.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Mapping

import pytest

from stacklab import spec
from stacklab.installers import linting as lint
from stacklab.installers import rendering as answers
from stacklab.installers.kit.write import write_tree
from stacklab.installers.rendering import Rendered
from stacklab.model.lab import Lab
from stacklab.model.stack import Installer
from stacklab.paths.project import PROJECT
from stacklab.views.answers import script_lines
from tests.unit.installers.contrail.labs import SECRETS, VARIANTS

GOLDEN = PROJECT / "tests" / "specs" / "answers"
STEPS = "steps.txt"
LABS = {
    path.stem: lab
    for path in sorted((PROJECT / "labs").glob("*.yaml"))
    if (lab := spec.load(path)).stack.installer is not Installer.NONE
}
ALL = {**VARIANTS, **LABS}


def secrets_of(lab: Lab) -> Mapping[str, str]:
    """The same ones on every machine; those of the hand-made labs are written down."""
    made = {
        name: hashlib.sha256(name.encode()).hexdigest()[:20] for name in answers.secret_names(lab)
    }
    made |= {
        name: str(uuid.uuid5(uuid.NAMESPACE_DNS, name)) for name in made if name.endswith("_uuid")
    }
    return {**made, **{name: value for name, value in SECRETS.items() if name in made}}


def rendered(name: str) -> Rendered:
    return answers.render(ALL[name], secrets_of(ALL[name]))


@pytest.mark.parametrize("name", ALL)
def test_the_rendered_tree_is_the_one_that_was_reviewed(name: str) -> None:
    root = GOLDEN / name
    if os.environ.get("STACKLAB_UPDATE_ANSWERS"):
        write_tree(rendered(name), root)
        (root / STEPS).write_text("\n".join(script_lines(answers.steps(ALL[name]))))
    found = {
        str(path.relative_to(root)): path.read_text()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
    expected = {
        f"{node}{path}": text
        for node, files in rendered(name).items()
        for path, text in files.items()
    }
    expected[STEPS] = "\n".join(script_lines(answers.steps(ALL[name])))
    assert found == dict(sorted(expected.items()))


@pytest.mark.parametrize("name", ALL)
def test_nothing_that_we_render_is_complained_about(name: str) -> None:
    assert [str(finding) for finding in lint.lint_lab(ALL[name], rendered(name))] == []


def test_every_installer_has_a_lab() -> None:
    assert {lab.stack.installer for lab in LABS.values()} == set(Installer) - {Installer.NONE}


def test_no_tree_is_left_over_from_a_variant_that_is_gone() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == set(ALL)
