"""The form of a lab's file, as pydantic models: LabSpec and its parts."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from stacklab.spec.form.checks import ChecksSpec
from stacklab.spec.form.fields import (
    MOST_NODES,
    Address,
    Bridge,
    BusWord,
    CheckpointWord,
    Cidr,
    Count,
    Cpus,
    Delay,
    Disk,
    Flag,
    FurtherDisk,
    HostDevice,
    ImageName,
    KindWord,
    LabName,
    Loss,
    Memory,
    Mode,
    Mtu,
    NetworkName,
    NodeName,
    Rate,
    RoleWord,
    Serial,
    Spec,
    Text,
    as_list,
)
from stacklab.spec.form.stack import StackSpec

# A VM's PCI bus has 32 slots, for disks and all else, too; none of ours needs more than this.
MOST_NICS = 16

# As many as libvirt puts on one SCSI controller.
MOST_DISKS = 7

# Takes the place of a value that was refused, so that the rest can still be checked.
STAND_IN = "stand-in"


class NetworkSpec(Spec):
    """A network segment with an address range, in which the host has the .1."""

    cidr: Cidr = Field(
        description="Its address range, /29 to /8, e.g. 192.168.150.0/24. The host takes the .1."
    )
    mode: Mode = Field(
        description="nat: nodes reach other networks through the host. isolated: host and nodes "
        "only. bridged: a bridge that the host already has, named in `bridge`. macvtap: VMs share "
        "an interface of the host, named in `device`, without a bridge; they don't reach the host."
    )
    mtu: Mtu | None = Field(
        default=None, description="Bytes per packet, 576 to 9216. Default: 1500."
    )
    bridge: Bridge | None = Field(
        default=None, description="With mode bridged only: the host's bridge, e.g. br0."
    )
    device: HostDevice | None = Field(
        default=None,
        description="With mode macvtap only: the host's interface, e.g. eno1, which is on no "
        "bridge.",
    )
    host: Flag | None = Field(
        default=None,
        description="false: the host does not have an address on it. Only with mode isolated, and "
        "not for the network of a node's first NIC, by which the host logs in. Default: true.",
    )
    host_services: Flag | None = Field(
        default=None,
        description="true: its nodes reach whatever listens on the host. false: only what a lab "
        "needs there: DHCP, DNS, ping, and mirrors and proxies that the host or the spec names. "
        "Not with mode bridged or macvtap, nor with host: false. Default: false.",
    )
    # One way each: a packet and its answer meet them twice.
    delay: Delay | None = Field(
        default=None,
        description="For how long each of its NICs holds back what it sends, one way: 20ms, 1.5s "
        "(up to 10s). Default: 0ms.",
    )
    loss: Loss | None = Field(
        default=None,
        description="How much of what it sends each of its NICs loses, one way: 1%, 0.5%. "
        "Default: 0%.",
    )
    rate: Rate | None = Field(
        default=None,
        description="How much each of its NICs can send: 512kbit, 10mbit, 1gbit (32kbit to "
        "10gbit), or none for no limit. Default: none.",
    )


class NicSpec(Spec):
    """A node's end of a network. In the written order the NICs are eth0, eth1, ..."""

    network: NetworkName = Field(description="The network's name, as declared under `networks`.")
    address: Address | None = Field(
        default=None,
        description="A fixed address. For a node with a `count` it is that of the first one, and "
        "the others get the next ones. Default: the first free address from .11 upward, in the "
        "order of the nodes.",
    )
    # As for a network, of which a NIC can differ.
    delay: Delay | None = Field(
        default=None,
        description="How long it holds back what it sends: 20ms, 1.5s. Default: as its network.",
    )
    loss: Loss | None = Field(
        default=None,
        description="How much of what it sends it loses: 1%, 0.5%. Default: as its network.",
    )
    rate: Rate | None = Field(
        default=None,
        description="How much it can send: 512kbit, 10mbit, 1gbit, none. Default: as its network.",
    )


