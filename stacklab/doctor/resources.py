"""Probes of memory, disk, libvirtd, the accelerator and the sources of images."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from stacklab.doctor import memory_users
from stacklab.doctor.machine import Machine
from stacklab.doctor.result import ProbeArea, ProbeResult, ProbeStatus
from stacklab.model.lab import Lab, NodeKind, Size
from stacklab.paths import HostPaths
from stacklab.settings import MOST_OVERCOMMIT

# What libvirt's client library says instead of connecting, what that means, and what to do. The
# first match counts: the error of a bus that is not there also names a file.
_LIBVIRT_PROBLEMS = (
    (
        # libvirtd asks polkit, over D-Bus, who an ordinary user is; it does not ask about root.
        re.compile(r"system bus", re.IGNORECASE),
        "libvirtd can't tell who {user} is: {problem}",
        "sudo systemctl start dbus polkit, or use it as root where there is no systemd",
    ),
    (
        # Of a socket that we may not open.
        re.compile(
            r"permission denied|not permitted|access denied|authentication|polkit", re.IGNORECASE
        ),
        "libvirtd does not let {user} in: {problem}",
        "sudo usermod -aG libvirt {user}, then log in again",
    ),
    (
        # Of a socket without a daemon.
        re.compile(
            r"no such file|connection refused|failed to connect socket|end of file", re.IGNORECASE
        ),
        "libvirtd is not running: {problem}",
        "{start}",
    ),
)

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MEMINFO = Path("/proc/meminfo")
_QEMU_OVERHEAD = Size(150)  # of a QEMU process, beside its guest's memory
_CONTAINER_MEMORY = Size(64)  # of a container that has just booted
_IMAGE_DISK = Size(1024)  # of a base image
_NODE_DISK = Size(2048)  # what a node writes to its overlay
_LEAST_DISK = Size(1536)  # an image, and a node that has just booted


def probe_memory(
    lab: Lab,
    machine: Machine,
    *,
    host: HostPaths,
    starting: Collection[str] | None = None,
    others: Collection[Lab] = (),
    overcommit: float = 1.0,
) -> ProbeResult:
    """Probe if the nodes that are yet to start, by default all, fit into the free memory.

    `others` are the other labs on record, which may have it. Of the nodes' memory,
    one part in `overcommit` has to be free.
    """
    need = _memory_needed(lab, starting)
    text = machine.read_text(_MEMINFO)
    available = _meminfo_mib(text, "MemAvailable")
    swap = _meminfo_mib(text, "SwapFree") or 0
    if available is None:
        sentence = "the free memory cannot be read from /proc/meminfo"
        return _host_result("memory", ProbeStatus.WARNING, sentence)
    needs = f"{lab.name} needs {_gib(need)} of memory"
    if need <= available:
        return _host_result("memory", ProbeStatus.OK, f"{needs}, {_gib(available)} is free")
    users = memory_users.sentence(machine, host, (lab, *others))
    # Swap counts, with a warning: a node that is swapped out is slow, but it runs.
    fix = f"give the nodes less memory in {lab.source}, or stop another lab: ./invoke lab.down NAME"
    if need <= available + swap:
        sentence = _and_users(f"{needs}, {_gib(available)} is free: it will swap", users)
        return _host_result("memory", ProbeStatus.WARNING, sentence, fix)
    sentence = f"{needs}, {_gib(available + swap)} is free"
    if need <= (available + swap) * overcommit:
        sentence += (
            f" and overcommit allows {overcommit:g} times that: once nodes use what they were "
            "given, this host swaps, and its kernel kills processes, nodes among them"
        )
        result = _host_result("memory", ProbeStatus.WARNING, _and_users(sentence, users), fix)
        return dataclasses.replace(result, is_said=True)
    if need > (_meminfo_mib(text, "MemTotal") or need) * overcommit:
        fix = f"give the nodes less memory in {lab.source}, or take a larger host"
    if need <= (available + swap) * MOST_OVERCOMMIT:
        fix += f"; {host.settings} can allow more than is free (overcommit, docs/your-labs.md)"
    return _host_result("memory", ProbeStatus.FAILED, _and_users(sentence, users), fix)


def _and_users(sentence: str, users: str) -> str:
    """Return a sentence with who has the memory, if that is known."""
    return f"{sentence}; {users}" if users else sentence


def _memory_needed(lab: Lab, starting: Collection[str] | None) -> int:
    """Return in MiB what the nodes that are yet to start will take; None: all of them."""
    need = 0
    for node in lab.nodes:
        if starting is not None and node.name not in starting:
            continue
        if node.kind is NodeKind.CONTAINER:
            # Its memory is a limit: the host gives it what it uses.
            need += _CONTAINER_MEMORY.mib
        else:
            need += node.memory.mib + _QEMU_OVERHEAD.mib
    return need


def probe_disk(lab: Lab | None, host: HostPaths, machine: Machine) -> ProbeResult:
    """Probe if an image and what the nodes will write fit on the disk."""
    free = machine.free_mib(host.root)
    nodes = len(lab.nodes) if lab else 1
    # A further disk begins empty, too, but people have one because they want to write to it.
    further = sum(min(size.mib, _NODE_DISK.mib) for size in _further_disks(lab))
    need = _IMAGE_DISK.mib + _NODE_DISK.mib * nodes + further
    user = lab.name if lab else "an image with one node"
    root = _escape_path(host.root)
    sentence = f"{user} may need {_gib(need)} under {root}, {_gib(free)} is free"
    fix = "./invoke image.prune, or set STACKLAB_HOME to a directory on a larger disk"
    if free < _LEAST_DISK.mib:
        least = _gib(_LEAST_DISK.mib)
        sentence = f"{_gib(free)} is free under {root}, at least {least} are needed"
        return _host_result("disk", ProbeStatus.FAILED, sentence, fix)
    # Only a warning: overlays are sparse, and few nodes write as much as they may.
    if free < need:
        return _host_result("disk", ProbeStatus.WARNING, sentence, fix)
    return _host_result("disk", ProbeStatus.OK, sentence)


def _further_disks(lab: Lab | None) -> Collection[Size]:
    """Return the sizes of all further disks; of a shared one once."""
    sizes: dict[tuple[str, str], Size] = {}
    for node in lab.nodes if lab else ():
        for disk in node.disks:
            sizes["" if disk.is_shared else node.name, disk.name] = disk.size
    return sizes.values()


def probe_root(host: HostPaths, machine: Machine, lab: Lab | None = None) -> ProbeResult:
    """Probe if we, and not everybody, may write to the directories in which labs are kept."""
    if _CONTROL.search(str(host.root)):
        # A line of ssh's file ends there.
        sentence = f"there is a control character in the name {str(host.root)!a}"
        fix = "set STACKLAB_HOME to a directory with another name"
        return _host_result("home", ProbeStatus.FAILED, sentence, fix)
    try:
        str(host.root).encode()
    except UnicodeEncodeError:
        # ssh's and libvirt's files hold the path, and libvirt's must be UTF-8.
        sentence = f"the name of {_escape_path(host.root)} is not UTF-8"
        fix = "set STACKLAB_HOME to a directory with another name"
        return _host_result("home", ProbeStatus.FAILED, sentence, fix)
    if not machine.is_writable(host.root):
        sentence = f"{host.root} cannot be written by {machine.user}"
        fix = (
            f"sudo install -d -o {machine.user} {host.root}, "
            "or set STACKLAB_HOME to a directory of your own"
        )
        return _host_result("home", ProbeStatus.FAILED, sentence, fix)
    directories = [host.root, host.labs, host.images, host.volumes]
    if lab:
        directories.append(host.lab(lab.name).root)
    open_to_all = [str(path) for path in directories if machine.is_open_to_all(path)]
    if open_to_all:
        # Whoever can replace a lab's ssh_config or Vagrantfile runs commands as its user.
        sentence = f"every user of this host may write to {', '.join(open_to_all)}"
        fix = f"chmod o-w {' '.join(open_to_all)}"
        return _host_result("home", ProbeStatus.FAILED, sentence, fix)
    return _host_result("home", ProbeStatus.OK, f"{host.root} can be written")


def probe_libvirt(problem: str | None, machine: Machine) -> ProbeResult:
    """Judge the error of connecting to libvirtd; None means that it answered."""
    if problem is None:
        return _libvirtd_result(ProbeStatus.OK, "libvirtd answers")
    user = machine.user
    start = _start_command(machine)
    for pattern, sentence, fix in _LIBVIRT_PROBLEMS:
        if pattern.search(problem):
            return _libvirtd_result(
                ProbeStatus.FAILED,
                sentence.format(user=user, problem=problem),
                fix.format(user=user, start=start),
            )
    sentence = f"libvirtd does not answer: {problem}"
    return _libvirtd_result(ProbeStatus.FAILED, sentence, "virsh -c qemu:///system list")


def _start_command(machine: Machine) -> str:
    is_systemd = machine.read_text(Path("/proc/1/comm")).strip() == "systemd"
    return "sudo systemctl start libvirtd" if is_systemd else "virtlogd -d; libvirtd -d"


def probe_accelerator(accelerator: str, reason: str = "") -> ProbeResult:
    """Judge the verdict about KVM: `kvm` or `tcg`, and the reason."""
    because = f": {reason}" if reason else ""
    if accelerator == "kvm":
        return _host_result("accelerator", ProbeStatus.OK, f"KVM boots a kernel{because}")
    sentence = f"nodes are emulated ({accelerator}), about ten times slower{because}"
    fix = (
        "use containers (lab.up --as containers), or a host, or a guest with nested "
        "virtualization, whose KVM boots a kernel"
    )
    return _host_result("accelerator", ProbeStatus.WARNING, sentence, fix)


def probe_sources(sources: Mapping[str, str | None]) -> tuple[ProbeResult, ...]:
    """Judge the sources of images: their problem by name, or None for one that can be reached."""
    results = []
    for name, problem in sources.items():
        if problem is None:
            results.append(_host_result("source", ProbeStatus.OK, f"{name} can be reached"))
        else:
            # Only a warning: an image may be built already, or a lab may name another one.
            sentence = f"{name} cannot be reached: {problem}"
            fix = "check the network or the proxy; name another image first in the lab's `image:`"
            results.append(_host_result("source", ProbeStatus.WARNING, sentence, fix))
    return tuple(results)


def _meminfo_mib(text: str, name: str) -> int | None:
    # `MemAvailable:   12345678 kB`
    match = re.search(rf"^{name}:\s*(\d{{1,18}}) kB", text, re.MULTILINE | re.ASCII)
    if match is None:
        return None
    return int(match[1]) // 1024


def _escape_path(path: Path) -> str:
    """Return a path as text; bytes that are not UTF-8, which a terminal refuses, are escaped."""
    return str(path).encode(errors="backslashreplace").decode()


def _gib(mib: int) -> str:
    return f"{mib / 1024:.1f} GiB"


def _host_result(name: str, status: ProbeStatus, sentence: str, fix: str = "") -> ProbeResult:
    return ProbeResult(name=name, area=ProbeArea.HOST, status=status, sentence=sentence, fix=fix)


def _libvirtd_result(status: ProbeStatus, sentence: str, fix: str = "") -> ProbeResult:
    return ProbeResult(
        name="libvirtd", area=ProbeArea.PROVIDER, status=status, sentence=sentence, fix=fix
    )
