"""Builds end in the store, or leave nothing."""

from __future__ import annotations

import dataclasses
import threading
import time
from pathlib import Path

import pytest

from stacklab import locks
from stacklab.errors import CommandFailed, ImageError
from stacklab.images import build, store
from stacklab.images.catalogue import DISK
from stacklab.images.store import StoredImage
from stacklab.paths import HostPaths
from stacklab.process import Command, Result
from stacklab.progress import Progress
from tests.conftest import FakeRunner
from tests.unit.images.builds import IMAGE, PACKER, SayingListener
from tests.unit.images.fake_images import FakeBuild

STEPS: list[tuple[str, ...]] = [
    ("ssh-keygen",),
    ("setpriv", "--pdeathsig", "KILL"),
    ("install",),
    ("sfdisk",),
    ("mke2fs",),
    ("unshare",),
    ("packer", "version"),
    PACKER,
    ("qemu-img", "info"),
]


def test_a_built_image_is_in_the_store_with_its_kernel_and_nothing_else_is_left(
    fake: FakeBuild,
) -> None:
    stored = fake.builder().build(IMAGE)
    assert stored.path.read_bytes() == b"first build"
    assert stored.path.with_suffix(".vmlinuz").read_text() == "kernel"
    assert fake.images == [f"{stored.key}.{suffix}" for suffix in ("json", "qcow2", "vmlinuz")]
    assert fake.works == []


def test_its_stages_are_timed_in_order(fake: FakeBuild) -> None:
    fake.builder().build(IMAGE)
    assert [timing.stage for timing in fake.progress.timings] == [
        "bootstrap",
        "accelerator",
        "packer",
        "store",
    ]
    assert {timing.row for timing in fake.progress.timings} == {"image debian-12"}


def test_a_second_build_builds_nothing(fake: FakeBuild) -> None:
    first = fake.builder().build(IMAGE)
    count = len(fake.runner.commands)
    assert fake.builder().build(IMAGE) == first
    assert len(fake.runner.commands) == count


def test_a_changed_input_is_built_anew_beside_the_old(fake: FakeBuild) -> None:
    first = fake.builder().build(IMAGE)
    second = fake.builder().build(dataclasses.replace(IMAGE, packages=("less",)))
    assert first.address != second.address
    assert set(store.everything(fake.paths)) == {first, second}


def test_a_forced_build_leaves_alone_what_overlays_lie_on(fake: FakeBuild) -> None:
    first = fake.builder().build(IMAGE)
    fake.content = b"second build"
    second = fake.builder().build(IMAGE, force=True)
    store.verify(first)
    assert first.path.read_bytes() == b"first build"
    assert second.path.read_bytes() == b"second build"
    assert fake.builder().build(IMAGE) == second


def test_a_changed_base_is_refused_and_a_forced_build_gets_over_it(fake: FakeBuild) -> None:
    first = fake.builder().build(IMAGE)
    first.path.chmod(0o644)
    first.path.write_bytes(b"changed!")
    with pytest.raises(ImageError, match=first.key):
        fake.builder().build(IMAGE)
    fake.content = b"second build"
    second = fake.builder().build(IMAGE, force=True)
    assert fake.builder().build(IMAGE) == second


def test_an_image_whose_file_is_gone_is_built_again(fake: FakeBuild) -> None:
    first = fake.builder().build(IMAGE)
    first.path.unlink()
    second = fake.builder().build(IMAGE)
    assert second.path.is_file()
    assert fake.builder().build(IMAGE) == second


@pytest.mark.parametrize(
    "error", [CommandFailed("it ended with 1"), KeyboardInterrupt()], ids=["fails", "interrupted"]
)
@pytest.mark.parametrize("step", STEPS, ids=" ".join)
def test_a_build_that_ends_early_leaves_nothing(
    fake: FakeBuild, step: tuple[str, ...], error: BaseException
) -> None:
    fake.runner.on(*step, answer=error)
    with pytest.raises(type(error)):
        fake.builder().build(IMAGE)
    assert (fake.images, fake.works) == ([], [])


def test_a_build_that_ends_early_while_it_is_stored_leaves_nothing(
    fake: FakeBuild, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_path: Path) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "sha256", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fake.builder().build(IMAGE)
    assert (fake.images, fake.works) == ([], [])


