from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from stacklab.errors import CommandFailed, HostError, ImageError
from stacklab.images import bootstrap
from stacklab.images.catalogue import DISK, Image
from stacklab.paths.project import PROJECT
from stacklab.process import Command, Result
from tests.unit.images.fake_images import FakeBuild, make_image

MMDEBSTRAP = ("setpriv", "--pdeathsig", "KILL")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    path = tmp_path / "work"
    path.mkdir()
    return path


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeBuild:
    return FakeBuild(tmp_path, monkeypatch)


def run(fake: FakeBuild, work: Path) -> bootstrap.Bootstrapped:
    return run_image(make_image(), fake, work)


def run_image(image: Image, fake: FakeBuild, work: Path) -> bootstrap.Bootstrapped:
    log = work.parent / "build.log"
    log.touch()
    key = work / "key.pub"
    key.write_text("a key")
    return bootstrap.bootstrap(image, key, work, fake.runner, log=log, say=lambda _text: None)


def test_the_disk_is_thin_begins_with_the_boot_code_and_keeps_its_partition_table(
    fake: FakeBuild, work: Path
) -> None:
    def partition(command: Command) -> Result:
        assert command.stdin == b"label: dos\nstart=2048, type=83, bootable\n"
        with Path(command.argv[-1]).open("r+b") as stream:
            stream.seek(440)
            stream.write(b"TABLE")
        return Result(exit_code=0)

    fake.runner.on("sfdisk", answer=partition)
    made = run(fake, work)
    with made.disk.open("rb") as stream:
        start = stream.read(512)
    assert start[:440] == b"\xeb" * 440
    assert start[440:446] == b"TABLE\0"
    assert made.disk.stat().st_size == DISK.bytes
    assert made.disk.stat().st_blocks * 512 < 1024 * 1024


def test_the_kernel_is_beside_the_disk(fake: FakeBuild, work: Path) -> None:
    assert run(fake, work).kernel.read_text() == "kernel"


def test_packages_and_mirror_are_the_images_and_the_hosts(fake: FakeBuild, work: Path) -> None:
    run(fake, work)
    (command,) = fake.ran("mmdebstrap")
    assert "--include=udev,sudo" in command.argv
    assert command.argv[-3:] == (
        "bookworm",
        str(work / "root"),
        "deb http://mirror.test/debian/ bookworm main",
    )
    assert f"STACKLAB_BUILD_KEY={work / 'key.pub'}" in command.argv


def test_a_bake_is_run_after_the_root_was_customized(fake: FakeBuild, work: Path) -> None:
    baked = dataclasses.replace(make_image(), bake="openstack")
    run_image(baked, fake, work)
    (command,) = fake.ran("mmdebstrap")
    hooks = [word for word in command.argv if word.startswith("--customize-hook=")]
    assert hooks == [
        f"--customize-hook={bootstrap._HOOKS / 'customize.sh'}",
        f"--customize-hook={PROJECT / 'packer' / 'openstack' / 'bake.sh'}",
    ]
    recipe = bootstrap.recipe(make_image())
    added = [word for word in bootstrap.recipe(baked) if word not in recipe]
    assert added == [
        "--essential-hook=bakes/openstack/before.sh",
        "--customize-hook=bakes/openstack/bake.sh",
    ]


def test_the_step_of_a_bake_that_failed_is_told_with_its_last_lines(
    fake: FakeBuild, work: Path
) -> None:
    log = work.parent / "build.log"

    def fail(_command: Command) -> Result:
        log.write_text(
            "bake: databases took 31 ms\n"
            "bake: step nova-tables failed with exit code 1; it ends with:\n"
            "bake:   no space\n"
            "E: the hook failed\n"
        )
        raise CommandFailed("bootstrapping debian-12: mmdebstrap ended")

    fake.runner.on("setpriv", "--pdeathsig", "KILL", answer=fail)
    with pytest.raises(ImageError) as caught:
        run(fake, work)
    assert caught.value.message.splitlines() == [
        "image debian-12 can't be baked: step nova-tables failed with exit code 1; it ends with:",
        "  |   no space",
        f"  log: {log}",
    ]


def test_the_hooks_are_files_that_can_be_run() -> None:
    hooks = [bootstrap._HOOKS / name for name in ("essential.sh", "customize.sh", "bootloader.sh")]
    hooks += [*PROJECT.glob("packer/*/before.sh"), *PROJECT.glob("packer/*/bake.sh")]
    assert len(hooks) == 7
    assert all(hook.stat().st_mode & 0o111 == 0o111 for hook in hooks)


