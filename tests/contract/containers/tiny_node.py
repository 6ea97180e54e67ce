"""A node for machine.sh that is a few programs of this host, and an init of ours.

The init writes what it finds to the file `tries`, a line each: a word, a colon and what became of
it. The last line is `end: yes`.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from stacklab.images.root import RootDisk
from stacklab.paths import HostPaths
from stacklab.process import SubprocessRunner
from stacklab.providers.containers import handles
from stacklab.providers.containers.handles import Container
from stacklab.providers.containers.machines import Machines
from stacklab.providers.containers.plans import ContainerPlan, NicPlan
from stacklab.tools.host import cgroups

# Put on the node, with their libraries: all of them are on every Debian.
COPIED = (
    "sh",
    "cat",
    "grep",
    "head",
    "id",
    "mkdir",
    "mknod",
    "mount",
    "perl",
    "sleep",
    "stat",
    "tr",
)
NEEDED = ("systemd-nspawn", "mke2fs", "ldd", "unshare", *COPIED)
MISSING = [program for program in NEEDED if shutil.which(program) is None]

# The numbers of the system calls init_module, keyctl and clock_settime.
CALLS = {"x86_64": (175, 250, 227), "aarch64": (105, 219, 112)}

NEEDS = (
    pytest.mark.skipif(os.geteuid() != 0, reason="containers are root's"),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
    pytest.mark.skipif(platform.machine() not in CALLS, reason="its system calls are not known"),
    pytest.mark.skipif(cgroups.root() is None, reason="this host has no cgroup version 2"),
)

# SIGRTMIN+3, by which systemd-nspawn asks for a power-off.
WAITS = """
echo "end: yes" >>/tries
trap 'exit 0' 37
sleep 600 &
wait
"""


def make_disk(directory: Path, init: str) -> RootDisk:
    """Return a disk with the programs of this host that a node needs, and its init."""
    root = directory / "root"
    for name in ("dev", "etc", "proc", "run", "sys", "tmp", "usr/bin", "usr/lib", "var/log"):
        (root / name).mkdir(parents=True)
    for link in ("bin", "sbin", "lib"):
        (root / link).symlink_to("usr/bin" if link != "lib" else "usr/lib")
    (root / "lib64").symlink_to("usr/lib")
    (root / "etc" / "os-release").write_text("ID=test\n")
    for program in COPIED:
        found = shutil.which(program)
        assert found is not None
        shutil.copy(found, root / "usr" / "bin" / program)
        listed = subprocess.run(("ldd", found), capture_output=True, text=True, check=True).stdout
        for word in listed.split():
            if word.startswith("/"):
                shutil.copy(word, root / "usr" / "lib")
    file = root / "usr" / "bin" / "init"
    file.write_text(f"#!/bin/sh\n{init}\n")
    file.chmod(0o755)
    disk = directory / "stacklab-tiny.img"
    argv = ("mke2fs", "-q", "-t", "ext4", "-E", "root_owner=0:0", "-d", str(root), str(disk), "64M")
    subprocess.run(argv, check=True, capture_output=True)
    return RootDisk(
        path=disk, offset=0, filesystem="ext4", sha256="", size_bytes=64 << 20, mtime_ns=0
    )


@dataclass(frozen=True)
class TinyNode:
    """A node that may be started; `home` is the directory in which it lives."""

    home: Path
    disk: RootDisk
    container: Container
    machines: Machines
    is_privileged: bool

    @classmethod
    def make(cls, home: Path, init: str, *, is_privileged: bool) -> TinyNode:
        """Return a node with that init, made in a directory that exists."""
        paths = HostPaths(home).lab("tiny")
        paths.console("node").parent.mkdir(parents=True)
        seed = home / "seed"
        seed.write_text("secret\n")
        seed.chmod(0o600)
        machine = handles.machine_of(home / "node")
        return cls(
            home=home,
            disk=make_disk(home, init),
            container=Container(name="node", machine=machine, directory=home / "node", seed=seed),
            machines=Machines(SubprocessRunner(), paths),
            is_privileged=is_privileged,
        )

    @property
    def console(self) -> Path:
        """The file with what its init prints."""
        return HostPaths(self.home).lab("tiny").console("node")

    @property
    def group(self) -> Path:
        """Its cgroup, of version 2."""
        return self.machines.group(self.container)

    def start(self, *nics: NicPlan) -> None:
        """Boot it."""
        plan = ContainerPlan(
            name="node",
            cpus="0",
            memory_bytes=256 << 20,
            devices=("/dev/net/tun",),
            nics=nics,
            is_privileged=self.is_privileged,
        )
        self.machines.start(self.container, plan, self.disk)

    def remove(self) -> None:
        """End it, and remove all that it has."""
        self.machines.remove(self.container)

    def wait_for_tries(self) -> Mapping[str, str]:
        """Return what its init has found, once that is at its end."""
        file = self.container.directory / "upper" / "tries"
        for _ in range(300):
            if file.exists() and "end: yes" in file.read_text():
                return dict(line.split(": ", 1) for line in file.read_text().splitlines())
            time.sleep(0.1)
        pytest.fail(f"the node did not come to its end: {self.console.read_text()}")
