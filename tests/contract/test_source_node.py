"""The program that puts a project's source before its package's code, with a systemctl of ours."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.contract.units_of_a_node import make_node, run_program

COMPUTE = "stacklab-nova-compute.service"
KEYSTONE = "stacklab-keystone.service"


@pytest.fixture
def node(tmp_path: Path) -> Path:
    return make_node(tmp_path)


def run(node: Path, *words: str) -> tuple[list[Mapping[str, object]], int]:
    return run_program("source_node", node, "--limit", "0", *words)


def tree(node: Path) -> Path:
    return node / "opt" / "stacklab-source" / "nova"


def drop_in(node: Path, unit: str) -> Path:
    return node / "etc/systemd/system" / f"{unit}.d" / "stacklab-code.conf"


def restarts(node: Path) -> list[str]:
    calls = (node / "calls").read_text().splitlines()
    return [call for call in calls if call.startswith("restart")]


def test_units_import_the_tree_and_are_restarted_once(node: Path) -> None:
    for _ in range(2):
        _, code = run(node, "use", "nova", "--", COMPUTE)
        assert code == 0
    assert f'"PYTHONPATH={tree(node)}"' in drop_in(node, COMPUTE).read_text()
    assert restarts(node) == [f"restart --no-block {COMPUTE}"]


def test_a_path_that_a_unit_has_already_stays_behind_the_tree(node: Path) -> None:
    units = json.loads((node / "units.json").read_text())
    for unit in units:
        unit["Environment"] = f"A=b PYTHONPATH=/opt/mine:{tree(node)}"
    (node / "units.json").write_text(json.dumps(units))
    run(node, "use", "nova", "--", COMPUTE)
    assert f'"PYTHONPATH={tree(node)}:/opt/mine"' in drop_in(node, COMPUTE).read_text()


def test_a_unit_under_a_debugger_is_left_alone(node: Path) -> None:
    run_program("debug_node", node, "attach", COMPUTE, "--limit", "0")
    lines, code = run(node, "use", "nova", "--", COMPUTE)
    assert code == 1
    assert lines[-1]["failed"] == f"{COMPUTE} is under a debugger: debug.detach first"
    assert not drop_in(node, COMPUTE).exists()


def test_the_package_is_back_and_the_tree_is_gone(node: Path) -> None:
    tree(node).mkdir(parents=True)
    run(node, "use", "nova", "--", COMPUTE)
    run(node, "revert", "nova", "--", COMPUTE, KEYSTONE)
    assert not drop_in(node, COMPUTE).parent.exists()
    assert not tree(node).exists()
    # One that never had it goes on as it is.
    assert restarts(node)[-1] == f"restart --no-block {COMPUTE}"


def test_files_are_compiled_whatever_is_wrong_with_one(node: Path) -> None:
    package = tree(node) / "nova"
    package.mkdir(parents=True)
    (package / "good.py").write_text("x = 1\n")
    (package / "bad.py").write_text("x = = 1\n")
    lines, code = run(node, "prepare", "nova", "--", "nova/good.py", "nova/bad.py", "nova/x.txt")
    assert code == 0
    (broken,) = [str(line["broken"]) for line in lines]
    assert broken.startswith("nova/bad.py: ")
    assert "SyntaxError" in broken
    compiled = [path.name for path in (package / "__pycache__").iterdir()]
    assert len(compiled) == 1
    run(node, "remove", "nova", "--", "nova/good.py", "nova/never-there.py")
    assert not (package / "good.py").exists()
    assert list((package / "__pycache__").iterdir()) == []


def test_an_older_file_does_not_stay_when_the_new_one_cannot_be_compiled(node: Path) -> None:
    package = tree(node) / "nova"
    package.mkdir(parents=True)
    for text in ("x = (1)\n", "x = [1)\n"):
        (package / "a.py").write_text(text)
        os.utime(package / "a.py", (1, 1))
        run(node, "prepare", "nova", "--", "nova/a.py")
    assert list((package / "__pycache__").iterdir()) == []


def test_what_each_unit_imports_is_looked_up_with_its_own_python(node: Path) -> None:
    lines, code = run(node, "look", "email", "--", COMPUTE)
    assert code == 0
    (line,) = lines
    assert line["unit"] == COMPUTE
    assert str(line["path"]).startswith(sys.base_prefix)
    assert line["is_ours"] is False
