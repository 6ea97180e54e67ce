from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from stacklab.dev.simulated import simulate
from stacklab.model.lab import Disk, DiskBus, Node, Size
from stacklab.paths import HostPaths
from stacklab.process import Result
from stacklab.workflow.nodes import drivers
from tests.unit.checks.fake_lab import FakeRunner, make_lab

PATHS = HostPaths(Path("/var/lib/stacklab")).lab("trio")


def with_disks(*buses: DiskBus) -> tuple[Node, ...]:
    """The nodes of a lab, of which compute1 has disks on these buses."""
    disks = tuple(Disk(name=f"disk{bus}", size=Size(1), bus=bus, serial=bus) for bus in buses)
    nodes = []
    for node in make_lab().nodes:
        has_disks = node.name == "compute1"
        nodes.append(dataclasses.replace(node, disks=disks if has_disks else ()))
    return tuple(nodes)


def test_nodes_without_such_disks_cost_no_session() -> None:
    runner = FakeRunner(lambda command: Result(exit_code=0))
    drivers.load(runner, PATHS, with_disks(DiskBus.VIRTIO, DiskBus.SCSI))
    assert runner.commands == []


# Whether the disks are there is for their check to tell.
@pytest.mark.parametrize("exit_code", [0, 1, 255])
def test_a_node_loads_the_drivers_as_root_and_waits_for_the_disks(exit_code: int) -> None:
    runner = FakeRunner(lambda command: Result(exit_code=exit_code))
    drivers.load(runner, PATHS, with_disks(DiskBus.SATA, DiskBus.IDE))
    (command,) = runner.commands
    assert simulate.node_of(command) == "compute1"
    script = (command.stdin or b"").decode()
    assert "sudo -n sh -c" in script
    assert "for module in ahci ata_piix; do modprobe -q $module; done; udevadm settle" in script
