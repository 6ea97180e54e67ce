from __future__ import annotations

from pathlib import Path

import pytest

from stacklab.errors import CommandFailed
from stacklab.nodes import access
from stacklab.paths import HostPaths, LabPaths
from tests.conftest import FakeRunner
from tests.unit.checks.fake_lab import make_lab
from tests.unit.workflow.fake_host import fake_keygen


@pytest.fixture
def paths(tmp_path: Path) -> LabPaths:
    return HostPaths(tmp_path).lab("trio")


@pytest.fixture
def runner(fake_runner: FakeRunner) -> FakeRunner:
    return fake_runner.on("ssh-keygen", answer=fake_keygen)


def test_one_key_opens_the_lab_and_each_node_has_its_own(
    paths: LabPaths, runner: FakeRunner
) -> None:
    keys = access.prepare(make_lab(), paths, runner)
    assert keys.lab.private == "PRIVATE id_ed25519\n"
    assert keys.lab.public == "ssh-ed25519 AAAAid_ed25519 stacklab trio"
    assert list(keys.hosts) == ["controller", "compute1", "compute2"]
    assert len({pair.private for pair in (keys.lab, *keys.hosts.values())}) == 4
    assert all("ed25519" in argv and argv[argv.index("-N") + 1] == "" for argv in runner.argvs)


def test_keys_are_made_once(paths: LabPaths, runner: FakeRunner) -> None:
    first = access.prepare(make_lab(), paths, runner)
    runner.commands.clear()
    assert access.prepare(make_lab(), paths, runner) == first
    assert runner.commands == []


@pytest.mark.parametrize("lost", ["compute1.host_ed25519", "compute1.host_ed25519.pub"])
def test_half_a_pair_that_an_interrupted_run_left_is_made_anew(
    paths: LabPaths, runner: FakeRunner, lost: str
) -> None:
    access.prepare(make_lab(), paths, runner)
    (paths.keys / lost).unlink()
    runner.commands.clear()
    access.prepare(make_lab(), paths, runner)
    assert [argv[-1] for argv in runner.argvs] == [str(paths.host_key("compute1"))]


def test_known_hosts_pins_every_node_by_name_and_by_all_its_addresses(
    paths: LabPaths, runner: FakeRunner
) -> None:
    access.prepare(make_lab(), paths, runner)
    assert paths.known_hosts.read_text().splitlines() == [
        "controller,10.10.0.11,10.20.0.11 ssh-ed25519 AAAAcontroller.host_ed25519",
        "compute1,10.10.0.12,10.20.0.12 ssh-ed25519 AAAAcompute1.host_ed25519",
        "compute2,10.10.0.13,10.20.0.13 ssh-ed25519 AAAAcompute2.host_ed25519",
    ]


def test_nobody_else_can_look_at_them(paths: LabPaths, runner: FakeRunner) -> None:
    paths.keys.mkdir(parents=True, mode=0o755)
    access.prepare(make_lab(), paths, runner)
    modes = {
        p.name: p.stat().st_mode & 0o777
        for p in (paths.keys, paths.sockets, paths.known_hosts, paths.ssh_config)
    }
    assert modes == {"keys": 0o700, "ctl": 0o700, "known_hosts": 0o600, "ssh_config": 0o600}
    assert "StrictHostKeyChecking yes" in paths.ssh_config.read_text()


def test_a_keygen_that_fails_is_not_hidden_by_the_threads(
    paths: LabPaths, fake_runner: FakeRunner
) -> None:
    fake_runner.on("ssh-keygen", answer=CommandFailed("no space left"))
    with pytest.raises(CommandFailed, match="no space left"):
        access.prepare(make_lab(), paths, fake_runner)
    assert not paths.known_hosts.exists()
