"""Probes of what nodes that are containers need of this host, and of what they can't be."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from stacklab.doctor import kernel, programs, storage
from stacklab.doctor.kernel import Feature, Presence
from stacklab.doctor.machine import Machine
from stacklab.doctor.programs import Program
from stacklab.doctor.result import ProbeArea, ProbeResult, ProbeStatus
from stacklab.doctor.trying import why_not_as_root
from stacklab.installers import own_modules
from stacklab.model.lab import NIC, Lab, NetworkMode, Node, NodeKind
from stacklab.paths import HostPaths
from stacklab.tools.host import cgroups
from stacklab.words import plural

NSPAWN = Program(
    name="systemd-nspawn", apt="systemd-container", dnf="systemd-container", tested="252"
)
_FILESYSTEMS = Path("/proc/filesystems")
_MOUNTS = Path("/proc/self/mountinfo")
_DEVICES = Path("/dev")
_ONLY_VERSION_2 = Path("/sys/fs/cgroup")  # where version 2 is on hosts without version 1
_USE_VMS = "make the nodes VMs: leave out --as containers and kind: container"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limit:
    """A limit of the kernel on what root uses of inotify, on the host and in all containers.

    Measured on a Debian 12 that has just booted, with systemd 252: 6 instances of root (5 of
    PID 1, 1 of logind) and 20 watches. The usual number is for a node with a cloud on it. When the
    instances are used up, a node never boots. With none left, its PID 1 ends at once: "Failed to
    create control group inotify object: Too many open files". With a few left, it starts some
    services, writes that line again and again, and waits for ever for the end of others.
    """

    name: str
    least: int  # of a node; with less it does not boot
    usual: int  # of a node
    least_of_host: int  # of root outside: none at all where no systemd runs
    usual_of_host: int
    good: int  # the value to suggest


_LIMITS = (
    _Limit(
        name="max_user_instances",
        least=6,
        usual=8,
        least_of_host=0,
        usual_of_host=32,
        good=1024,
    ),
    _Limit(
        name="max_user_watches",
        least=20,
        usual=100,
        least_of_host=0,
        usual_of_host=1000,
        good=131072,
    ),
)


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


def preflight(
    lab: Lab, host: HostPaths, machine: Machine, others: Iterable[Lab] = ()
) -> tuple[ProbeResult, ...]:
    """Run the probes that a lab's containers need; a lab of VMs alone has none.

    `others` are the labs on record.
    """
    if not lab.of_kind(NodeKind.CONTAINER):
        return ()
    is_absent = machine.which(NSPAWN.name) is None
    nspawn = (programs.absent_result(machine, NSPAWN),) if is_absent else ()
    on_host = _probe_host(machine)
    # What can't make a mount at all would only say so again.
    can_try = not any(result.is_failed for result in on_host)
    disk = storage.probe(lab, host, machine) if can_try else ()
    controllers = _probe_controllers(machine, is_said=True)
    return (*nspawn, *on_host, *controllers, *disk, *_probe_lab(lab, machine, others))


def full(
    lab: Lab | None, host: HostPaths, machine: Machine, others: Collection[Lab] = ()
) -> tuple[ProbeResult, ...]:
    """Run all probes; where no lab asks for containers, what is missing is a warning."""
    on_host = (programs.probe_program(machine, NSPAWN), *_probe_host(machine))
    if not any(result.is_failed for result in on_host):
        has_containers = lab is not None and lab.of_kind(NodeKind.CONTAINER)
        on_host += storage.probe(lab if has_containers else None, host, machine)
    on_host += _probe_controllers(machine, is_said=False)
    features = kernel.probe_features(machine)
    if lab is None or not lab.of_kind(NodeKind.CONTAINER):
        is_asked = lab is None and any(other.of_kind(NodeKind.CONTAINER) for other in others)
        if not is_asked:
            on_host = tuple(_as_warning(result) for result in on_host)
        return (*on_host, *_probe_inotify(0, others, machine), *features)
    return (*on_host, *_probe_lab(lab, machine, others), *features)


def _as_warning(result: ProbeResult) -> ProbeResult:
    if not result.is_failed:
        return result
    sentence = f"{result.sentence} (only nodes that are containers need it)"
    return dataclasses.replace(result, status=ProbeStatus.WARNING, sentence=sentence)


# --- the host


def _probe_host(machine: Machine) -> tuple[ProbeResult, ...]:
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
        return _ok("overlay", "this kernel mounts overlays")
    if kernel.presence(machine, kernel.OVERLAY) is Presence.MODULE:
        return _ok("overlay", "overlay is a module of this kernel, which the first mount loads")
    return _failed(
        "overlay",
        "this kernel can't mount overlays, on which containers' roots are",
        _how_to_get(machine, kernel.OVERLAY),
    )


def _probe_loop(machine: Machine) -> ProbeResult:
    if "loop-control" in machine.list_dir(_DEVICES):
        return _ok("loop", "this kernel has loop devices")
    return _failed(
        "loop",
        "this host has no /dev/loop-control, by which containers' base image is mounted",
        _how_to_get(machine, kernel.LOOP),
    )


def _how_to_get(machine: Machine, feature: Feature) -> str:
    if kernel.presence(machine, feature) is Presence.ABSENT:
        return f"boot a kernel with CONFIG_{feature.option}, or {_USE_VMS}"
    return f"sudo modprobe {feature.module}, or {_USE_VMS}"


def _probe_cgroups(machine: Machine) -> ProbeResult:
    root = cgroups.find_root(machine.read_text(_MOUNTS))
    if root is not None:
        return _ok("cgroup2", f"cgroup version 2 is at {root}")
    return _failed(
        "cgroup2",
        "cgroup version 2 is not mounted, by which containers are told apart",
        cgroups.HOW_TO_MOUNT,
    )


def _probe_controllers(machine: Machine, *, is_said: bool) -> tuple[ProbeResult, ...]:
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
        result = _result(
            "cgroups", ProbeStatus.WARNING, sentence, _how_to_get_controller(controller, root)
        )
        results.append(dataclasses.replace(result, is_said=is_said))
    if not results:
        return (_ok("cgroups", f"cgroups bound {', '.join(cgroups.CONTROLLERS)} of containers"),)
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


def _probe_rights(machine: Machine) -> ProbeResult:
    """Probe if we can be root, and if this host lets root make mounts and networks."""
    if not machine.is_root:
        why_not = why_not_as_root(machine, "true")
        if why_not:
            return _failed(
                "root",
                f"{machine.user} is not root without a password, and only root starts "
                f"containers: {why_not}",
                f"let {machine.user} use sudo without a password (sudo visudo), or be root",
            )
    # Both end with the program: neither the mount nor the network is to be seen elsewhere.
    trial = ("unshare", "--mount", "--net", "mount", "-t", "tmpfs", "tmpfs", "/run")
    why_not = why_not_as_root(machine, *trial)
    if why_not:
        return _failed(
            "namespaces",
            f"this host forbids root to make mounts or networks, as in a container: {why_not}",
            "run stacklab on the machine itself or in a VM (of docker: --privileged), or "
            + _USE_VMS,
        )
    return _ok("namespaces", "root may make mounts and networks of its own")


def _probe_inotify(own: int, others: Iterable[Lab], machine: Machine) -> tuple[ProbeResult, ...]:
    """Probe if inotify is enough for this many containers, and for those of the other labs."""
    of_others = sum(len(lab.of_kind(NodeKind.CONTAINER)) for lab in others)
    return tuple(_probe_limit(machine, limit, own, of_others) for limit in _LIMITS)


def _probe_limit(machine: Machine, limit: _Limit, own: int, of_others: int) -> ProbeResult:
    name = f"fs.inotify.{limit.name}"
    text = machine.read_text(Path("/proc/sys/fs/inotify") / limit.name).strip()
    if not text.isdecimal():
        return _result(name, ProbeStatus.WARNING, f"{name} of this host can't be read")
    value = int(text)
    enough_for = max(0, value - limit.usual_of_host) // limit.usual
    sentence = f"{name} is {value}, enough for {enough_for} containers"
    if own + of_others <= enough_for:
        return _ok(name, sentence)
    if of_others:
        sentence += f"; this lab has {own}, the others on this host {of_others}"
    else:
        sentence += f"; this lab has {own}"
    least = own * limit.least + limit.least_of_host
    most = (own + of_others) * limit.usual + limit.usual_of_host
    fix = f"sudo sysctl -w {name}={max(limit.good, 2 * most)}"
    # The others may be down, and so need none.
    status = ProbeStatus.FAILED if own and value < least else ProbeStatus.WARNING
    sentence += ", and what is too many does not boot"
    return dataclasses.replace(_result(name, status, sentence, fix), is_said=own > 0)


# --- the lab


def _probe_lab(lab: Lab, machine: Machine, others: Iterable[Lab]) -> tuple[ProbeResult, ...]:
    containers = lab.of_kind(NodeKind.CONTAINER)
    return (
        *_probe_inotify(len(containers), others, machine),
        *_probe_impairments(lab, containers, machine),
        *_probe_disks(lab, containers),
        *_probe_macvtap(lab, containers),
        *_probe_modules(lab, containers),
        *_probe_cpus(containers, machine),
    )


def _probe_disks(lab: Lab, containers: Iterable[Node]) -> tuple[ProbeResult, ...]:
    """Refuse further disks: `--as` makes containers of nodes whose spec means VMs."""
    having = [node.name for node in containers if node.disks]
    if not having:
        return ()
    sentence = f"a container has no disks of its own, and {', '.join(having)} are to have `disks`"
    fix = f"leave out --as containers, or the disks in {lab.source}"
    return (_failed("disks", sentence, fix),)


def _probe_macvtap(lab: Lab, containers: Iterable[Node]) -> tuple[ProbeResult, ...]:
    """Refuse macvtap: it is how QEMU shares an interface; a container's NIC is on a bridge."""
    networks = {one.name for one in lab.networks if one.mode is NetworkMode.MACVTAP}
    having = [node.name for node in containers if any(nic.network in networks for nic in node.nics)]
    if not having:
        return ()
    sentence = f"a container can't be on a network of mode macvtap: {', '.join(having)}"
    fix = f"leave out --as containers, or write mode: bridged in {lab.source}"
    return (_failed("networks", sentence, fix),)


