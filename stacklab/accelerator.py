"""KVM or TCG: only a kernel that really boots under KVM tells.

/dev/kvm may exist, open and create VMs, and still hang every guest (nested clouds,
broken MSRs). So one is booted, with a time limit; the verdict is kept per kernel.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stacklab import files
from stacklab.errors import CommandFailed, CommandTimedOut
from stacklab.paths import HostPaths
from stacklab.process import Command, Runner

_QEMU = "qemu-system-x86_64"
_LIMIT_S = 10.0  # a healthy one panics, for want of a root file system, in under 2 s
_PROOF = "Kernel panic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """How guests run on this host, and why so."""

    name: str  # KVM or TCG
    reason: str

    @property
    def is_kvm(self) -> bool:
        """Whether the processor itself runs the guests."""
        return self.name == "KVM"

    @property
    def qemu_name(self) -> str:
        """QEMU's and Packer's word for it."""
        return "kvm" if self.is_kvm else "tcg"

    @property
    def libvirt_driver(self) -> str:
        """libvirt's domain type."""
        return "kvm" if self.is_kvm else "qemu"

    @property
    def cpu_model(self) -> str:
        """A QEMU CPU that works: under TCG the fastest known-good one."""
        return "host" if self.is_kvm else "qemu64"

    @property
    def cpu_features(self) -> tuple[str, ...]:
        """What nodes get on top, so that they can virtualize in turn.

        TCG emulates AMD SVM: a guest inside a node then boots in 2 s instead of 23.
        """
        return () if self.is_kvm else ("svm", "npt")

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})"


def pick(
    paths: HostPaths, runner: Runner, *, kernel: Path | None = None, device: Path = Path("/dev/kvm")
) -> Accelerator:
    """KVM if a kernel boots under it within seconds, TCG otherwise.

    `kernel` is tried first; without one that can be read, KVM stays unproved and TCG is taken,
    which is not remembered.
    """
    if not os.access(device, os.R_OK | os.W_OK):
        why = (
            "no right to open it: add yourself to group kvm" if device.exists() else "there is none"
        )
        return Accelerator(name="TCG", reason=f"{device}: {why}")
    known = _read(paths.accelerator)
    if known is not None:
        return known
    candidate = next(_kernels(paths, kernel), None)
    if candidate is None:
        return Accelerator(name="TCG", reason="no kernel at hand to try KVM with")
    verdict = _try(candidate, runner)
    paths.root.mkdir(parents=True, exist_ok=True)
    data = {"key": _key(), "name": verdict.name, "reason": verdict.reason}
    files.write(paths.accelerator, json.dumps(data) + "\n")
    return verdict


def _kernels(paths: HostPaths, given: Path | None) -> Iterator[Path]:
    candidates = [given] if given is not None else []
    candidates += sorted(paths.images.glob("*.vmlinuz"))
    candidates += [Path(f"/boot/vmlinuz-{platform.release()}"), Path("/boot/vmlinuz")]
    for path in candidates:
        if os.access(path, os.R_OK):
            yield path


def _try(kernel: Path, runner: Runner) -> Accelerator:
    argv = (
        _QEMU,
        "-machine",
        "pc,accel=kvm",
        "-cpu",
        "host",
        "-m",
        "256",
        "-nodefaults",
        "-display",
        "none",
        "-serial",
        "stdio",
        "-no-reboot",
        "-kernel",
        str(kernel),
        "-append",
        "console=ttyS0 panic=-1",
    )
    command = Command(argv=argv, what="trying a kernel under KVM", timeout_s=_LIMIT_S)
    try:
        result = runner.run(command)
    except CommandTimedOut:
        return Accelerator(
            name="TCG", reason=f"/dev/kvm opens, but a kernel hung for {_LIMIT_S:.0f} s under it"
        )
    except CommandFailed as error:
        last = str(error).strip().splitlines()[-1].strip(" |").rpartition(": ")[2]
        return Accelerator(
            name="TCG", reason=f"/dev/kvm opens, but QEMU under it fails: {last[:60]}"
        )
    if _PROOF in result.stdout:
        return Accelerator(name="KVM", reason=f"a kernel booted in {result.elapsed_s:.1f} s")
    return Accelerator(name="TCG", reason="/dev/kvm opens, but the kernel said nothing")


def _read(path: Path) -> Accelerator | None:
    try:
        data = json.loads(path.read_text())
        if data["key"] != _key():
            return None
        return Accelerator(name=str(data["name"]), reason=str(data["reason"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _key() -> str:
    """What the verdict holds for: this machine and its kernel."""
    return f"{platform.node()} {platform.release()}"
