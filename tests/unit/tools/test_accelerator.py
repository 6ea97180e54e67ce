from __future__ import annotations

import json
import os
import platform
from pathlib import Path

import pytest

from stacklab.errors import CommandFailed, CommandTimedOut, ToolNotFound
from stacklab.paths import HostPaths
from stacklab.process import Command, Result
from stacklab.tools.host import accelerator
from stacklab.tools.host.accelerator import Accelerator
from tests.conftest import FakeRunner

PANIC = "[    1.2] Kernel panic - not syncing: VFS: Unable to mount root fs\n"
BOOTED = Result(exit_code=0, stdout=PANIC, elapsed_s=1.34)


@pytest.fixture
def paths(tmp_path: Path) -> HostPaths:
    return HostPaths(tmp_path / "host")


@pytest.fixture
def device(tmp_path: Path) -> Path:
    path = tmp_path / "kvm"
    path.touch()
    return path


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    path = tmp_path / "vmlinuz"
    path.write_text("a kernel")
    return path


@pytest.fixture(autouse=True)
def no_kernel_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "release", lambda: "9.9-test")
    real = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: not str(path).startswith("/boot/") and real(path, mode)
    )


def pick(paths: HostPaths, runner: FakeRunner, device: Path, kernel: Path | None) -> Accelerator:
    return accelerator.pick(paths, runner, kernel=kernel, device=device)


def test_a_kernel_that_boots_proves_kvm(
    paths: HostPaths, fake_runner: FakeRunner, device: Path, kernel: Path
) -> None:
    fake_runner.on("qemu-system-x86_64", answer=BOOTED)
    found = pick(paths, fake_runner, device, kernel)
    assert found.is_kvm
    assert str(found) == "KVM (a kernel booted in 1.3 s)"


def test_the_trial_has_a_limit_and_ends_by_itself(
    paths: HostPaths, fake_runner: FakeRunner, device: Path, kernel: Path
) -> None:
    fake_runner.on("qemu-system-x86_64", answer=BOOTED)
    pick(paths, fake_runner, device, kernel)
    (command,) = fake_runner.commands
    assert command.timeout_s is not None
    assert command.timeout_s <= 10
    assert "-no-reboot" in command.argv
    assert "pc,accel=kvm" in command.argv
    assert command.argv[command.argv.index("-kernel") + 1] == str(kernel)
    assert "panic=-1" in command.argv[-1]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (CommandTimedOut("had no end"), "/dev/kvm opens, but a kernel hung under it for 10 s"),
        (
            CommandFailed(
                "trying: qemu ended with 1\n  qemu ...\n  | error: failed to set MSR 0x10a"
            ),
            "/dev/kvm opens, but QEMU fails with it: failed to set MSR 0x10a",
        ),
        (
            Result(exit_code=0, stdout="Booting from ROM...\n"),
            "/dev/kvm opens, but the kernel printed nothing",
        ),
    ],
    ids=["hangs", "aborts", "silent"],
)
def test_a_kvm_under_which_no_kernel_boots_is_not_taken(
    paths: HostPaths,
    fake_runner: FakeRunner,
    device: Path,
    kernel: Path,
    answer: Result | BaseException,
    reason: str,
) -> None:
    fake_runner.on("qemu-system-x86_64", answer=answer)
    found = pick(paths, fake_runner, device, kernel)
    assert (found.name, found.reason) == ("TCG", reason)
    assert "\n" not in str(found)


def test_a_missing_qemu_is_told_and_not_taken_for_a_broken_kvm(
    paths: HostPaths, fake_runner: FakeRunner, device: Path, kernel: Path
) -> None:
    fake_runner.on("qemu-system-x86_64", answer=ToolNotFound("qemu-system-x86_64"))
    with pytest.raises(ToolNotFound):
        pick(paths, fake_runner, device, kernel)
    assert not paths.accelerator.exists()


