"""Add NICs to libvirt's nodes as they are: see stacklab.providers.nic_plug."""

from __future__ import annotations

from stacklab.errors import LabError, ProviderError
from stacklab.model.lab import NIC, Lab, Network, NetworkMode
from stacklab.paths import LabPaths
from stacklab.providers.libvirt.handles import LibvirtNode, network_name, node_of
from stacklab.record import LabRecord
from stacklab.tools.libvirt import nics as libvirt_nics
from stacklab.tools.libvirt.domains import Libvirt
from stacklab.tools.libvirt.nics import NewNic
from stacklab.tools.libvirt.xml import NicSource


def source_of(lab: Lab, network: Network) -> NicSource:
    """Return what a NIC on one of a lab's networks is connected to."""
    if network.mode is NetworkMode.MACVTAP:
        return NicSource.device(network.bridge)
    if network.mode is NetworkMode.BRIDGED:
        return NicSource.bridge(network.bridge)
    return NicSource.network(network_name(lab.name, network.name))


class LibvirtNicPlug:
    """See stacklab.providers.nic_plug.NicPlug."""

    def __init__(self, libvirt: Libvirt, paths: LabPaths, lab: Lab, record: LabRecord) -> None:
        self._libvirt = libvirt
        self._paths = paths
        self._lab = lab
        self._record = record

    def why_not(self, node: str) -> str:
        """See NicPlug.why_not."""
        return libvirt_nics.why_no_plug(self._libvirt.domain_xml(self._recorded_node(node).uuid))

    def plug(self, node: str, nic: NIC) -> None:
        """See NicPlug.plug; a domain that is absent will be made with all its NICs."""
        why = self.why_not(node)
        if why:
            name = self._record.name
            raise ProviderError(
                f"{nic.device} can't be plugged into {node}: {why}",
                hint=f"./invoke lab.rebuild {name} --node {node}",
            )
        self._libvirt.add_nic(self._recorded_node(node).uuid, self._new_nic(node, nic))

    def _new_nic(self, node: str, nic: NIC) -> NewNic:
        """Return the NIC as Vagrant would have made it: see machines.py and the Vagrantfile."""
        return NewNic(
            mac=nic.mac,
            number=self._lab.node(node).nics.index(nic),
            source=source_of(self._lab, self._lab.network(nic.network)),
        )

    def _recorded_node(self, name: str) -> LibvirtNode:
        node = self._record.node(name)
        if node is None:
            raise LabError(
                f"{name} is not on record", hint=f"./invoke lab.rebuild {self._record.name}"
            )
        return node_of(self._paths, node)
