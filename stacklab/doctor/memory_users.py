"""Who has this host's memory: labs, and the largest other programs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from stacklab.doctor.machine import Machine
from stacklab.foreign import printable
from stacklab.model.lab import Lab, NodeKind
from stacklab.paths import HostPaths
from stacklab.providers.containers.handles import machine_of

_PROC = Path("/proc")
_MOST_PROGRAMS = 3
_LEAST_MIB = 64  # who has less is not the reason
# Pages of files are left out: the kernel takes them back when somebody needs memory.
_TAKEN = re.compile(r"^Rss(?:Anon|Shmem):\s+(\d{1,18}) kB$", re.MULTILINE | re.ASCII)
_NAME = re.compile(r"^Name:\s+(.+)$", re.MULTILINE)
_GROUP = re.compile(r"/stacklab/(sl[0-9a-f]{8})(?:/|$)", re.MULTILINE)
# How libvirt names a domain to its QEMU; ours are LAB_NODE.
_GUEST = re.compile(r"\0guest=(?P<lab>[a-z0-9-]+)_[a-z0-9-]+[,\0]")


class _MemoryUser(NamedTuple):
    """A process: the lab that it belongs to, "" for none, and the memory that it has."""

    name: str
    lab: str
    mib: int


def sentence(machine: Machine, host: HostPaths, labs: Iterable[Lab]) -> str:
    """Return a line on who has the memory, the largest first; "" where nobody can be named.

    `labs` are those on record on this host.
    """
    of_labs: Counter[str] = Counter()
    of_programs: Counter[str] = Counter()
    count: Counter[str] = Counter()
    for process in _processes(machine, _lab_by_machine(host, labs)):
        if process.lab:
            of_labs[process.lab] += process.mib
        else:
            of_programs[process.name] += process.mib
            count[process.name] += 1
    phrases: list[str] = []
    for lab, mib in of_labs.most_common():
        if mib >= _LEAST_MIB:
            phrases.append(f"lab {lab} {_gib(mib)}")
    for name, mib in of_programs.most_common(_MOST_PROGRAMS):
        if mib >= _LEAST_MIB:
            times = f" in {count[name]} processes" if count[name] > 1 else ""
            phrases.append(f"{name} {_gib(mib)}{times}")
    return f"the memory is with {', '.join(phrases)}" if phrases else ""


def _lab_by_machine(host: HostPaths, labs: Iterable[Lab]) -> Mapping[str, str]:
    """Return the lab of each container, by the container's name on this host."""
    names: dict[str, str] = {}
    for lab in labs:
        paths = host.lab(lab.name)
        for node in lab.of_kind(NodeKind.CONTAINER):
            names[machine_of(paths.container(node.name))] = lab.name
    return names


def _processes(machine: Machine, lab_by_machine: Mapping[str, str]) -> Iterator[_MemoryUser]:
    for number in machine.list_dir(_PROC):
        if not number.isdecimal():
            continue
        directory = _PROC / number
        status = machine.read_text(directory / "status")
        mib = sum(int(kib) for kib in _TAKEN.findall(status)) // 1024
        name = _NAME.search(status)
        if name is None or mib == 0:  # it has ended meanwhile, or is the kernel's
            continue
        lab = _lab_of(
            machine.read_text(directory / "cmdline"),
            machine.read_text(directory / "cgroup"),
            lab_by_machine,
        )
        # Anybody may give a process any name.
        yield _MemoryUser(name=printable(name[1], indent=""), lab=lab, mib=mib)


def _lab_of(cmdline: str, cgroup: str, lab_by_machine: Mapping[str, str]) -> str:
    group = _GROUP.search(cgroup)
    if group is not None:
        return lab_by_machine.get(group[1], "")
    guest = _GUEST.search(cmdline)
    return guest["lab"] if guest is not None else ""


def _gib(mib: int) -> str:
    return f"{mib / 1024:.1f} GiB"
