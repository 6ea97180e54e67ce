"""Probes of the controllers by which cgroups bound what a container takes of this host."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from stacklab.doctor.containers.results import ok, result_of
from stacklab.doctor.machine import Machine
from stacklab.doctor.result import ProbeResult, ProbeStatus
from stacklab.tools.host import cgroups

_MOUNTS = Path("/proc/self/mountinfo")
_ONLY_VERSION_2 = Path("/sys/fs/cgroup")  # where version 2 is on hosts without version 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Controller:
    """A controller of cgroups; `cost` is what a node may do on a host without it."""

    name: str
    cost: str
    option: str  # of the kernel's configuration
    parameter: str = ""  # of the kernel's command line, by which distributions switch it on


_CONTROLLERS = (
    _Controller(
        name="memory",
        cost="a node may take all memory of this host, whatever its spec says",
        option="CONFIG_MEMCG",
        parameter="cgroup_enable=memory",
    ),
    _Controller(
        name="cpu",
        cost="on CPUs that nodes share, the one with more processes gets more of the time",
        option="CONFIG_CGROUP_SCHED",
    ),
    _Controller(
        name="pids",
        cost="a node may start processes until this host has none left, as a fork bomb does",
        option="CONFIG_CGROUP_PIDS",
    ),
)


def probe_controllers(machine: Machine, *, is_said: bool) -> tuple[ProbeResult, ...]:
    """Tell which controllers this host lacks, and what that costs; containers run without."""
    mounts = machine.read_text(_MOUNTS)
    root = cgroups.find_root(mounts)
    if root is None:
        return ()  # refused already
    has = cgroups.controllers(mounts, machine.read_text(root / "cgroup.controllers"))
    results = []
    for controller in _CONTROLLERS:
        if controller.name in has:
            continue
        sentence = f"this host has no cgroup controller {controller.name}: {controller.cost}"
        result = result_of(
            "cgroups", ProbeStatus.WARNING, sentence, _how_to_get_controller(controller, root)
        )
        results.append(dataclasses.replace(result, is_said=is_said))
    if not results:
        return (ok("cgroups", f"cgroups bound {', '.join(cgroups.CONTROLLERS)} of containers"),)
    return tuple(results)


def _how_to_get_controller(controller: _Controller, root: Path) -> str:
    kernel_needs = f"boot a kernel with {controller.option}"
    if controller.parameter:
        kernel_needs += f", and {controller.parameter} on its command line"
    if root == _ONLY_VERSION_2:
        return kernel_needs
    # Beside version 1, which may have it without having mounted it.
    place = f"/sys/fs/cgroup/{controller.name}"
    mount = f"sudo mkdir -p {place} && sudo mount -t cgroup -o {controller.name} cgroup {place}"
    return f"{mount}; if that fails, {kernel_needs}"
