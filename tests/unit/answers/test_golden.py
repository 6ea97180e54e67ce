"""What is rendered today, file by file, under tests/specs/answers; review its diff.

`STACKLAB_UPDATE_ANSWERS=1 pytest tests/unit/answers/test_golden.py` rewrites it.
"""

from __future__ import annotations

import os

import pytest

from stacklab.answers import render
from stacklab.answers.write import write_tree
from stacklab.paths import PROJECT
from tests.unit.answers.labs import SECRETS, VARIANTS

GOLDEN = PROJECT / "tests" / "specs" / "answers"


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_rendered_tree_is_the_one_that_was_reviewed(variant: str) -> None:
    rendered = render(VARIANTS[variant], SECRETS)
    root = GOLDEN / variant
    if os.environ.get("STACKLAB_UPDATE_ANSWERS"):
        write_tree(rendered, root)
    found = {str(path.relative_to(root)): path.read_text() for path in sorted(root.rglob("*")) if path.is_file()}
    expected = {f"{node}{path}": text for node, files in rendered.items() for path, text in files.items()}
    assert found == dict(sorted(expected.items()))


def test_no_tree_is_left_over_from_a_variant_that_is_gone() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == set(VARIANTS)
