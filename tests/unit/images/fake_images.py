"""Catalogue entries, and a runner on which an image builds in no time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stacklab.images import bootstrap
from stacklab.images.build import Builder
from stacklab.images.catalogue import DISK, Image, ImageSourceKind
from stacklab.model.lab import NetworkStyle
from stacklab.paths import HostPaths
from stacklab.process import Command, Result
from stacklab.progress import Progress
from stacklab.tools.host.accelerator import Accelerator
from tests.conftest import FakeRunner

TCG = Accelerator(name="TCG", reason="a test")
SOURCES = "bookworm|main|http://mirror.test/debian/|bookworm\n"
OK = Result(exit_code=0)


def make_image(
    name: str = "debian-12", source: ImageSourceKind = ImageSourceKind.BOOTSTRAP
) -> Image:
    common = {
        "name": name,
        "description": "for tests",
        "network": NetworkStyle.NETWORKD,
        "cpu": "qemu64",
    }
    match source:
        case ImageSourceKind.BOOTSTRAP:
            return Image(**common, source=source, suite="bookworm", packages=("udev", "sudo"))  # type: ignore[arg-type]
        case ImageSourceKind.CLOUD:
            return Image(**common, source=source, url="http://x.test/i.img", digest="sha256:0")  # type: ignore[arg-type]
        case ImageSourceKind.INSTALLER:
            return Image(
                **common,  # type: ignore[arg-type]
                source=source,
                url="http://x.test/i.iso",
                digest="sha256:0",
                answers="centos-7.ks",
                boot_command=("<enter>",),
            )


class FakeBuild:
    """Scripts every program of a build; `content` is what Packer makes."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, *, euid: int = 0) -> None:
        self.paths = HostPaths(root / "host")
        self.content = b"first build"
        self.virtual_bytes = DISK.bytes
        self.variables: dict[str, object] = {}
        code = root / "mbr.bin"
        code.write_bytes(b"\xeb" * 512)
        monkeypatch.setattr(bootstrap, "_MBR_CODE", (code,))
        monkeypatch.setattr("os.geteuid", lambda: euid)
        self.runner = FakeRunner()
        sudo = () if euid == 0 else ("sudo", "-n")
        self.runner.on(*sudo, "true").on("apt-get", stdout=SOURCES).on(
            "ssh-keygen", answer=self._keygen
        )
        self.runner.on(*sudo, "setpriv", "--pdeathsig", "KILL", answer=self._mmdebstrap)
        self.runner.on(*sudo, "install", answer=self._install)
        self.runner.on("sfdisk").on(*sudo, "mke2fs").on(*sudo, "unshare")
        self.runner.on("packer", "version", stdout="Packer v1.6.6\n")
        self.runner.on("setpriv", "--pdeathsig", "TERM", "packer", answer=self._packer)
        self.runner.on("qemu-img", "info", answer=self._info)
        self.progress = Progress()

    def builder(self) -> Builder:
        return Builder(
            paths=self.paths,
            runner=self.runner,
            progress=self.progress,
            pick_accelerator=lambda _kernel: TCG,
        )

    def ran(self, word: str) -> list[Command]:
        return [command for command in self.runner.commands if word in command.argv]

    @property
    def works(self) -> list[Path]:
        return sorted(self.paths.building.glob("*"))

    @property
    def images(self) -> list[str]:
        return sorted(path.name for path in self.paths.images.glob("*"))

    def _keygen(self, command: Command) -> Result:
        key = Path(command.argv[-1])
        key.write_text("private\n")
        key.with_suffix(".pub").write_text("ssh-ed25519 AAAA build\n")
        return OK

    def _mmdebstrap(self, command: Command) -> Result:
        root = next(Path(word) for word in command.argv if word.endswith("/root"))
        root.mkdir()
        (root / "vmlinuz").write_text("kernel")
        return OK

    def _install(self, command: Command) -> Result:
        Path(command.argv[-1]).write_bytes(Path(command.argv[-2]).read_bytes())
        return OK

    def _packer(self, command: Command) -> Result:
        name = next(word for word in command.argv if word.startswith("-var-file=")).removeprefix(
            "-var-file="
        )
        self.variables = json.loads(Path(name).read_text())
        out = Path(str(self.variables["output"]))
        out.mkdir()
        (out / "image.qcow2").write_bytes(self.content)
        return OK

    def _info(self, _command: Command) -> Result:
        return Result(
            exit_code=0, stdout=json.dumps({"format": "qcow2", "virtual-size": self.virtual_bytes})
        )
