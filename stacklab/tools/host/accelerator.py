"""Choice between KVM and TCG (QEMU's emulator), by booting a kernel under KVM.

/dev/kvm may exist, open and create VMs, and still hang every guest: nested clouds and broken
MSRs do that. So a kernel is booted with a time limit. The verdict is kept for the host's kernel.
"""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass
from pathlib import Path

from stacklab import files
from stacklab.errors import CommandFailed, CommandTimedOut
from stacklab.paths import HostPaths
from stacklab.process.command import Command, Runner

_QEMU = "qemu-system-x86_64"
_LIMIT_S = 10.0
# Without a root file system a kernel that boots panics, in under 2 s where KVM works.
_PROOF = "Kernel panic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """How guests run on this host, and the reason for it."""

    name: str  # KVM or TCG
    reason: str

    @property
    def is_kvm(self) -> bool:
        """Return True if the processor itself runs the guests."""
        return self.name == "KVM"

    @property
    def qemu_name(self) -> str:
        """Return the name that QEMU and Packer use."""
        return "kvm" if self.is_kvm else "tcg"

    @property
    def libvirt_driver(self) -> str:
        """Return libvirt's domain type."""
        return "kvm" if self.is_kvm else "qemu"

    @property
    def cpu_model(self) -> str:
        """Return a QEMU CPU model that works; for TCG, the fastest one that does."""
        return "host" if self.is_kvm else "qemu64"

    @property
    def cpu_features(self) -> tuple[str, ...]:
        """Return the CPU features that a node needs to run guests of its own.

        TCG emulates AMD SVM: a guest inside a node then boots in 2 s instead of 23 s.
        """
        return () if self.is_kvm else ("svm", "npt")

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})"


def pick(
    paths: HostPaths, runner: Runner, *, kernel: Path | None = None, device: Path = Path("/dev/kvm")
) -> Accelerator:
    """Return KVM if a kernel boots under it within seconds, else TCG.

    `kernel` is tried before those that this host has. If none can be read, the answer is TCG and
    is not kept: a kernel may be there the next time.
    """
    if not os.access(device, os.R_OK | os.W_OK):
        problem = "it does not exist"
        if device.exists():
            problem = "you may not open it: add yourself to the group kvm"
        return _emulated(f"{device}: {problem}")
    # After the look at the device: somebody may have lost the right to open it since.
    kept = _read_verdict(paths.accelerator)
    if kept is not None:
        return kept
    candidate = _find_kernel(paths, kernel)
    if candidate is None:
        return _emulated("no kernel was found to try KVM with")
    verdict = _try_kernel(candidate, runner)
    data = {"key": _host_key(), "name": verdict.name, "reason": verdict.reason}
    files.write(paths.accelerator, json.dumps(data) + "\n")
    return verdict


def _emulated(reason: str) -> Accelerator:
    return Accelerator(name="TCG", reason=reason)


def _find_kernel(paths: HostPaths, first: Path | None) -> Path | None:
    """Return the first kernel that we may read; Ubuntu, for one, hides /boot's from users."""
    candidates = [first] if first is not None else []
    candidates += sorted(paths.images.glob("*.vmlinuz"))
    candidates += [Path(f"/boot/vmlinuz-{platform.release()}"), Path("/boot/vmlinuz")]
    for path in candidates:
        if os.access(path, os.R_OK):
            return path
    return None


def _try_kernel(kernel: Path, runner: Runner) -> Accelerator:
    argv = (
        _QEMU,
        "-machine",
        "pc,accel=kvm",
        "-cpu",
        "host",
        "-m",
        "256",  # MiB: enough to unpack a kernel
        "-nodefaults",
        "-display",
        "none",
        "-serial",
        "stdio",
        "-no-reboot",  # with panic=-1 QEMU ends as soon as the kernel finds no root
        "-kernel",
        str(kernel),
        "-append",
        "console=ttyS0 panic=-1",
    )
    command = Command(argv=argv, what="trying a kernel under KVM", timeout_s=_LIMIT_S)
    try:
        result = runner.run(command)
    except CommandTimedOut:
        return _emulated(f"/dev/kvm opens, but a kernel hung under it for {_LIMIT_S:.0f} s")
    except CommandFailed as error:
        # The message ends with QEMU's last line: `  | qemu-system-x86_64: REASON`.
        last_line = str(error).strip().splitlines()[-1].strip(" |")
        reason = last_line.rpartition(": ")[2]
        return _emulated(f"/dev/kvm opens, but QEMU fails with it: {reason[:60]}")
    if _PROOF in result.stdout:
        return Accelerator(name="KVM", reason=f"a kernel booted in {result.elapsed_s:.1f} s")
    return _emulated("/dev/kvm opens, but the kernel printed nothing")


def _read_verdict(path: Path) -> Accelerator | None:
    """Return the verdict that was kept; None if it is damaged, or for another kernel."""
    try:
        data = json.loads(path.read_text())
        # Another kernel of the host may well run guests under KVM.
        if data["key"] != _host_key():
            return None
        return Accelerator(name=str(data["name"]), reason=str(data["reason"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _host_key() -> str:
    """Return what the verdict is valid for: this machine with this kernel."""
    return f"{platform.node()} {platform.release()}"
