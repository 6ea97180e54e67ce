"""Features of this host's kernel: ready to use, a module that is not loaded, or missing.

Nodes that are containers use the host's kernel, and may not load modules. What is listed here is
what a cloud on them would use. Its lack costs something, and stops no lab.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from stacklab.doctor.machine import Machine
from stacklab.doctor.result import ProbeArea, ProbeResult, ProbeStatus

_LOADED = Path("/sys/module")
_MODULES = Path("/lib/modules")


class Presence(StrEnum):
    """Ways in which a kernel has a feature."""

    READY = "ready"  # built in, or loaded
    MODULE = "module"  # on the disk, not loaded
    ABSENT = "absent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """A module of the kernel; `option` turns it on where a kernel is built, without CONFIG_."""

    module: str
    option: str
    cost: str  # of its lack


NETEM = Feature(
    module="sch_netem",
    option="NET_SCH_NETEM",
    cost="no impairments (delay, loss, rate) on NICs of containers",
)
OVERLAY = Feature(module="overlay", option="OVERLAY_FS", cost="no containers")
LOOP = Feature(module="loop", option="BLK_DEV_LOOP", cost="no containers")
OPENVSWITCH = Feature(
    module="openvswitch",
    option="OPENVSWITCH",
    cost="Open vSwitch forwards in user space (datapath_type=netdev), more slowly",
)

FEATURES = (
    OPENVSWITCH,
    Feature(
        module="geneve",
        option="GENEVE",
        cost="OVN's tunnels are made by Open vSwitch in user space",
    ),
    Feature(
        module="vxlan",
        option="VXLAN",
        cost="no VXLAN networks by linuxbridge, or by Open vSwitch in the kernel",
    ),
    Feature(
        module="8021q",
        option="VLAN_8021Q",
        cost="no VLAN networks by linuxbridge or nova-network; Open vSwitch has its own",
    ),
    Feature(
        module="br_netfilter",
        option="BRIDGE_NETFILTER",
        cost="security groups of linuxbridge and iptables_hybrid filter nothing",
    ),
    Feature(
        module="nf_conntrack",
        option="NF_CONNTRACK",
        cost="no NAT, and so no floating IPs by iptables; no stateful security groups",
    ),
    Feature(
        module="iscsi_tcp", option="ISCSI_TCP", cost="no cinder volumes over iSCSI; iscsid fails"
    ),
    Feature(
        module="nbd", option="BLK_DEV_NBD", cost="nova can't write into disk images by qemu-nbd"
    ),
    Feature(
        module="dm_mod", option="BLK_DEV_DM", cost="no LVM, and so no cinder with its LVM driver"
    ),
    NETEM,
)


def presence(machine: Machine, feature: Feature) -> Presence:
    """Return how this host's kernel has a feature."""
    if feature.module in machine.list_dir(_LOADED):
        return Presence.READY
    config = machine.kernel_config()
    builtin, modules = _module_lists(machine)
    if f"CONFIG_{feature.option}=y" in config.splitlines() or _lists(builtin, feature):
        return Presence.READY
    # A configuration alone does not tell whether the file of the module is on this disk.
    if _lists(modules, feature):
        return Presence.MODULE
    if config or modules:
        return Presence.ABSENT
    return Presence.UNKNOWN


def _module_lists(machine: Machine) -> tuple[str, str]:
    """Return depmod's lists of what is built in, and of the modules on the disk."""
    directory = _MODULES / machine.release
    return (
        machine.read_text(directory / "modules.builtin"),
        machine.read_text(directory / "modules.dep"),
    )


def _lists(paths: str, feature: Feature) -> bool:
    """Return True if a list of depmod has the module; in the names of files, _ may be -."""
    name = feature.module.replace("_", "[-_]")
    return re.search(rf"/{name}\.ko", paths) is not None


def probe_features(machine: Machine) -> tuple[ProbeResult, ...]:
    """Tell what a cloud in containers would miss of this kernel; that stops no lab."""
    ready = []
    results = []
    for feature in FEATURES:
        match presence(machine, feature):
            case Presence.READY:
                ready.append(feature.module)
            case Presence.MODULE:
                sentence = (
                    f"{feature.module} is not loaded, and containers can't load it: {feature.cost}"
                )
                results.append(_told(feature.module, sentence, f"sudo modprobe {feature.module}"))
            case Presence.ABSENT:
                sentence = f"this kernel does not have {feature.module}: {feature.cost}"
                results.append(_told(feature.module, sentence))
            case Presence.UNKNOWN:
                sentence = f"it is not known whether this kernel has {feature.module}"
                results.append(_told(feature.module, f"{sentence}; without it: {feature.cost}"))
    if ready:
        sentence = f"for clouds in containers this kernel has {', '.join(ready)}"
        return (_result("kernel", ProbeStatus.OK, sentence), *results)
    return tuple(results)


def _told(name: str, sentence: str, fix: str = "") -> ProbeResult:
    return _result(name, ProbeStatus.INFO, sentence, fix)


def _result(name: str, status: ProbeStatus, sentence: str, fix: str = "") -> ProbeResult:
    return ProbeResult(name=name, area=ProbeArea.HOST, status=status, sentence=sentence, fix=fix)