def test_no_device_is_tcg_without_a_trial(
    paths: HostPaths, fake_runner: FakeRunner, tmp_path: Path
) -> None:
    found = pick(paths, fake_runner, tmp_path / "none", None)
    assert found.reason == f"{tmp_path / 'none'}: it does not exist"
    assert not found.is_kvm


def test_a_device_that_may_not_be_opened_is_told_with_the_group(
    paths: HostPaths, fake_runner: FakeRunner, device: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    assert "add yourself to the group kvm" in pick(paths, fake_runner, device, None).reason


@pytest.mark.parametrize("answer", [BOOTED, CommandTimedOut("hung")], ids=["boots", "hangs"])
def test_the_verdict_is_kept(
    paths: HostPaths,
    fake_runner: FakeRunner,
    device: Path,
    kernel: Path,
    answer: Result | BaseException,
) -> None:
    fake_runner.on("qemu-system-x86_64", answer=answer)
    first = pick(paths, fake_runner, device, kernel)
    assert pick(paths, FakeRunner(), device, None) == first


@pytest.mark.parametrize(("what", "value"), [("release", "10.0-new"), ("node", "another-host")])
def test_another_kernel_or_host_is_tried_again(
    paths: HostPaths,
    fake_runner: FakeRunner,
    device: Path,
    kernel: Path,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    value: str,
) -> None:
    fake_runner.on("qemu-system-x86_64", answer=[CommandTimedOut("hung"), BOOTED])
    assert not pick(paths, fake_runner, device, kernel).is_kvm
    monkeypatch.setattr(platform, what, lambda: value)
    assert pick(paths, fake_runner, device, kernel).is_kvm


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"key": 1}', "null"])
def test_a_damaged_verdict_is_tried_again(
    paths: HostPaths, fake_runner: FakeRunner, device: Path, kernel: Path, text: str
) -> None:
    paths.root.mkdir()
    paths.accelerator.write_text(text)
    fake_runner.on("qemu-system-x86_64", answer=BOOTED)
    assert pick(paths, fake_runner, device, kernel).is_kvm
    assert json.loads(paths.accelerator.read_text())["name"] == "KVM"


def test_without_a_kernel_nothing_is_proved_and_nothing_kept(
    paths: HostPaths, fake_runner: FakeRunner, device: Path
) -> None:
    found = pick(paths, fake_runner, device, None)
    assert str(found) == "TCG (no kernel was found to try KVM with)"
    assert not paths.accelerator.exists()


def test_a_kernel_that_may_not_be_read_is_none(
    paths: HostPaths, fake_runner: FakeRunner, device: Path, tmp_path: Path
) -> None:
    assert "no kernel was found" in pick(paths, fake_runner, device, tmp_path / "none").reason


def test_the_kernel_of_an_image_is_tried_where_none_is_given(
    paths: HostPaths, fake_runner: FakeRunner, device: Path
) -> None:
    paths.images.mkdir(parents=True)
    stored = paths.images / "debian-12-0-1.vmlinuz"
    stored.touch()
    tried: list[str] = []

    def answer(command: Command) -> Result:
        tried.append(command.argv[command.argv.index("-kernel") + 1])
        return BOOTED

    fake_runner.on("qemu-system-x86_64", answer=answer)
    pick(paths, fake_runner, device, None)
    assert tried == [str(stored)]


def test_every_tool_has_its_word_for_it() -> None:
    kvm, tcg = Accelerator(name="KVM", reason=""), Accelerator(name="TCG", reason="")
    assert (kvm.qemu_name, kvm.libvirt_driver, kvm.cpu_model, kvm.cpu_features) == (
        "kvm",
        "kvm",
        "host",
        (),
    )
    assert (tcg.qemu_name, tcg.libvirt_driver, tcg.cpu_model) == ("tcg", "qemu", "qemu64")
    assert set(tcg.cpu_features) == {"svm", "npt"}
