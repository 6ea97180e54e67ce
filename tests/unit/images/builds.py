"""Builds of images by fakes of all the programs, and what they say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stacklab.images import download
from tests.unit.images.fake_images import FakeBuild, make_image

IMAGE = make_image()
PACKER = ("setpriv", "--pdeathsig", "TERM", "packer")


class SayingListener:
    """Keeps what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def started(self, row: str, stage: str) -> None:
        pass

    def said(self, row: str, text: str) -> None:
        self.lines.append(f"{row}: {text}")

    def noted(self, row: str, text: str) -> None:
        self.lines.append(f"{row}: {text}")

    def ended(self, row: str, stage: str, elapsed_s: float, error: BaseException | None) -> None:
        pass


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeBuild:
    return FakeBuild(tmp_path, monkeypatch)


@pytest.fixture
def downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "downloaded.img"
    path.write_bytes(b"QFI\xfb\0\0\0\x02" + bytes(100))

    def fetch(_url: str, _digest: str, _directory: Path, *, say: Callable[[str], None]) -> Path:
        say("downloaded")
        return path

    monkeypatch.setattr(download, "fetch", fetch)
    return path
