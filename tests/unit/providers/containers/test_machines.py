"""How machine.sh is called: as root, by values and never by a shell's words."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path

import pytest

from stacklab.images.root import RootDisk
from stacklab.model.state import NodeState
from stacklab.paths import HostPaths
from stacklab.providers.containers import machines
from stacklab.providers.containers.handles import Container
from stacklab.providers.containers.machines import Machines
from stacklab.providers.containers.plans import ContainerPlan
from tests.conftest import FakeRunner

BASE = RootDisk(
    path=Path("/h/images/x.raw"),
    offset=1048576,
    filesystem="xfs",
    sha256="0" * 64,
    size_bytes=8,
    mtime_ns=1,
)
PLAN = ContainerPlan(
    name="controller",
    cpus="0,3",
    memory_bytes=1024,
    devices=("/dev/net/tun", "/dev/fuse"),
    nics=(),
)


@pytest.fixture
def container(tmp_path: Path) -> Container:
    paths = HostPaths(tmp_path).lab("trio")
    return Container(
        name="controller",
        machine="sl0a1b2c3d",
        directory=paths.container("controller"),
        seed=paths.seed("controller"),
    )


@pytest.fixture
def lab(tmp_path: Path) -> Machines:
    return Machines(
        FakeRunner().on("env").on("sudo", "-n", "env"), HostPaths(tmp_path).lab("trio"), tmp_path
    )


def words(lab: Machines) -> list[str]:
    """The last call, without sudo and env."""
    runner = lab._runner
    assert isinstance(runner, FakeRunner)
    argv = runner.argvs[-1]
    return list(argv[argv.index("env") + 1 :])


def test_a_start_is_told_all_by_name(lab: Machines, container: Container, tmp_path: Path) -> None:
    lab.start(container, PLAN, BASE)
    settings = dict(word.split("=", 1) for word in words(lab) if "=" in word)
    assert settings == {
        "BASE": "/h/images/x.raw",
        "BASE_TYPE": "xfs",
        "BASE_OFFSET": "1048576",
        "BASE_OPTIONS": ",norecovery,nouuid",
        "CGROUP": f"{tmp_path}/stacklab/sl0a1b2c3d",
        "CONSOLE": f"{tmp_path}/labs/trio/logs/controller.console.log",
        "CPUS": "0,3",
        "DEVICES": "/dev/net/tun /dev/fuse",
        "DIR": f"{tmp_path}/volumes/trio_controller.container",
        "FROZEN": f"{tmp_path}/snapshots/trio/disks",
        "HOST_NAME": "controller",
        "IS_PRIVILEGED": "yes",
        "LAYERS": "",
        "LC_ALL": "C",
        "MACHINE": "sl0a1b2c3d",
        "MEMORY": "1024",
        "PYTHON": sys.executable,
        "SEED": f"{tmp_path}/volumes/trio_controller.seed.img",
        "TASKS": "4096",
    }
    assert words(lab)[-3:] == ["sh", str(machines._SCRIPT), "start"]


@pytest.mark.parametrize(
    ("gib", "tasks"), [(0.5, 4096), (4, 4096), (8, 8192), (16, 16384), (64, 16384)]
)
def test_a_larger_node_may_have_more_processes_up_to_a_limit(gib: float, tasks: int) -> None:
    assert machines.most_tasks(int(gib * 1024**3)) == tasks


def test_a_file_system_without_options_has_no_comma(lab: Machines, container: Container) -> None:
    lab.start(container, PLAN, dataclasses.replace(BASE, filesystem="btrfs"))
    assert "BASE_OPTIONS=" in words(lab)


def test_each_word_that_is_called_is_one_that_machine_sh_knows(
    lab: Machines, container: Container, tmp_path: Path
) -> None:
    lab.start(container, PLAN, BASE)
    lab.stop(container)
    lab.kill(container)
    lab.freeze(container)
    lab.thaw(container)
    for is_up in (False, True):
        lab.set_link(container, "sl0a1b2c3d-0", is_up=is_up)
    lab.unplug(container, "sl0a1b2c3d-0")
    lab.set_aside(container, tmp_path)
    lab.take_back(container, tmp_path)
    lab.remove(container)
    runner = lab._runner
    assert isinstance(runner, FakeRunner)
    script = machines._SCRIPT.read_text()
    known = script[script.index("\naction=$1") :]
    for argv in (*runner.argvs, lab.console_argv(container)):
        action = argv[argv.index("sh") + 2]
        assert f"{action})" in known or f"{action} |" in known, action


def test_a_paused_node_goes_on_before_it_is_asked_to_stop(
    lab: Machines, container: Container
) -> None:
    lab.stop(container)
    runner = lab._runner
    assert isinstance(runner, FakeRunner)
    assert [argv[-1] for argv in runner.argvs] == ["thaw", "stop"]


def test_an_ordinary_user_asks_sudo_which_would_drop_variables(
    lab: Machines, container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    lab.freeze(container)
    assert isinstance(lab._runner, FakeRunner)
    argv = lab._runner.argvs[-1]
    assert argv[:3] == ("sudo", "-n", "env")
    assert "MACHINE=sl0a1b2c3d" in argv[: argv.index("sh")]


def test_at_a_terminal_sudo_may_ask_for_the_password(
    lab: Machines, container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert lab.console_argv(container)[:2] == ("sudo", "env")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert lab.console_argv(container)[0] == "env"


def test_what_has_a_directory_is_off_and_what_has_none_is_absent(
    lab: Machines, container: Container
) -> None:
    assert lab.state(container) is NodeState.ABSENT
    container.directory.mkdir(parents=True)
    assert lab.state(container) is NodeState.OFF


def test_a_removal_may_take_longer_than_anything_else(lab: Machines, container: Container) -> None:
    """A large container on a busy disk failed to be destroyed after a minute."""
    runner = lab._runner
    assert isinstance(runner, FakeRunner)
    lab.freeze(container)
    lab.remove(container)
    frozen, removed = (command.timeout_s for command in runner.commands[-2:])
    assert frozen is not None
    assert removed is not None
    assert removed >= 10 * frozen
