"""Programs that go to a node in one piece."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from stacklab import drivers
from stacklab.nodes import programs

NAMES = sorted(
    path.stem for path in Path(drivers.__file__).parent.glob("*.py") if path.stem.endswith("_node")
)


def defined(tree: ast.Module) -> list[str]:
    """Return the names that a module's own statements define, without imports."""
    names = []
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            names.append(statement.name)
        elif isinstance(statement, ast.Assign):
            names += [target.id for target in statement.targets if isinstance(target, ast.Name)]
    return names


@pytest.mark.parametrize("name", NAMES)
def test_a_program_brings_what_it_imports(name: str) -> None:
    tree = ast.parse(programs.source_of(name))
    for statement in ast.walk(tree):
        if isinstance(statement, ast.ImportFrom):
            assert not (statement.module or "").startswith("stacklab"), statement.module


@pytest.mark.parametrize("name", NAMES)
def test_no_name_in_one_piece_means_two_things(name: str) -> None:
    counts = Counter(defined(ast.parse(programs.source_of(name))))
    assert [word for word, count in counts.items() if count > 1] == []
