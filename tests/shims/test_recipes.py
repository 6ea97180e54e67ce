"""ARCHITECTURE.md's recipes, followed to the letter in a copy of the project.

Each recipe lists its files. The test adds a fake installer, provider and layer of checks to a
copy, compares what it had to touch with that list, and uses what it added.
"""

from __future__ import annotations

import filecmp
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stacklab.paths.project import PROJECT

TESTS = PROJECT / "tests"
_ROW = re.compile(r"^    (new|line) +(\S+)", re.MULTILINE)
_IGNORED = shutil.ignore_patterns("__pycache__")


def recipe(title: str) -> set[tuple[str, str]]:
    """The rows of a recipe: new or line, and the file."""
    text = (PROJECT / "ARCHITECTURE.md").read_text()
    _, _, section = text.partition(f"### {title}\n")
    assert section, f"ARCHITECTURE.md has no recipe for {title!r}"
    section = section.partition("\n### ")[0].partition("\n## ")[0]
    rows = {(found[1], found[2]) for found in _ROW.finditer(section)}
    assert rows, f"the recipe for {title!r} lists no files"
    return rows


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of all that is needed to run a task."""
    for name in ("stacklab", "localrc", "packer", "labs"):
        shutil.copytree(PROJECT / name, tmp_path / name, ignore=_IGNORED)
    shutil.copy(PROJECT / "tasks.py", tmp_path / "tasks.py")
    return tmp_path


def touched(copy: Path) -> set[tuple[str, str]]:
    """What the copy has that the project has not, and what differs."""
    rows = set()
    for path in (copy / "stacklab").rglob("*"):
        name = path.relative_to(copy)
        if path.is_dir() or "__pycache__" in path.parts:
            continue
        if not (PROJECT / name).exists():
            rows.add(("new", str(name)))
        elif not filecmp.cmp(path, PROJECT / name, shallow=False):
            rows.add(("line", str(name)))
    return rows


def insert(file: Path, after: str, line: str) -> None:
    """Add a line behind each line that begins so."""
    lines = file.read_text().split("\n")
    places = [number for number, text in enumerate(lines) if text.startswith(after)]
    assert places, f"no line of {file.name} begins with {after!r}"
    for number in reversed(places):
        lines.insert(number + 1, line)
    file.write_text("\n".join(lines))


def run(copy: Path, *argv: str) -> str:
    environment = {
        **os.environ,
        "PYTHONPATH": str(copy),
        "STACKLAB_HOME": str(copy / "home"),
        "COLUMNS": "200",
    }
    done = subprocess.run(
        (sys.executable, *argv),
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_installer(copy: Path) -> None:
    shutil.copytree(
        TESTS / "kits" / "fake", copy / "stacklab" / "installers" / "fake", ignore=_IGNORED
    )
    insert(copy / "stacklab" / "model" / "stack.py", "    KOLLA = ", '    FAKE = "fake"')
    assert touched(copy) == {
        (how, name.replace("WORD", "fake")) for how, name in recipe("An installer")
    }
    assert "fake" in run(copy, "-m", "invoke", "answers.releases", "fake")
    # tests/shims/test_kits.py renders, lints, plans and checks with it.


def test_a_provider(copy: Path) -> None:
    folder = copy / "stacklab" / "providers" / "tin"
    folder.mkdir()
    (folder / "__init__.py").write_text('"""Nodes of tin."""\n')
    shutil.copy(TESTS / "unit" / "providers" / "fake" / "tin.py", folder / "kind.py")
    insert(
        copy / "stacklab" / "providers" / "registry.py",
        "PROVIDERS: dict[str, str] = {",
        '    "tin": "stacklab.providers.tin.kind:KIND",',
    )
    assert touched(copy) == {
        (how, name.replace("WORD", "tin")) for how, name in recipe("A provider")
    }
    code = """\
from pathlib import Path
from stacklab import record, spec
from stacklab.paths import HostPaths
from stacklab.providers import registry

lab = spec.load(Path("labs/mini-2node.yaml"))
paths = HostPaths.default().lab(lab.name)
made = registry.new_record(lab, paths, image="x", passed_over={}, now=0.0, provider="tin")
record.write(paths, made)
print(registry.read(paths).provider)
"""
    assert run(copy, "-c", code) == "tin\n"
    # tests/unit/providers brings a lab up with it.


def test_a_layer_of_checks(copy: Path) -> None:
    folder = copy / "stacklab" / "checks" / "greeting"
    folder.mkdir()
    (folder / "__init__.py").write_text('"""Nodes greet."""\n')
    shutil.copy(TESTS / "recipes" / "greeting_family.py", folder / "family.py")
    kinds = copy / "stacklab" / "checks" / "kinds.py"
    insert(kinds, '    CLOUD = "cloud"', '    GREETING = "greeting"')
    insert(
        kinds,
        "TRAITS: dict[CheckKind, Traits] = {",
        "    CheckKind.GREETING: Traits(layer=Layer.GREETING),",
    )
    plan = copy / "stacklab" / "checks" / "plan.py"
    insert(
        plan,
        "from stacklab.checks.families import",
        "from stacklab.checks.greeting import family as greeting",
    )
    insert(plan, "FAMILIES = Families(", "    greeting.FAMILY,")
    insert(copy / "stacklab" / "cli" / "tab" / "candidates.py", "LAYERS = (", '    "greeting",')
    assert touched(copy) == {
        (how, name.replace("WORD", "greeting")) for how, name in recipe("A layer of checks")
    }
    code = """\
from pathlib import Path
from stacklab import spec
from stacklab.checks import plan
from stacklab.checks.asking.mesh import Mesh
from stacklab.checks.result import Layer, Selection
from stacklab.dev.simulated.simulate import SimulatedNodes
from stacklab.paths import HostPaths

lab = spec.load(Path("labs/mini-2node.yaml"))
checks = plan.expected(lab, Selection(layers=frozenset({Layer.GREETING})))
mesh = Mesh(
    families=plan.FAMILIES,
    lab=lab,
    paths=HostPaths.default().lab(lab.name),
    runner=SimulatedNodes(lab),
)
print([f"{result.check.title} {result.status}" for result in mesh.check(checks)])
"""
    said = run(copy, "-c", code)
    assert "node1: greeting passed" in said
    assert "node2: greeting passed" in said
