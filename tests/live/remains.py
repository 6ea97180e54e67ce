"""What is left of a lab on this host."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from stacklab.paths import HostPaths
from stacklab.providers import registry
from stacklab.providers.containers.handles import is_container
from stacklab.tools.network import iptables
from tests.live.labs import HOME

# The names of all containers that were ever on record, to see that nothing of them is left.
MACHINES: set[str] = set()


def virsh(*words: str) -> list[str]:
    """The names that a virsh list prints."""
    argv = ("virsh", "-c", "qemu:///system", *words, "--name")
    return subprocess.run(
        argv, capture_output=True, text=True, check=True, timeout=30
    ).stdout.split()


def why_virsh_fails() -> str | None:
    """Why libvirtd does not answer; None: it does."""
    try:
        virsh("list")
    except subprocess.CalledProcessError as error:
        return str(error.stderr)
    return None


def processes(needle: str) -> list[str]:
    """Command lines of processes that mention a string."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if needle in line and entry.parent.name != str(os.getpid()):
            found.append(line[:200])
    return found


def left_of(lab: str) -> list[str]:
    """Everything of a lab that can still be seen on this host."""
    left = [f"domain {name}" for name in virsh("list", "--all") if name.startswith(f"{lab}_")]
    left += [f"network {name}" for name in virsh("net-list", "--all") if name.startswith(f"{lab}_")]
    left += left_of_containers()
    chain = iptables.chain_of(lab)
    left += [f"rule {line}" for line in host_firewall() if chain in line]
    left += [f"volume {path}" for path in (HOME / "volumes").glob(f"{lab}_*")]
    left += [f"directory {path}" for path in (HOME / "labs").glob(lab)]
    left += [
        f"process {line}" for line in processes(f"{HOME}/labs/{lab}/") + processes(f"guest={lab}_")
    ]
    left += [f"lock {path}" for path in (HOME / "locks").glob(f"lab.{lab}.lock")]
    index = (
        Path(os.environ.get("VAGRANT_HOME", Path.home() / ".vagrant.d"))
        / "data"
        / "machine-index"
        / "index"
    )
    if index.is_file() and f"{HOME}/labs/{lab}" in index.read_text():
        left.append(f"vagrant's index {index}")
    return left


def host_firewall() -> list[str]:
    """All rules of this host."""
    argv = ("iptables-save",)
    return subprocess.run(
        argv, capture_output=True, text=True, check=True, timeout=30
    ).stdout.splitlines()


def recorded_machines() -> set[str]:
    """The names of all containers that labs of ours have on record."""
    machines = set()
    for lab in HostPaths(HOME).recorded_labs():
        record = registry.read(HostPaths(HOME).lab(lab))
        if record is not None:
            machines |= {node.handle["machine"] for node in record.nodes if is_container(node)}
    return machines


def left_of_containers() -> list[str]:
    """Cgroups and interfaces of containers of ours that no lab has on record any more."""
    gone = MACHINES - recorded_machines()
    found = [path for path in Path("/sys/fs/cgroup").glob("**/stacklab/*") if path.is_dir()]
    found += Path("/sys/class/net").glob("sl*")
    return [str(path) for path in found if path.name.partition("-")[0] in gone]


def bridges() -> Sequence[str]:
    """The bridges that stacklab names."""
    return [path.name for path in Path("/sys/class/net").glob("sl-*")]


def assert_gone(lab: str, limit_s: float = 10) -> None:
    """Fail unless nothing of a lab is left soon: a killed command's children need a moment to end."""
    deadline = time.monotonic() + limit_s
    while left_of(lab) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert left_of(lab) == []
