"""The real qemu-img: overlays, and a base that changes under them."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from stacklab.errors import CommandFailed, ImageError
from stacklab.images import store
from stacklab.images.store import StoredImage
from stacklab.model.lab import Size
from stacklab.paths import HostPaths
from stacklab.process import SubprocessRunner
from stacklab.tools import qemu_img
from tests.unit.images.fake_images import make_image

pytestmark = pytest.mark.skipif(
    shutil.which("qemu-img") is None, reason="qemu-img is not installed"
)

RUNNER = SubprocessRunner()
SIZE = Size.parse("48GiB")


@pytest.fixture
def stored(tmp_path: Path) -> StoredImage:
    paths = HostPaths(tmp_path / "host")
    paths.images.mkdir(parents=True)
    raw, built = tmp_path / "disk.raw", tmp_path / "built.qcow2"
    with raw.open("wb") as stream:
        stream.write(os.urandom(1024 * 1024))
        stream.truncate(SIZE.bytes)
    RUNNER.run(qemu_img.convert(raw, built))
    return store.add(paths, make_image(), built, now=1, took_s=1)


@pytest.fixture
def overlay(stored: StoredImage, tmp_path: Path) -> Path:
    path = tmp_path / "trio_compute1.qcow2"
    RUNNER.run(qemu_img.overlay(path, stored.path, Size.parse("60GiB")))
    return path


def test_an_overlay_is_small_and_quickly_made(stored: StoredImage, tmp_path: Path) -> None:
    path = tmp_path / "o.qcow2"
    times = []
    for _ in range(3):
        path.unlink(missing_ok=True)
        started = time.monotonic()
        RUNNER.run(qemu_img.overlay(path, stored.path, SIZE))
        times.append(time.monotonic() - started)
    assert min(times) < 5
    assert path.stat().st_size < 1024 * 1024
    assert path.stat().st_blocks * 512 < 1024 * 1024


def test_an_overlay_is_read_as_it_was_made(stored: StoredImage, overlay: Path) -> None:
    found = qemu_img.parse_info(RUNNER.run(qemu_img.info(overlay)).stdout)
    assert found == qemu_img.DiskInfo(
        format="qcow2", virtual_bytes=60 * 1024**3, backing=stored.path
    )


def test_a_converted_disk_is_thin_and_stands_alone(stored: StoredImage) -> None:
    found = qemu_img.parse_info(RUNNER.run(qemu_img.info(stored.path)).stdout)
    assert found == qemu_img.DiskInfo(format="qcow2", virtual_bytes=SIZE.bytes, backing=None)
    assert stored.size_bytes < 4 * 1024 * 1024


def test_a_disk_is_resized(overlay: Path) -> None:
    RUNNER.run(qemu_img.resize(overlay, Size.parse("70GiB")))
    assert (
        qemu_img.parse_info(RUNNER.run(qemu_img.info(overlay)).stdout).virtual_bytes == 70 * 1024**3
    )


def test_using_overlays_does_not_make_their_base_look_changed(
    stored: StoredImage, overlay: Path
) -> None:
    RUNNER.run(qemu_img.resize(overlay, Size.parse("70GiB")))
    assert stored.is_untouched
    store.verify(stored)


def test_a_base_that_was_changed_under_its_overlays_is_refused_by_name(
    stored: StoredImage, overlay: Path
) -> None:
    assert overlay.exists()
    stored.path.chmod(0o644)
    RUNNER.run(qemu_img.resize(stored.path, Size.parse("49GiB")))
    for look in (store.check, store.verify):
        with pytest.raises(ImageError, match=f"base image {stored.key} was changed"):
            look(stored)


def test_no_overlay_is_made_on_a_base_that_is_gone(stored: StoredImage, tmp_path: Path) -> None:
    store.remove(stored)
    with pytest.raises(CommandFailed, match=r"making overlay o\.qcow2"):
        RUNNER.run(qemu_img.overlay(tmp_path / "o.qcow2", stored.path, SIZE))