def _probe_impairments(
    lab: Lab, containers: Iterable[Node], machine: Machine
) -> tuple[ProbeResult, ...]:
    """Refuse impairments that this kernel can't make, by the names of the NICs."""
    impaired = [(node, nic) for node in containers for nic in node.nics if nic.impairment]
    why_not = _why_no_netem(machine) if impaired else ""
    if not why_not:
        return ()
    named = "; ".join(_name_impairment(node, nic) for node, nic in impaired)
    fix = f"give these nodes kind: vm in {lab.source}, and leave out --as containers"
    if kernel.presence(machine, kernel.NETEM) is Presence.MODULE:
        fix = f"sudo modprobe {kernel.NETEM.module}, or {fix}"
    sentence = f"this kernel can't impair containers ({named}): tc netem says: {why_not}"
    return (_failed("impairments", sentence, fix),)


def _why_no_netem(machine: Machine) -> str:
    """Return what the kernel says to a delay, in a network that ends with it; "" if it has it."""
    tc = machine.which("tc") or "tc"
    trial = ("qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms")
    return why_not_as_root(machine, "unshare", "--net", tc, *trial)


def _name_impairment(node: Node, nic: NIC) -> str:
    harm = nic.impairment
    words = []
    if harm.delay_ms:
        words.append("delay")
    if harm.loss_percent:
        words.append("loss")
    if harm.rate_kbit:
        words.append("rate")
    return f"{', '.join(words)} of {node.name}'s {nic.device}"