def test_a_failed_build_lets_go_of_its_lock(fake: FakeBuild) -> None:
    fake.runner.on(*PACKER, answer=CommandFailed("once"))
    with pytest.raises(CommandFailed):
        fake.builder().build(IMAGE)
    with locks.held(fake.paths.locks / "image.debian-12.lock", "it"):
        pass


@pytest.mark.parametrize(
    "told",
    [
        f'{{"format": "raw", "virtual-size": {DISK.bytes}}}',
        '{"format": "qcow2", "virtual-size": 1024}',
        f'{{"format": "qcow2", "virtual-size": {DISK.bytes}, "full-backing-filename": "/x"}}',
    ],
    ids=["format", "size", "backing"],
)
def test_what_is_no_standalone_qcow2_of_the_right_size_is_not_stored(
    fake: FakeBuild, told: str
) -> None:
    fake.runner.on("qemu-img", "info", stdout=told)
    with pytest.raises(ImageError, match="not a standalone qcow2 of 48GiB"):
        fake.builder().build(IMAGE)
    assert (fake.images, fake.works) == ([], [])


def test_who_waits_for_another_build_takes_its_result(fake: FakeBuild) -> None:
    listener = SayingListener()
    waiter = dataclasses.replace(fake.builder(), progress=Progress(listener), runner=FakeRunner())
    results: list[StoredImage] = []
    other = threading.Thread(target=lambda: results.append(waiter.build(IMAGE)))

    def answer(command: Command) -> Result:
        other.start()
        deadline = time.monotonic() + 60
        while not listener.lines and time.monotonic() < deadline:
            time.sleep(0.01)
        return fake._packer(command)

    fake.runner.on(*PACKER, answer=answer)
    built = fake.builder().build(IMAGE)
    other.join(60)
    assert results == [built]
    assert (
        "waiting for process" in listener.lines[0]
    )  # and its runner has no answer for any command


def test_who_has_the_image_does_not_wait_for_a_forced_build(
    fake: FakeBuild, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "_WAIT_FOR_OTHER_BUILD_S", 0.0)
    stored = fake.builder().build(IMAGE)
    with locks.held(fake.paths.locks / "image.debian-12.lock", "a forced build"):
        assert fake.builder().build(IMAGE) == stored


def test_what_a_killed_build_left_goes_with_the_next_one(fake: FakeBuild) -> None:
    left = fake.paths.building / "debian-12_abc"
    other = fake.paths.building / "debian-12-cloud_abc"
    half = fake.paths.images / f"debian-12-{'0' * 12}-{'1' * 8}.qcow2"
    for path in (left / "root", other / "root", fake.paths.images):
        path.mkdir(parents=True)
    half.touch()
    fake.builder().build(IMAGE)
    assert fake.works == [other]
    assert not half.exists()


def test_no_two_builds_share_a_directory(fake: FakeBuild) -> None:
    """What a killed one left running writes where nobody looks."""
    fake.builder().build(IMAGE)
    first = fake.variables["output"]
    fake.builder().build(IMAGE, force=True)
    assert fake.variables["output"] != first


def test_clean_up_leaves_a_running_build_alone(fake: FakeBuild) -> None:
    running, left = (
        fake.paths.building / f"{name}_abc_d" for name in ("debian-12", "ubuntu-14.04")
    )
    for path in (running, left):
        path.mkdir(parents=True)
    with locks.held(fake.paths.locks / "image.debian-12.lock", "it"):
        build.clean_up(fake.paths, fake.runner)
    assert fake.works == [running]
    build.clean_up(fake.paths, fake.runner)
    assert fake.works == []


def test_clean_up_of_a_host_without_builds_does_nothing(
    tmp_path: Path, fake_runner: FakeRunner
) -> None:
    build.clean_up(HostPaths(tmp_path / "none"), fake_runner)
    assert list(tmp_path.iterdir()) == []


def test_what_only_root_can_remove_is_removed_by_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeBuild(tmp_path, monkeypatch, euid=1000)
    removed: list[str] = []

    def remove(command: Command) -> Result:
        removed.append(command.argv[-1])
        return Result(exit_code=0)

    monkeypatch.setattr("shutil.rmtree", lambda _path, ignore_errors: None)
    fake.runner.on("sudo", "-n", "rm", answer=remove)
    fake.builder().build(IMAGE)
    assert removed == [str(work) for work in fake.works]
    assert len(removed) == 1
