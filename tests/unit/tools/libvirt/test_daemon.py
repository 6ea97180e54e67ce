from __future__ import annotations

import grp
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stacklab.errors import CommandFailed, ProviderError
from stacklab.process import Command, Result
from stacklab.tools.libvirt import daemon as libvirtd
from tests.conftest import FakeRunner


class FakeHost:
    """Where libvirtd's socket, systemd, udev and /dev/kvm would be, and who we are."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.socket, self.kvm = root / "libvirt-sock", root / "kvm"
        self.udev, self.systemd = root / "udev-control", root / "systemd"
        self.answers = False
        self.said: list[str] = []
        self.owners: list[tuple[int, int]] = []
        monkeypatch.setattr(libvirtd, "_SOCKET", self.socket)
        monkeypatch.setattr(libvirtd, "_KVM", self.kvm)
        monkeypatch.setattr(libvirtd, "_UDEV", self.udev)
        monkeypatch.setattr(libvirtd, "_SYSTEMD", self.systemd)
        monkeypatch.setattr(libvirtd, "_LIMIT_S", 0.3)
        monkeypatch.setattr(os, "chown", lambda _path, uid, gid: self.owners.append((uid, gid)))
        self.become(0)

    def become(self, uid: int) -> None:
        self._monkeypatch.setattr(os, "geteuid", lambda: uid)

    def has_group(self, gid: int | None) -> None:
        def getgrnam(name: str) -> grp.struct_group:
            if gid is None:
                raise KeyError(name)
            return grp.struct_group((name, "x", gid, []))

        self._monkeypatch.setattr(grp, "getgrnam", getgrnam)

    def reachable(self) -> str | None:
        return None if self.answers else "Failed to connect socket"

    def starting(self) -> Callable[[Command], Result]:
        def answer(_command: Command) -> Result:
            self.answers = True
            return Result(exit_code=0)

        return answer

    def ensure(self, runner: FakeRunner) -> None:
        libvirtd.ensure(runner, self.reachable, self.said.append)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    return FakeHost(tmp_path, monkeypatch)


def test_a_libvirtd_that_answers_is_left_alone(host: FakeHost, fake_runner: FakeRunner) -> None:
    host.socket.touch()
    host.answers = True
    host.ensure(fake_runner)
    assert fake_runner.commands == []
    assert host.said == []


def test_with_systemd_its_service_is_started(host: FakeHost, fake_runner: FakeRunner) -> None:
    host.systemd.mkdir()
    host.ensure(fake_runner.on("systemctl", answer=host.starting()))
    assert fake_runner.argvs == [("systemctl", "start", "libvirtd")]
    assert host.said == ["starting libvirtd"]


def test_without_systemd_both_daemons_are_started(host: FakeHost, fake_runner: FakeRunner) -> None:
    host.ensure(fake_runner.on("virtlogd").on("libvirtd", answer=host.starting()))
    assert fake_runner.argvs == [("virtlogd", "-d"), ("libvirtd", "-d")]
    assert [command.ok_codes for command in fake_runner.commands] == [
        (0, 1),
        (0,),
    ]  # virtlogd may run already


def test_who_is_not_root_asks_sudo_which_must_not_ask_back(
    host: FakeHost, fake_runner: FakeRunner
) -> None:
    host.become(1000)
    host.ensure(fake_runner.on("sudo", "-n", answer=host.starting()))
    assert fake_runner.argvs == [("sudo", "-n", "virtlogd", "-d"), ("sudo", "-n", "libvirtd", "-d")]
    assert [command.ok_codes for command in fake_runner.commands] == [(0, 1), (0,)]


def test_a_socket_that_a_user_may_not_open_is_left_for_doctor_s_words(
    host: FakeHost, fake_runner: FakeRunner
) -> None:
    host.socket.touch()
    host.become(1000)
    host.ensure(fake_runner)
    assert fake_runner.commands == []


def test_the_socket_of_a_libvirtd_that_died_does_not_keep_root_from_starting_it(
    host: FakeHost, fake_runner: FakeRunner
) -> None:
    host.socket.touch()
    host.ensure(fake_runner.on("virtlogd").on("libvirtd", answer=host.starting()))
    assert ("libvirtd", "-d") in fake_runner.argvs


def test_a_libvirtd_that_cannot_start_is_the_provider_s_error(
    host: FakeHost, fake_runner: FakeRunner
) -> None:
    fake_runner.on("virtlogd").on("libvirtd", answer=CommandFailed("libvirtd ended with 3"))
    with pytest.raises(ProviderError, match="can't be started\nlibvirtd ended with 3") as caught:
        host.ensure(fake_runner)
    assert caught.value.hint == "./invoke doctor"


def test_a_libvirtd_that_never_answers_is_waited_for_only_so_long(
    host: FakeHost, fake_runner: FakeRunner
) -> None:
    with pytest.raises(
        ProviderError, match=r"does not answer after \d+ s: Failed to connect socket"
    ):
        host.ensure(fake_runner.on("virtlogd").on("libvirtd"))


# --- /dev/kvm, where no udev gives it to the guests' user


@pytest.fixture
def bare(host: FakeHost) -> FakeHost:
    """Root's, for root alone; no udev; a group kvm."""
    host.kvm.touch()
    host.kvm.chmod(0o600)
    host.has_group(104)
    host.socket.touch()
    host.answers = True
    return host


def test_a_device_that_only_root_may_open_is_given_to_group_kvm(
    bare: FakeHost, fake_runner: FakeRunner
) -> None:
    bare.ensure(fake_runner)
    assert bare.owners == [(-1, 104)]
    assert bare.kvm.stat().st_mode & 0o777 == 0o660
    assert len(bare.said) == 1
    assert "/dev/kvm: group kvm may open it now" in bare.said[0]


def test_a_device_of_the_right_group_with_its_rights_is_left_alone(
    bare: FakeHost, fake_runner: FakeRunner
) -> None:
    bare.has_group(bare.kvm.stat().st_gid)
    bare.kvm.chmod(0o660)
    bare.ensure(fake_runner)
    assert bare.owners == []
    assert bare.said == []


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o620])
def test_the_right_group_without_its_rights_is_repaired(
    bare: FakeHost, fake_runner: FakeRunner, mode: int
) -> None:
    bare.has_group(bare.kvm.stat().st_gid)
    bare.kvm.chmod(mode)
    bare.ensure(fake_runner)
    assert bare.kvm.stat().st_mode & 0o777 == 0o660


def test_where_udev_runs_the_device_is_udev_s(bare: FakeHost, fake_runner: FakeRunner) -> None:
    bare.udev.touch()
    bare.ensure(fake_runner)
    assert (bare.owners, bare.said) == ([], [])


def test_who_is_not_root_changes_nothing(bare: FakeHost, fake_runner: FakeRunner) -> None:
    bare.become(1000)
    bare.ensure(fake_runner)
    assert (bare.owners, bare.said) == ([], [])


def test_without_a_group_kvm_or_a_device_nothing_is_changed(
    bare: FakeHost, fake_runner: FakeRunner
) -> None:
    bare.has_group(None)
    bare.ensure(fake_runner)
    bare.has_group(104)
    bare.kvm.unlink()
    bare.ensure(fake_runner)
    assert (bare.owners, bare.said) == ([], [])
