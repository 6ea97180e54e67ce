"""Containers as the registry knows them: make handles for new records, check those of old ones."""

from __future__ import annotations

from stacklab.model.lab import Lab, NodeKind
from stacklab.paths import LabPaths
from stacklab.providers.containers import handles
from stacklab.providers.contract import HostServices, Provider
from stacklab.providers.libvirt.kind import KIND as LIBVIRT
from stacklab.record import Handle, Handles, LabRecord


class ContainersKind:
    """See stacklab.providers.contract.ProviderKind."""

    look = "ls /sys/fs/cgroup/stacklab /sys/fs/cgroup/*/stacklab"

    def new_handles(self, lab: Lab, paths: LabPaths) -> Handles:
        """See ProviderKind.new_handles."""
        # Networks and VMs are libvirt's.
        of_libvirt = LIBVIRT.new_handles(lab, paths)
        nodes: dict[str, Handle] = {}
        for node in lab.nodes:
            if node.kind is NodeKind.CONTAINER:
                nodes[node.name] = handles.new_handle(paths, node.name)
            else:
                nodes[node.name] = of_libvirt.nodes[node.name]
        return Handles(nodes=nodes, networks=of_libvirt.networks)

    def refuse_damaged(self, paths: LabPaths, record: LabRecord) -> None:
        """See ProviderKind.refuse_damaged."""
        LIBVIRT.refuse_damaged(paths, handles.only_vms(record))
        for node in record.nodes:
            if handles.is_container(node):
                handles.container_of(paths, node)

    def open(self, site: HostServices) -> Provider:
        """See ProviderKind.open."""
        # Here, because the provider imports libvirt, and most readers of records never ask it.
        from stacklab.providers.containers.provider import ContainersProvider

        return ContainersProvider(site)


KIND = ContainersKind()
