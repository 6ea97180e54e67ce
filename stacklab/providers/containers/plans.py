"""What each container is started with: read by the provider, written before it is made."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stacklab.codec import Codec, NotSuchData
from stacklab.errors import ProviderError
from stacklab.model.lab import Lab, NetworkMode, Node, NodeKind
from stacklab.paths import LabPaths
from stacklab.providers.containers import handles
from stacklab.providers.containers.handles import Container
from stacklab.record import LabRecord

_ALWAYS = ("/dev/net/tun",)
_PRIVILEGED = ("/dev/fuse",)
_KVM = ("/dev/kvm", "/dev/vhost-net")


@dataclass(frozen=True, slots=True, kw_only=True)
class NicPlan:
    """A veth pair: `end` is its end on the host, a port of `bridge`."""

    end: str
    bridge: str
    device: str
    mac: str
    mtu: int
    address: str  # with its prefix length
    gateway: str  # "" if the default route does not lead there

    def __str__(self) -> str:
        """Return it as machine.sh takes it."""
        parts = (self.end, self.bridge, self.device, self.mac, str(self.mtu), self.address)
        return ",".join((*parts, self.gateway))


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerPlan:
    """A container as it is started."""

    name: str
    cpus: str  # processors of the host that it may use, as in 0-1,3
    memory_bytes: int
    devices: tuple[str, ...]  # of the host, where they exist
    # False: its root is an ordinary user of the host. An old file's containers were privileged.
    is_privileged: bool = True
    nics: tuple[NicPlan, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plans:
    nodes: tuple[ContainerPlan, ...]


_CODEC = Codec(_Plans)


def render(lab: Lab, paths: LabPaths, record: LabRecord, *, has_kvm: bool) -> Mapping[Path, str]:
    """Return the file that holds the plans of all of the lab's containers."""
    first_cpu = 0
    plans = []
    for node in lab.of_kind(NodeKind.CONTAINER):
        plans.append(
            ContainerPlan(
                name=node.name,
                cpus=_choose_cpus(first_cpu, node.cpus),
                memory_bytes=node.memory.bytes,
                devices=_choose_devices(node, has_kvm=has_kvm),
                is_privileged=node.is_privileged,
                nics=_plan_nics(lab, paths, record, node),
            )
        )
        # Side by side as far as they fit, so that two small nodes share no processor.
        first_cpu += node.cpus
    text = json.dumps(_CODEC.encode(_Plans(nodes=tuple(plans))), indent=2)
    return {paths.containers: text + "\n"}


def read(paths: LabPaths) -> Mapping[str, ContainerPlan]:
    """Return the plans by node; raises ProviderError where the file is missing or damaged."""
    try:
        plans = _CODEC.decode(json.loads(paths.containers.read_text()))
    except (OSError, ValueError, NotSuchData) as error:
        raise ProviderError(
            f"{paths.containers} can't be read: {error}", hint=f"./invoke lab.up {paths.name}"
        ) from error
    return {plan.name: plan for plan in plans.nodes}


def _choose_devices(node: Node, *, has_kvm: bool) -> tuple[str, ...]:
    if not node.is_privileged:
        return _ALWAYS
    if not has_kvm:
        return (*_ALWAYS, *_PRIVILEGED)
    return (*_ALWAYS, *_PRIVILEGED, *_KVM)


def read_one(paths: LabPaths, container: Container) -> ContainerPlan:
    """Return one container's plan; raises ProviderError as `read` and `plan_of` do."""
    return plan_of(read(paths), container, lab=paths.name)


def plan_of(
    planned: Mapping[str, ContainerPlan], container: Container, *, lab: str
) -> ContainerPlan:
    """Return a container's plan; raises ProviderError where there is none, or another's.

    Root deletes and makes the ends of NICs by the names in it.
    """
    plan = planned.get(container.name)
    ends = [nic.end for nic in plan.nics] if plan else []
    if plan is None or ends != [container.end(index) for index in range(len(ends))]:
        raise ProviderError(
            f"{container.name}: what it is started with is not its own, or missing",
            hint=f"./invoke lab.up {lab}",
        )
    return plan


def _choose_cpus(first: int, count: int) -> str:
    """Return as many of the host's processors as are wanted, or all that there are."""
    usable = sorted(os.sched_getaffinity(0))
    count = min(count, len(usable))
    chosen = sorted(usable[(first + index) % len(usable)] for index in range(count))
    return ",".join(str(cpu) for cpu in chosen)


def _plan_nics(lab: Lab, paths: LabPaths, record: LabRecord, node: Node) -> tuple[NicPlan, ...]:
    recorded = record.node(node.name)
    if recorded is None:
        hint = f"./invoke lab.rebuild {lab.name}"
        raise ProviderError(f"{node.name} is not on record", hint=hint)
    container = handles.container_of(paths, recorded)
    nics = []
    for index, nic in enumerate(node.nics):
        network = lab.network(nic.network)
        is_way_out = nic is node.access and network.mode is NetworkMode.NAT
        nics.append(
            NicPlan(
                end=container.end(index),
                bridge=network.bridge,
                device=nic.device,
                mac=nic.mac,
                mtu=nic.mtu,
                address=str(nic.address),
                gateway=str(network.host_address) if is_way_out else "",
            )
        )
    return tuple(nics)
