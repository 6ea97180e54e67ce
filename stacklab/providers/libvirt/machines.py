"""Render what vagrant/Vagrantfile reads: the lab's machines, as JSON beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from stacklab.errors import ProviderError
from stacklab.model.lab import NIC, Lab, Node
from stacklab.nodes.archive import Entry
from stacklab.paths import HostPaths, LabPaths
from stacklab.paths.project import PROJECT
from stacklab.providers.libvirt.handles import node_of
from stacklab.providers.libvirt.nic_plug import source_of
from stacklab.providers.libvirt.storage import further_disks
from stacklab.record import LabRecord
from stacklab.tools import ssh
from stacklab.tools.host.accelerator import Accelerator
from stacklab.tools.libvirt.connection import URI

_DEFAULT_ROOT = Path("/var/lib/stacklab")
_EMULATED = "etc/sysctl.d/90-stacklab-emulated.conf"


def pool_name(host: HostPaths) -> str:
    """Return the name of the pool that holds this home's disks."""
    if host.root == _DEFAULT_ROOT:
        return "stacklab"
    # libvirt refuses a slash in a pool's name.
    path = str(host.root).strip("/")
    characters = [character if character.isalnum() else "-" for character in path]
    return "stacklab-" + "".join(characters)


def render_files(
    lab: Lab, paths: LabPaths, record: LabRecord, accelerator: Accelerator, pool: str
) -> Mapping[Path, str]:
    """Render the Vagrantfile, a copy so that the lab outlives the checkout, and lab.json."""
    nodes = [_render_machine(lab, paths, record, node, accelerator) for node in lab.nodes]
    # docs of the fields: vagrant/Vagrantfile, their only reader.
    machines = {
        "name": lab.name,
        "ssh": {
            "user": ssh.USER,
            "private_key": str(paths.private_key),
            "config": str(paths.ssh_config),
        },
        "libvirt": {
            "uri": URI,
            "driver": accelerator.libvirt_driver,
            "pool": pool,
            "machine_type": "pc",
        },
        "nodes": nodes,
    }
    return {
        paths.vagrantfile: (PROJECT / "vagrant" / "Vagrantfile").read_text(),
        paths.machines: json.dumps(machines, indent=2) + "\n",
    }


def kernel_settings(accelerator: Accelerator) -> Mapping[str, Entry]:
    """Return files of the seed that a node needs because of this host's accelerator.

    QEMU keeps the code that it has translated by virtual address. With a library at another address
    in each process, it translates the library anew each time: starting a small program takes ten
    times as long.
    """
    if accelerator.is_kvm:
        return {}
    why = "# Emulated: libraries at random addresses would be translated in each process anew."
    return {_EMULATED: Entry(text=f"{why}\nkernel.randomize_va_space = 0\n")}


def _render_machine(
    lab: Lab, paths: LabPaths, record: LabRecord, node: Node, accelerator: Accelerator
) -> Mapping[str, object]:
    recorded = record.node(node.name)
    if recorded is None:
        raise ProviderError(f"{node.name} is not on record")
    disks = node_of(paths, recorded)
    cpu = {
        # Without KVM there is no host processor to pass through: QEMU emulates a named model.
        "mode": "host-passthrough" if accelerator.is_kvm else "custom",
        "model": "" if accelerator.is_kvm else accelerator.cpu_model,
        "features": list(accelerator.cpu_features),
    }
    return {
        "name": node.name,
        "uuid": disks.uuid,
        "owner": f"made by stacklab from {lab.source}",
        "cpus": node.cpus,
        "memory_mib": node.memory.mib,
        "cpu": cpu,
        "overlay": disks.overlay.name,
        "seed": disks.seed.name,
        "disks": further_disks.render(disks, node),
        "console_log": str(paths.console(node.name)),
        "nics": [_render_nic(lab, nic) for nic in node.nics],
    }


def _render_nic(lab: Lab, nic: NIC) -> Mapping[str, object]:
    network = lab.network(nic.network)
    source = source_of(lab, network).attributes
    return {
        "mac": nic.mac,
        "address": str(nic.address.ip),
        "netmask": str(nic.address.netmask),
        "cidr": str(network.cidr),
        # One of these three.
        "libvirt_network": source.get("network"),
        "bridge": source.get("bridge"),
        "device": source.get("dev"),
    }
