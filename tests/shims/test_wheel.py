"""The wheel: what the checkout has travels in it, and the tasks work in a clean venv."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from stacklab.images import catalogue, store
from stacklab.paths.project import PROJECT

# What a build reads; the rest of the checkout is left alone, since a build writes beside it.
_SOURCES = ("labs", "localrc", "packer", "vagrant", "requirements", "stacklab")
_FILES = ("pyproject.toml", "README.md", "tasks.py")
TASKS_PY = """\
from invoke import task
from stacklab.tasks import namespace

@task
def hello(c):
    print("hello from a task of mine")

namespace.add_task(hello)
"""


@dataclass(frozen=True)
class Installed:
    """A venv with the wheel, and an empty directory to work in."""

    wheel: Path
    venv: Path
    directory: Path

    def run(self, program: str, *words: str, **more: str) -> str:
        """Run a program of the venv in the directory, which has to succeed; return its stdout."""
        done = subprocess.run(
            [self.venv / "bin" / program, *words],
            cwd=self.directory,
            env={**_environment(), "STACKLAB_HOME": str(self.directory / "home"), **more},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def _environment() -> dict[str, str]:
    """Our environment without what would let the venv see this checkout."""
    return {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}


def pip(*words: str, cwd: Path) -> None:
    """Run our venv's pip, which must not ask an index."""
    pip_words = ("-m", "pip", "-q", "--disable-pip-version-check", *words)
    subprocess.run([sys.executable, *pip_words, "--no-index", "--no-deps"], cwd=cwd, check=True)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Build the wheel from a copy, and install it into a venv whose dependencies are ours."""
    root = tmp_path_factory.mktemp("wheel")
    sources, venv, directory = root / "sources", root / "venv", root / "work"
    directory.mkdir()
    without_caches = shutil.ignore_patterns("__pycache__")
    for name in _SOURCES:
        shutil.copytree(PROJECT / name, sources / name, ignore=without_caches)
    for name in _FILES:
        shutil.copy(PROJECT / name, sources / name)
    pip("wheel", "--no-build-isolation", "-w", str(root), str(sources), cwd=root)
    (wheel,) = root.glob("*.whl")
    shutil.rmtree(sources)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    # What a .pth file names has its own .pth files ignored: that of this checkout, too.
    (site,) = venv.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip("--python", str(venv / "bin" / "python"), "install", str(wheel), cwd=root)
    return Installed(wheel=wheel, venv=venv, directory=directory)


def test_all_files_that_are_not_python_travel_in_the_wheel(installed: Installed) -> None:
    packed = set(zipfile.ZipFile(installed.wheel).namelist())
    for name in ("labs", "localrc", "packer", "vagrant"):
        for path in (PROJECT / name).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert f"stacklab/data/{path.relative_to(PROJECT)}" in packed
    ours = {".md", ".py", ".pyc"}
    for path in (PROJECT / "stacklab").rglob("*"):
        if path.is_file() and path.suffix not in ours:
            assert str(path.relative_to(PROJECT)) in packed


def test_the_program_has_the_tasks_and_reads_what_travelled(installed: Installed) -> None:
    tasks = installed.run("stacklab", "-l")
    assert "lab.up" in tasks
    assert "bench.up" not in tasks, "it needs the checkout"
    assert "mini-2node" in installed.run("stacklab", "lab.list")
    assert "192.168.151.0/24" in installed.run("stacklab", "lab.show", "mini-2node")
    count = len(list((PROJECT / "labs").glob("*.yaml")))
    assert installed.run("stacklab", "lab.validate") == f"{count} labs valid\n"
    rendered = installed.run("stacklab", "answers.render", "contrail-3node", "--node", "compute1")
    assert "ADMIN_PASSWORD" in rendered


def test_an_error_names_the_program_that_was_typed(installed: Installed) -> None:
    done = subprocess.run(
        [installed.venv / "bin" / "stacklab", "lab.show", "mini-3node"],
        cwd=installed.directory,
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "did you mean mini-2node" in done.stderr
    assert "next: stacklab lab.list" in done.stderr


@pytest.mark.parametrize(
    ("program", "typed"),
    [
        (("stacklab",), "stacklab"),
        (("python", "-m", "invoke"), "invoke"),
        (("python", "-m", "invoke", "-c", "mine"), "invoke -c mine"),
    ],
)
def test_tables_and_help_name_what_was_typed(
    installed: Installed, program: tuple[str, ...], typed: str
) -> None:
    directory = installed.directory / typed.replace(" ", "")
    directory.mkdir()
    for name in ("tasks", "mine"):
        (directory / f"{name}.py").write_text("from stacklab.tasks import namespace\n")
    here = dataclasses.replace(installed, directory=directory)
    made = here.run(*program, "lab.new", "mine2", STACKLAB_LABS=str(directory))
    assert f"{typed} lab.up mine2" in made
    help_text = here.run(*program, "--help", "lab.exec")
    assert f"{typed} lab.exec LAB -- uptime" in " ".join(help_text.split())
    assert "./invoke" not in made + help_text


def test_a_lab_of_ones_own_needs_no_checkout(installed: Installed) -> None:
    mine = installed.directory / "labs"
    mine.mkdir()
    installed.run("stacklab", "lab.new", "mine", STACKLAB_LABS=str(mine))
    assert installed.run("stacklab", "lab.validate", "labs/mine.yaml") == "1 lab valid\n"
    assert "mine" in installed.run("stacklab", "lab.list", STACKLAB_LABS=str(mine))


@pytest.mark.parametrize("words", [("-l",), ("-c", "tasks", "-l")])
def test_a_tasks_py_of_ones_own_has_the_tasks_too(
    installed: Installed, words: tuple[str, ...]
) -> None:
    (installed.directory / "tasks.py").write_text(TASKS_PY)
    listed = installed.run("python", "-m", "invoke", *words)
    assert "hello" in listed
    assert "lab.up" in listed
    assert "a task of mine" in installed.run("python", "-m", "invoke", "hello")
    assert "mini-2node" in installed.run("python", "-m", "invoke", "lab.list")


def test_an_image_has_the_address_that_it_has_in_a_checkout(installed: Installed) -> None:
    script = (
        "from stacklab.paths import project; from stacklab.images import catalogue, store;"
        "assert not project.IS_CHECKOUT;"
        "print(*sorted(store.address(image) for image in catalogue.load().values()))"
    )
    ours = sorted(store.address(image) for image in catalogue.load().values())
    assert installed.run("python", "-c", script).split() == ours


def test_every_path_that_the_package_names_is_there(installed: Installed) -> None:
    """Each module is imported: most read their tables and scripts by a constant's path."""
    script = """\
import importlib, pkgutil, sys
from pathlib import Path
import stacklab
left_out = ("stacklab.dev", "stacklab.drivers", "stacklab.pytest", "stacklab.cli.dev")
for module in pkgutil.walk_packages(stacklab.__path__, "stacklab."):
    if module.name.startswith(left_out):
        continue
    loaded = importlib.import_module(module.name)
    for name, value in vars(loaded).items():
        if isinstance(value, Path) and "site-packages/stacklab" in str(value):
            print(module.name, name, value, value.exists())
"""
    lines = installed.run("python", "-c", script).splitlines()
    assert len(lines) > 10
    assert not [line for line in lines if line.endswith(" False")]
