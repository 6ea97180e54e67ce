"""libvirt as the registry knows it: make handles for new records, check those of old ones."""

from __future__ import annotations

import uuid

from stacklab.model.lab import Lab
from stacklab.paths import LabPaths
from stacklab.providers.contract import HostServices, Provider
from stacklab.providers.libvirt.handles import (
    domain_name,
    network_name,
    network_of,
    node_of,
    of_disks,
)
from stacklab.record import Handle, Handles, LabRecord


class LibvirtKind:
    """See stacklab.providers.contract.ProviderKind."""

    look = "virsh list --all"

    def new_handles(self, lab: Lab, paths: LabPaths) -> Handles:
        """See ProviderKind.new_handles."""
        # UUIDs of their own, new each time: what has the same name may be somebody else's.
        nodes: dict[str, Handle] = {
            node.name: {
                "domain": domain_name(lab.name, node.name),
                "uuid": str(uuid.uuid4()),
                "overlay": str(paths.overlay(node.name)),
                "seed": str(paths.seed(node.name)),
                **of_disks(node.disks),
            }
            for node in lab.nodes
        }
        networks: dict[str, Handle] = {
            network.name: {
                "libvirt_name": network_name(lab.name, network.name),
                "uuid": str(uuid.uuid4()),
                "bridge": network.bridge,
            }
            for network in lab.networks
            if network.is_made_by_us
        }
        return Handles(nodes=nodes, networks=networks)

    def refuse_damaged(self, paths: LabPaths, record: LabRecord) -> None:
        """See ProviderKind.refuse_damaged."""
        for node in record.nodes:
            node_of(paths, node)
        for network in record.networks:
            network_of(record.name, network)

    def open(self, site: HostServices) -> Provider:
        """See ProviderKind.open."""
        # Here, because the provider imports libvirt, and most readers of records never ask it.
        from stacklab.providers.libvirt.provider import LibvirtProvider

        return LibvirtProvider(site)


KIND = LibvirtKind()
