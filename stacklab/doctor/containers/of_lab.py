"""Probes of what a lab wants of its containers, and what a container can't be on this host."""

from __future__ import annotations

from collections.abc import Iterable

from stacklab.doctor.containers import kernel
from stacklab.doctor.containers.inotify import probe_inotify
from stacklab.doctor.containers.kernel import Presence
from stacklab.doctor.containers.results import failed, note
from stacklab.doctor.containers.trying import why_not_as_root
from stacklab.doctor.machine import Machine
from stacklab.doctor.result import ProbeResult
from stacklab.installers import own_modules
from stacklab.model.lab import NIC, Lab, NetworkMode, Node, NodeKind
from stacklab.words import plural


def probe_lab(lab: Lab, machine: Machine, others: Iterable[Lab]) -> tuple[ProbeResult, ...]:
    """Run the probes for the containers of one lab; `others` are the labs on record."""
    containers = lab.of_kind(NodeKind.CONTAINER)
    return (
        *probe_inotify(len(containers), others, machine),
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
    return (failed("disks", sentence, fix),)


def _probe_macvtap(lab: Lab, containers: Iterable[Node]) -> tuple[ProbeResult, ...]:
    """Refuse macvtap: it is how QEMU shares an interface; a container's NIC is on a bridge."""
    macvtaps = {network.name for network in lab.networks if network.mode is NetworkMode.MACVTAP}
    having: list[str] = []
    for node in containers:
        networks = {nic.network for nic in node.nics}
        if networks & macvtaps:
            having.append(node.name)
    if not having:
        return ()
    sentence = f"a container can't be on a network of mode macvtap: {', '.join(having)}"
    fix = f"leave out --as containers, or write mode: bridged in {lab.source}"
    return (failed("networks", sentence, fix),)


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
    return (failed("impairments", sentence, fix),)


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
    return (note("kernel module", sentence),)


def _probe_cpus(containers: Iterable[Node], machine: Machine) -> tuple[ProbeResult, ...]:
    wide = [f"{node.name} ({node.cpus})" for node in containers if node.cpus > machine.cpus]
    if not wide:
        return ()
    sentence = (
        f"this host has {plural(machine.cpus, 'CPU')}: no container gets more, "
        f"whatever the spec says of {', '.join(wide)}"
    )
    return (note("cpus", sentence),)
