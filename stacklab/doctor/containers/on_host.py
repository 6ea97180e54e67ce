"""Probes of what a container needs of this host: overlays, loop devices, cgroups, root."""

from __future__ import annotations

from pathlib import Path

from stacklab.doctor.containers import kernel
from stacklab.doctor.containers.kernel import Feature, Presence
from stacklab.doctor.containers.results import USE_VMS, failed, ok
from stacklab.doctor.containers.trying import why_not_as_root
from stacklab.doctor.machine import Machine
from stacklab.doctor.result import ProbeResult
from stacklab.tools.host import cgroups

_FILESYSTEMS = Path("/proc/filesystems")
_MOUNTS = Path("/proc/self/mountinfo")
_DEVICES = Path("/dev")


def probe_host(machine: Machine) -> tuple[ProbeResult, ...]:
    """Run the probes without which no container starts here."""
    return (
        _probe_overlay(machine),
        _probe_loop(machine),
        _probe_cgroups(machine),
        _probe_rights(machine),
    )


def _probe_overlay(machine: Machine) -> ProbeResult:
    # Lines such as `nodev	overlay`.
    words = machine.read_text(_FILESYSTEMS).split()
    if kernel.OVERLAY.module in words:
        return ok("overlay", "this kernel mounts overlays")
    if kernel.presence(machine, kernel.OVERLAY) is Presence.MODULE:
        return ok("overlay", "overlay is a module of this kernel, which the first mount loads")
    return failed(
        "overlay",
        "this kernel can't mount overlays, on which containers' roots are",
        _how_to_get(machine, kernel.OVERLAY),
    )


def _probe_loop(machine: Machine) -> ProbeResult:
    if "loop-control" in machine.list_dir(_DEVICES):
        return ok("loop", "this kernel has loop devices")
    return failed(
        "loop",
        "this host has no /dev/loop-control, by which containers' base image is mounted",
        _how_to_get(machine, kernel.LOOP),
    )


def _how_to_get(machine: Machine, feature: Feature) -> str:
    if kernel.presence(machine, feature) is Presence.ABSENT:
        return f"boot a kernel with CONFIG_{feature.option}, or {USE_VMS}"
    return f"sudo modprobe {feature.module}, or {USE_VMS}"


def _probe_cgroups(machine: Machine) -> ProbeResult:
    root = cgroups.find_root(machine.read_text(_MOUNTS))
    if root is not None:
        return ok("cgroup2", f"cgroup version 2 is at {root}")
    return failed(
        "cgroup2",
        "cgroup version 2 is not mounted, by which containers are told apart",
        cgroups.HOW_TO_MOUNT,
    )


def _probe_rights(machine: Machine) -> ProbeResult:
    """Probe if we can be root, and if this host lets root make mounts and networks."""
    if not machine.is_root:
        why_not = why_not_as_root(machine, "true")
        if why_not:
            return failed(
                "root",
                f"{machine.user} is not root without a password, and only root starts "
                f"containers: {why_not}",
                f"let {machine.user} use sudo without a password (sudo visudo), or be root",
            )
    # Both end with the program: neither the mount nor the network is to be seen elsewhere.
    trial = ("unshare", "--mount", "--net", "mount", "-t", "tmpfs", "tmpfs", "/run")
    why_not = why_not_as_root(machine, *trial)
    if why_not:
        return failed(
            "namespaces",
            f"this host forbids root to make mounts or networks, as in a container: {why_not}",
            "run stacklab on the machine itself or in a VM (of docker: --privileged), or "
            + USE_VMS,
        )
    return ok("namespaces", "root may make mounts and networks of its own")
