"""A mixed lab gets a network: its VMs get their NICs as they run, its container is made anew."""

from __future__ import annotations

import dataclasses

import pytest

from stacklab.model.lab import NodeKind
from stacklab.providers.nic_plug import PlugsNics
from stacklab.workflow.lab import up as bringing
from stacklab.workflow.lab.changes.change import Cost, Subject
from stacklab.workflow.lab.changes.refusing import Consent, SpecChanged
from stacklab.workflow.lab.plan import changes_of
from tests.unit.providers.containers.fake_machines import MIXED, Site
from tests.unit.workflow.lab.changing import WIDE

KINDS = {node.name: (node.kind, node.is_privileged) for node in MIXED.nodes}
WIDE_MIXED = dataclasses.replace(
    WIDE,
    nodes=tuple(
        dataclasses.replace(node, kind=KINDS[node.name][0], is_privileged=KINDS[node.name][1])
        for node in WIDE.nodes
    ),
)


def test_vms_get_their_nics_and_the_container_is_made_anew(up: Site) -> None:
    assert isinstance(up.provider, PlugsNics)
    context = up.host.context
    up.machines.calls.clear()
    up.host.ups.clear()
    found = changes_of(context, WIDE_MIXED)
    containers = [node.name for node in WIDE_MIXED.of_kind(NodeKind.CONTAINER)]
    vms = [node.name for node in WIDE_MIXED.of_kind(NodeKind.VM)]
    assert containers
    assert found.names(Subject.NODE, Cost.REBUILD) == tuple(sorted(containers))
    assert found.nodes_with_more_nics == tuple(sorted(vms))
    with pytest.raises(SpecChanged):
        bringing.up(context, WIDE_MIXED, checks=False)
    bringing.up(context, WIDE_MIXED, checks=False, consent=Consent(to_all=True))
    assert up.host.ups == []
    for vm in vms:
        (added,) = up.host.libvirt.added[up.uuid(vm)]
        source = {"network": "trio_net2"}
        assert (added.mac, added.source.attributes) == (WIDE_MIXED.node(vm).nics[2].mac, source)
    for container in containers:
        assert "remove" in up.machines.actions(container)
        assert "start" in up.machines.actions(container)
    assert changes_of(context, WIDE_MIXED).lines == ()
