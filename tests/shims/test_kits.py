"""A new installer is one folder and one line: followed here in a copy of the project."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stacklab.paths.project import PROJECT

FAKE = PROJECT / "tests" / "kits" / "fake"
LAB = """\
description: A fake cloud
image: debian-12
networks:
  net: {cidr: 192.168.157.0/24, mode: nat}
nodes:
  controller: {role: controller, memory: 512MiB, nics: [{network: net}]}
  compute: {role: compute, memory: 512MiB, nics: [{network: net}]}
stack: {installer: fake, network: net}
"""
ONE_LINE = '    FAKE = "fake"\n'


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with the fake's folder, one line, and a lab that asks for it."""
    copy = tmp_path_factory.mktemp("project")
    for name in ("stacklab", "localrc", "packer"):
        shutil.copytree(PROJECT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("tasks.py", "pyproject.toml"):
        shutil.copy(PROJECT / name, copy / name)
    (copy / "labs").mkdir()
    (copy / "labs" / "fake.yaml").write_text(LAB)
    shutil.copytree(
        FAKE,
        copy / "stacklab" / "installers" / "fake",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    words = copy / "stacklab" / "model" / "stack.py"
    before, last, after = words.read_text().partition('    KOLLA = "kolla"\n')
    words.write_text(before + last + ONE_LINE + after)
    return copy


def run(project: Path, *argv: str, fails: bool = False) -> str:
    """What a program says in the copy."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(project),
        "STACKLAB_HOME": str(project / "home"),
        "COLUMNS": "200",
        "NO_COLOR": "1",
    }
    done = subprocess.run(
        (sys.executable, *argv),
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert bool(done.returncode) is fails, done.stderr
    return done.stdout + done.stderr


def invoke(project: Path, *words: str, fails: bool = False) -> str:
    return run(project, "-m", "invoke", *words, fails=fails)


def test_the_copy_is_what_is_run(project: Path) -> None:
    assert run(project, "-c", "import stacklab; print(stacklab.__path__[0])").startswith(
        str(project)
    )


def test_a_spec_may_name_it_and_its_releases_are_listed(project: Path) -> None:
    invoke(project, "lab.validate", "labs/fake.yaml")
    assert "fake" in invoke(project, "answers.releases", "fake")
    (project / "labs" / "wrong.yaml").write_text(
        LAB.replace("stack: {", "stack: {release: two, driver: zun, ")
    )
    said = invoke(project, "lab.validate", "labs/wrong.yaml", fails=True)
    assert "no release 'two' of fake is known" in said
    (project / "labs" / "wrong.yaml").unlink()


def test_it_renders_and_is_planned(project: Path) -> None:
    said = invoke(project, "answers.render", "fake", "--node", "compute")
    assert "fake_host: 192.168.157." in said
    assert "xxxx" not in said
    planned = invoke(project, "lab.plan", "fake")
    assert any(
        line.startswith("answers controller") and "/opt/stack/fake.conf" in line
        for line in planned.splitlines()
    )


def test_its_steps_are_shown_the_controllers_first(project: Path) -> None:
    said = invoke(project, "answers.steps", "fake")
    assert said.index("controller") < said.index("compute")
    assert "fake --conf /opt/stack/fake.conf" in said


def test_its_files_are_linted(project: Path) -> None:
    assert "nothing to complain about" in invoke(project, "answers.lint", "fake")
    bad = project / "fake.conf"
    bad.write_text("fake_password: x\n")
    assert "fake-host" in invoke(project, "answers.lint", str(bad), fails=True)
    assert "fake-host" in invoke(project, "answers.rules")


def test_what_it_fetches_is_checked(project: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "from stacklab import spec\n"
        "from stacklab.checks import plan\n"
        "lab = spec.load(spec.find('fake', Path('labs')))\n"
        "print([str(check.subject) for check in plan.expected(lab)])\n"
    )
    assert "fake.example.org:443" in run(project, "-c", code)


def test_the_list_of_installers_imports_none_of_them(project: Path) -> None:
    code = (
        "import sys, stacklab.installers as installers\n"
        "kits = [name for name in sys.modules if name in installers.KITS.values()]\n"
        "assert not kits, kits\n"
        "installers.all_kits()\n"
        "assert 'stacklab.installers.fake.kit' in sys.modules\n"
        "assert 'jinja2' not in sys.modules\n"
        "lints = [name for name in sys.modules if name.endswith('.lint')]\n"
        "assert lints == ['stacklab.lint'], lints\n"
    )
    run(project, "-c", code)