def _probe_modules(lab: Lab, containers: Iterable[Node]) -> tuple[ProbeResult, ...]:
    """Tell of an installer's own kernel module: nodes come up, but its network will not work."""
    modules = own_modules(lab)
    if not modules:
        return ()
    named = ", ".join(node.name for node in containers)
    sentence = (
        f"{lab.stack.installer} builds a kernel module ({', '.join(modules)}), which containers "
        f"can't load: the nodes come up, but its network will not work on {named}"
    )
    return (_note("kernel module", sentence),)


def _probe_cpus(containers: Iterable[Node], machine: Machine) -> tuple[ProbeResult, ...]:
    wide = [f"{node.name} ({node.cpus})" for node in containers if node.cpus > machine.cpus]
    if not wide:
        return ()
    sentence = (
        f"this host has {plural(machine.cpus, 'CPU')}: no container gets more, "
        f"whatever the spec says of {', '.join(wide)}"
    )
    return (_note("cpus", sentence),)


# --- helpers


def _result(name: str, status: ProbeStatus, sentence: str, fix: str = "") -> ProbeResult:
    return ProbeResult(name=name, area=ProbeArea.HOST, status=status, sentence=sentence, fix=fix)


def _ok(name: str, sentence: str) -> ProbeResult:
    return _result(name, ProbeStatus.OK, sentence)


def _failed(name: str, sentence: str, fix: str) -> ProbeResult:
    return _result(name, ProbeStatus.FAILED, sentence, fix)


def _note(name: str, sentence: str) -> ProbeResult:
    return dataclasses.replace(_result(name, ProbeStatus.INFO, sentence), is_said=True)
