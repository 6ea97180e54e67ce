from __future__ import annotations

from pathlib import Path

import pytest

from stacklab.dev import consumers, testing
from stacklab.errors import CommandFailed, LabError
from stacklab.process import Command, Result
from tests.conftest import FakeRunner


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "requirements").mkdir()
    consumers.requirements("packstack", tmp_path).write_text("packstack==1 --hash=sha256:00\n")
    return tmp_path


def _runner(project: Path, *, pip: BaseException | None = None) -> FakeRunner:
    """Answers for `python -m venv` and pip, in the order in which they come."""

    def run(command: Command) -> Result:
        if command.argv[1:3] == ("-m", "venv"):
            python = Path(command.argv[3], "bin", "python")
            python.parent.mkdir(parents=True)
            python.touch()
        elif pip:
            raise pip
        return Result(exit_code=0)

    return FakeRunner(script={(): run})


def test_a_venv_is_made_once_and_from_hashes_alone(project: Path) -> None:
    runner = _runner(project)
    said: list[str] = []
    for _ in range(2):
        assert consumers.prepare("packstack", runner, project=project, tell=said.append).exists()
    venv, pip = runner.argvs
    assert venv[1:] == ("-m", "venv", str(project / ".consumers/packstack"))
    assert {"--no-deps", "--require-hashes"} <= set(pip)
    assert said == ["making .consumers/packstack from requirements/consumers-packstack.txt"]


def test_other_requirements_make_the_venv_anew(project: Path) -> None:
    runner = _runner(project)
    python = consumers.prepare("packstack", runner, project=project)
    (python.parent / "left-over").touch()
    consumers.requirements("packstack", project).write_text("packstack==2 --hash=sha256:00\n")
    consumers.prepare("packstack", runner, project=project)
    assert len(runner.argvs) == 4
    assert not (python.parent / "left-over").exists()


def test_a_venv_whose_pip_failed_is_made_anew(project: Path) -> None:
    with pytest.raises(CommandFailed):
        consumers.prepare(
            "packstack", _runner(project, pip=CommandFailed("no network")), project=project
        )
    runner = _runner(project)
    consumers.prepare("packstack", runner, project=project)
    assert len(runner.argvs) == 2


def test_a_consumer_without_requirements_is_named_with_those_that_have_some(project: Path) -> None:
    with pytest.raises(
        LabError, match=r"no requirements/consumers-kola.txt \(there are: packstack\)"
    ):
        consumers.prepare("kola", FakeRunner(), project=project)


def test_the_consumers_tests_run_with_every_venv_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr(consumers, "names", lambda: ("ansible", "packstack"))
    monkeypatch.setattr(consumers, "prepare", lambda name, *_args, **_kwargs: made.append(name))
    monkeypatch.setattr(testing, "_passes", lambda step, _reports: bool(ran.append(step.argv)))
    assert testing.consumers(FakeRunner()) == 1  # what failed is told by the exit code
    assert made == ["ansible", "packstack"]
    assert ran[0][:4] == ("-m", "pytest", "-m", "consumers")


def test_requirements_of_consumers_hold_hashes_and_no_index() -> None:
    for name in consumers.names():
        lines = consumers.requirements(name).read_text().splitlines()
        pins = [line for line in lines if line and not line.startswith((" ", "#"))]
        assert pins, name
        assert all("==" in pin and pin.endswith("\\") for pin in pins), name
        assert not [line for line in lines if "://" in line or line.startswith("--")], name
        assert consumers.requirements(name).with_suffix(".in").read_text().startswith("#"), name