def test_mmdebstraps_mounts_and_processes_end_with_ours(fake: FakeBuild, work: Path) -> None:
    run(fake, work)
    (command,) = fake.ran("mmdebstrap")
    before = command.argv[: command.argv.index("mmdebstrap")]
    assert before[:3] == ("setpriv", "--pdeathsig", "KILL")
    assert {"unshare", "--mount", "--pid", "--kill-child"} <= set(before)


def test_the_loop_mount_is_in_a_namespace_of_its_own(fake: FakeBuild, work: Path) -> None:
    run(fake, work)
    assert fake.runner.argvs[-1][:2] == ("unshare", "--mount")


def test_the_partition_begins_where_the_file_system_does(fake: FakeBuild, work: Path) -> None:
    run(fake, work)
    (command,) = fake.ran("mke2fs")
    assert "offset=1048576" in command.argv[command.argv.index("-E") + 1]
    assert 2048 * 512 == 1048576
    assert command.argv[-1] == f"{(DISK.bytes - 1048576) // 1024}k"


def test_sbin_is_on_the_path_of_what_debian_keeps_there(
    fake: FakeBuild, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    run(fake, work)
    for name in ("sfdisk", "mke2fs", "mmdebstrap"):
        (command,) = fake.ran(name)
        assert command.env["PATH"] == "/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"


def test_a_user_has_roots_work_done_by_sudo_and_keeps_the_disk(
    tmp_path: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeBuild(tmp_path, monkeypatch, euid=1000)
    run(fake, work)
    for name in ("mmdebstrap", "install", "mke2fs"):
        (command,) = fake.ran(name)
        assert command.argv[:2] == ("sudo", "-n")
    (command,) = fake.ran("sfdisk")
    assert command.argv[0] == "sfdisk"


def test_a_user_whose_sudo_wants_a_password_is_told_before_anything_is_done(
    tmp_path: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeBuild(tmp_path, monkeypatch, euid=1000)
    fake.runner.on("sudo", "-n", "true", answer=CommandFailed("sudo: a password is required"))
    with pytest.raises(HostError, match="needs root's rights") as caught:
        run(fake, work)
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("sudo ./invoke image.build debian-12")
    assert len(fake.runner.commands) == 1


def test_missing_boot_code_is_told_before_anything_is_done(
    fake: FakeBuild, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "_MBR_CODE", (Path("/nowhere/mbr.bin"),))
    with pytest.raises(ImageError, match=r"/nowhere/mbr\.bin"):
        run(fake, work)
    assert fake.runner.commands == []


def failing(log_text: str) -> Callable[[Command], Result]:
    def answer(command: Command) -> Result:
        assert command.log is not None
        command.log.write_text(log_text)
        raise CommandFailed("mmdebstrap ended with 25")

    return answer


def test_a_mirror_that_can_not_be_reached_is_told_as_that(fake: FakeBuild, work: Path) -> None:
    text = (
        "I: running apt-get update\n"
        "Err:1 http://mirror.test\n"
        "E: Failed to fetch http://mirror.test/x\n"
        "I: more\n"
    )
    fake.runner.on(*MMDEBSTRAP, answer=failing(text))
    with pytest.raises(
        ImageError, match="the package mirror for bookworm can't be reached"
    ) as caught:
        run(fake, work)
    assert "  | E: Failed to fetch http://mirror.test/x" in caught.value.message
    assert caught.value.hint is not None


def test_any_other_failure_of_mmdebstrap_is_its_own(fake: FakeBuild, work: Path) -> None:
    fake.runner.on(*MMDEBSTRAP, answer=failing("E: Unable to locate package udevv\n"))
    with pytest.raises(CommandFailed, match="ended with 25"):
        run(fake, work)


def test_the_recipe_is_what_is_run_but_for_paths_and_mirrors(fake: FakeBuild, work: Path) -> None:
    run(fake, work)
    run_words = {
        word for command in (*fake.ran("mmdebstrap"), *fake.ran("mke2fs")) for word in command.argv
    }
    recipe = bootstrap.recipe(make_image())
    different = {word for word in recipe if word not in run_words}
    assert different == {
        "--essential-hook=hooks/essential.sh",
        "--customize-hook=hooks/customize.sh",
        "disk",
    }  # "root" is the label too
    assert subprocess.list2cmdline(recipe).startswith("mmdebstrap --variant=minbase")
