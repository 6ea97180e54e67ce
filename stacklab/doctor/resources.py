"""Probes of memory, disk, libvirtd, the accelerator and the sources of images."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from stacklab.doctor.machine import Machine
from stacklab.doctor.result import ProbeArea, ProbeResult, ProbeStatus
from stacklab.model.lab import Lab, Size
from stacklab.paths import HostPaths

_QEMU_OVERHEAD = Size(150)  # a QEMU process beside its guest's memory
_IMAGE_DISK = Size(1024)
_NODE_DISK = Size(2048)
_LEAST_DISK = Size(1536)


def probe_memory(
    lab: Lab, machine: Machine, *, starting: Collection[str] | None = None
) -> ProbeResult:
    """Whether the nodes that are yet to start (all of them, when not named) fit in what is free."""
    nodes = [node for node in lab.nodes if starting is None or node.name in starting]
    need = sum(node.memory.mib + _QEMU_OVERHEAD.mib for node in nodes)
    text = machine.read_text(Path("/proc/meminfo"))
    available, swap = _meminfo_mib(text, "MemAvailable"), _meminfo_mib(text, "SwapFree") or 0
    if available is None:
        return _host(
            "memory",
            ProbeStatus.WARNING,
            "how much memory is free cannot be read from /proc/meminfo",
        )
    if need > available + swap:
        sentence = f"{lab.name} needs {_gib(need)} of memory, {_gib(available + swap)} is free"
        return _host("memory", ProbeStatus.FAILED, sentence, _less_memory(lab))
    if need > available:
        sentence = (
            f"{lab.name} needs {_gib(need)} of memory, {_gib(available)} is free: it will swap"
        )
        return _host("memory", ProbeStatus.WARNING, sentence, _less_memory(lab))
    return _host(
        "memory",
        ProbeStatus.OK,
        f"{lab.name} needs {_gib(need)} of memory, {_gib(available)} is free",
    )


def _less_memory(lab: Lab) -> str:
    return (
        f"give the nodes less memory in {lab.source}, or stop another lab: ./invoke lab.down NAME"
    )


def probe_disk(lab: Lab | None, host: HostPaths, machine: Machine) -> ProbeResult:
    """Whether an image and what the nodes will write fit."""
    free = machine.free_mib(host.root)
    need = _IMAGE_DISK.mib + _NODE_DISK.mib * (len(lab.nodes) if lab else 1)
    what = lab.name if lab else "an image with one node"
    sentence = f"{what} may come to use {_gib(need)} under {host.root}, {_gib(free)} is free"
    fix = "./invoke image.prune, or set STACKLAB_HOME to a larger disk"
    if free < _LEAST_DISK.mib:
        least = f"{_gib(free)} is free under {host.root}, too little for anything (least: {_gib(_LEAST_DISK.mib)})"
        return _host("disk", ProbeStatus.FAILED, least, fix)
    return (
        _host("disk", ProbeStatus.OK, sentence)
        if free >= need
        else _host("disk", ProbeStatus.WARNING, sentence, fix)
    )


def probe_root(host: HostPaths, machine: Machine) -> ProbeResult:
    """Whether we may write where everything is kept."""
    if machine.is_writable(host.root):
        return _host("home", ProbeStatus.OK, f"{host.root} can be written")
    fix = f"sudo install -d -o {machine.user} {host.root}, or set STACKLAB_HOME to a directory of yours"
    return _host(
        "home", ProbeStatus.FAILED, f"{host.root} cannot be written by {machine.user}", fix
    )


def probe_libvirt(problem: str | None, machine: Machine) -> ProbeResult:
    """Judge what connecting to libvirtd said; None is a connection."""
    if problem is None:
        return _provider(ProbeStatus.OK, "libvirtd answers")
    if re.search(r"system bus", problem, re.IGNORECASE):
        # It asks polkit, over D-Bus, who an ordinary user is; root is not asked about.
        fix = "sudo systemctl start dbus polkit, or use it as root where there is no systemd"
        return _provider(
            ProbeStatus.FAILED, f"libvirtd can't tell who {machine.user} is: {problem}", fix
        )
    if re.search(
        r"permission denied|not permitted|access denied|authentication|polkit",
        problem,
        re.IGNORECASE,
    ):
        fix = f"sudo usermod -aG libvirt {machine.user}, then log in again"
        return _provider(
            ProbeStatus.FAILED, f"libvirtd does not let {machine.user} in: {problem}", fix
        )
    if re.search(
        r"no such file|connection refused|failed to connect socket|end of file",
        problem,
        re.IGNORECASE,
    ):
        is_systemd = machine.read_text(Path("/proc/1/comm")).strip() == "systemd"
        fix = "sudo systemctl start libvirtd" if is_systemd else "virtlogd -d; libvirtd -d"
        return _provider(ProbeStatus.FAILED, f"libvirtd is not running: {problem}", fix)
    return _provider(
        ProbeStatus.FAILED, f"libvirtd does not answer: {problem}", "virsh -c qemu:///system list"
    )


def probe_accelerator(accelerator: str, reason: str = "") -> ProbeResult:
    """Judge the verdict on KVM: `kvm`, or `tcg` with the reason."""
    because = f": {reason}" if reason else ""
    if accelerator == "kvm":
        return _host("accelerator", ProbeStatus.OK, f"KVM boots a kernel{because}")
    sentence = f"nodes are emulated ({accelerator}), about ten times slower{because}"
    fix = "a host, or a guest with nested virtualization, whose KVM boots a kernel"
    return _host("accelerator", ProbeStatus.WARNING, sentence, fix)


def probe_sources(sources: Mapping[str, str | None]) -> tuple[ProbeResult, ...]:
    """Judge where images come from: source to problem, None being reachable."""
    results = []
    for name, problem in sources.items():
        if problem is None:
            results.append(_host("source", ProbeStatus.OK, f"{name} can be reached"))
        else:
            # An image that is built already, or the next of a lab's list, needs no source.
            sentence = f"{name} cannot be reached: {problem}"
            fix = "check the network or the proxy; name another image first in the lab's `image:`"
            results.append(_host("source", ProbeStatus.WARNING, sentence, fix))
    return tuple(results)


def host_memory(machine: Machine) -> Size | None:
    """All the memory of this host; None where it does not tell."""
    total = _meminfo_mib(machine.read_text(Path("/proc/meminfo")), "MemTotal")
    return Size(total) if total else None


def _meminfo_mib(text: str, name: str) -> int | None:
    match = re.search(rf"^{name}:\s*(\d{{1,18}}) kB", text, re.MULTILINE | re.ASCII)
    return int(match[1]) // 1024 if match else None


def _gib(mib: int) -> str:
    return f"{mib / 1024:.1f} GiB"


def _host(name: str, status: ProbeStatus, sentence: str, fix: str = "") -> ProbeResult:
    return ProbeResult(name=name, area=ProbeArea.HOST, status=status, sentence=sentence, fix=fix)


def _provider(status: ProbeStatus, sentence: str, fix: str = "") -> ProbeResult:
    return ProbeResult(
        name="libvirtd", area=ProbeArea.PROVIDER, status=status, sentence=sentence, fix=fix
    )