class DiskSpec(Spec):
    """A further disk of a VM, empty at first."""

    size: FurtherDisk = Field(
        description="Its size, 1MiB to 8TiB. On the host it takes only what is written to it."
    )
    bus: BusWord | None = Field(
        default=None,
        description="virtio, scsi (by virtio, too), sata or ide. The node's kernel needs a driver "
        "of it: that of debian-12 has none for sata. Default: virtio.",
    )
    serial: Serial | None = Field(
        default=None,
        description="By which the node knows it (/dev/disk/by-id, lsblk -o NAME,SERIAL). "
        "Default: disk1, disk2, ... in the order of the list, or the name of the shared disk.",
    )
    shared: NetworkName | None = Field(
        default=None,
        description="The name of a disk that several nodes of the lab have; all of them declare "
        "it with the same size. Nobody keeps them from writing at the same time. A lab with one "
        "has no snapshots.",
    )


class NodeSpec(Spec):
    """A machine, or several equal ones."""

    kind: KindWord | None = Field(
        default=None,
        description="vm, or container: up in seconds, but with the host's kernel and clock. "
        "Default: the lab's kind.",
    )
    privileged: Flag | None = Field(
        default=None,
        description="Of a container: with true its root is the host's root, which an installer "
        "needs; with false it is an ordinary user of the host. Default: as for the lab.",
    )
    role: RoleWord | None = Field(
        default=None,
        description="Its role in the cloud: controller, compute or node. Default: node.",
    )
    count: Count | None = Field(
        default=None,
        description=f"How many (1 to {MOST_NODES}): they are called name1, name2, ... Without it "
        "there is one, called name.",
    )
    cpus: Cpus | None = Field(default=None, description="Processors, 1 to 64. Default: 1.")
    memory: Memory | None = Field(
        default=None, description="Its memory, with a unit: 512MiB, 1.5GiB. Default: 1GiB."
    )
    disk: Disk | None = Field(
        default=None,
        description="The size of its virtual disk, 48GiB or more. On the host it takes only what "
        "is written to it. Default: 48GiB.",
    )
    disks: tuple[DiskSpec, ...] | None = Field(
        default=None,
        description="Of a VM: its disks beside that one.",
        json_schema_extra={"maxItems": MOST_DISKS},
    )
    nics: tuple[NicSpec, ...] = Field(
        description="eth0, eth1, ... The host logs in by the first one, which must be on a nat or "
        "isolated network.",
        # For editors alone: spec/rules/whole.py says it in words that fit the place.
        json_schema_extra={"minItems": 1, "maxItems": MOST_NICS},
    )


class LabSpec(Spec):
    """A lab of stacklab: networks, the nodes on them, and the cloud to be installed."""

    name: LabName | None = Field(
        default=None, description="The file's name without .yaml; it can be left out."
    )
    description: Text | None = Field(default=None, description="One line for `lab.list`.")
    kind: KindWord | None = Field(
        default=None,
        description="What its nodes are: vm or container. `lab.up --as` overrides it. Default: vm.",
    )
    privileged: Flag | None = Field(
        default=None,
        description="Of its containers: with true their root is the host's root, with false an "
        "ordinary user of the host. Default: true if the stack has an installer.",
    )
    # A tuple as soon as it is read; a spec may have a single name there.
    image: Annotated[tuple[ImageName, ...], BeforeValidator(as_list)] = Field(
        description="The base image, or several in order of preference: the first one whose source "
        "can be reached is used.",
        json_schema_extra={"minItems": 1},
    )
    networks: dict[NetworkName, NetworkSpec] = Field(
        description="The networks, by name.", json_schema_extra={"minProperties": 1}
    )
    nodes: dict[NodeName, NodeSpec] = Field(
        description="The nodes, by name.", json_schema_extra={"minProperties": 1}
    )
    stack: StackSpec | None = Field(
        default=None, description="The cloud to be installed. Default: none."
    )
    checks: ChecksSpec | None = Field(
        default=None, description="Limits of the checks, and checks of your own."
    )
    checkpoints: Annotated[tuple[CheckpointWord, ...], BeforeValidator(as_list)] | None = Field(
        default=None,
        description="Snapshots that are made without being asked for: `pristine`, of the lab as "
        "lab.up has left it, from which lab.up and lab.rebuild bring it back; `nodes`, before the "
        "first stage of its installer; `stages`, after each of them. [] for none. Default: "
        "pristine, if all its nodes are VMs.",
    )
