"""A host for the probes, healthy unless told otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from stacklab.doctor.machine import Machine
from stacklab.process import Command, Result
from tests.unit.checks.fake_lab import FakeRunner

GEMS = "/usr/share/rubygems-integration/all/specifications"
VERSIONS = {
    "qemu-system-x86_64": "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)",
    "qemu-img": "qemu-img version 7.2.22 (Debian 1:7.2)",
    "virsh": "9.0.0",
    "vagrant": "Vagrant 2.3.4",
    "packer": "Packer v1.6.6",
    "mmdebstrap": "mmdebstrap 1.3.5",
    "extlinux": "extlinux 6.04  Copyright 1994-2015 H. Peter Anvin et al",
    "sfdisk": "sfdisk from util-linux 2.38.1",
    "mke2fs": "mke2fs 1.47.0 (5-Feb-2023)",
    "setpriv": "setpriv from util-linux 2.38.1",
    "flock": "flock from util-linux 2.38.1",
    "ssh": "OpenSSH_9.2p1 Debian-2+deb12u10, OpenSSL 3.0.19 27 Jan 2026",
    "fping": "fping: Version 5.1",
    "zstd": "*** Zstandard CLI (64-bit) v1.5.4, by Yann Collet ***",
    "setfacl": "setfacl 2.3.1",
    "ebtables": "ebtables 1.8.9 (nf_tables)",
    "systemd-nspawn": "systemd 252 (252.39-1~deb12u2)\n+PAM +AUDIT +SELINUX",
}
# What containers need.
CONTAINER_FILES = {
    "/proc/filesystems": "nodev\tsysfs\nnodev\toverlay\n\text4\n",
    "/proc/self/mountinfo": "41 31 0:38 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n",
    "/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids\n",
    "/proc/sys/fs/inotify/max_user_instances": "1024\n",
    "/proc/sys/fs/inotify/max_user_watches": "100000\n",
}
RELEASE = "6.1.0-test"


def link(name: str, *addresses: str) -> dict[str, Any]:
    """One interface as `ip -json addr` tells it."""
    infos = [
        {"family": "inet", "local": a.partition("/")[0], "prefixlen": int(a.partition("/")[2])}
        for a in addresses
    ]
    infos.append({"family": "inet6", "local": "fe80::1", "prefixlen": 64})
    return {"ifname": name, "addr_info": infos}


def gems_dir(*gems: str) -> Callable[[Path], tuple[str, ...]]:
    """A `list_dir` of a host that has these gems."""
    return directories({GEMS: gems})


def directories(names: Mapping[str, tuple[str, ...]]) -> Callable[[Path], tuple[str, ...]]:
    """A `list_dir` of a host that has these directories."""
    return lambda path: names.get(str(path), ())


def make_machine(
    *,
    absent: Collection[str] = (),
    files: Mapping[str, str] | None = None,
    devices: tuple[str, ...] = ("loop-control",),
    modules: tuple[str, ...] = (),
    kernel_config: str = "",
    available_mib: int = 16_000,
    swap_mib: int = 0,
    links: Collection[dict[str, Any]] = (),
    routes: Collection[dict[str, Any]] = (),
    says: Callable[[Command], Result] | None = None,
) -> Machine:
    """A Debian 12 with everything, less what is given; see also dataclasses.replace."""
    meminfo = (
        "MemTotal: 99999999 kB\n"
        f"MemAvailable: {available_mib * 1024} kB\n"
        f"SwapFree: {swap_mib * 1024} kB\n"
    )
    texts = {"/proc/meminfo": meminfo, "/proc/1/comm": "systemd\n"}
    texts |= {**CONTAINER_FILES, **(files or {})}

    def fake_answer(command: Command) -> Result:
        program = Path(command.argv[0]).name
        if program == "ip":
            found = routes if "route" in command.argv else [link("lo", "127.0.0.1/8"), *links]
            return Result(exit_code=0, stdout=json.dumps(list(found)))
        if program == "ssh":
            return Result(exit_code=0, stderr=VERSIONS[program])
        if program in ("unshare", "sudo", "env"):
            return Result(exit_code=0)
        return Result(exit_code=0, stdout=VERSIONS[program])

    return Machine(
        runner=FakeRunner(says or fake_answer),
        which=lambda name: None if name in absent else f"/usr/bin/{name}",
        read_text=lambda path: texts.get(str(path), ""),
        list_dir=directories(
            {
                GEMS: ("vagrant-2.3.4.gemspec", "vagrant-libvirt-0.11.2.gemspec"),
                "/dev": devices,
                "/sys/module": modules,
            }
        ),
        kernel_config=lambda: kernel_config,
        release=RELEASE,
        cpus=4,
        is_root=True,
        free_mib=lambda path: 100_000,
        is_writable=lambda path: True,
        is_open_to_all=lambda path: False,
        home=Path("/home/me"),
        user="me",
    )
