"""What lab.up tells of containers on a host without KVM."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from stacklab.model.lab import NodeKind
from stacklab.paths import HostPaths
from stacklab.workflow.lab import up as bringing
from stacklab.workflow.lab.bringing_up import boot_times
from tests.unit.checks.fake_lab import make_lab
from tests.unit.workflow.fake_host import FakeHost

LAB = make_lab()
CONTAINERS = LAB.all_as(NodeKind.CONTAINER)


def test_it_says_how_much_quicker_containers_were_here(tmp_path: Path) -> None:
    paths = HostPaths(tmp_path)
    assert "seconds" in boot_times.advice(paths, LAB)
    boot_times.keep(paths, CONTAINERS, 1.34)
    assert "took 1.3 s until" in boot_times.advice(paths, LAB)
    boot_times.keep(paths, LAB, 61.0)
    assert "took 1.3 s, emulated VMs 61 s until" in boot_times.advice(paths, LAB)
    assert boot_times.advice(paths, LAB).endswith("./invoke lab.up trio --as containers")


def test_a_lab_of_both_kinds_tells_nothing(tmp_path: Path) -> None:
    paths = HostPaths(tmp_path)
    mixed = dataclasses.replace(LAB, nodes=(CONTAINERS.nodes[0], *LAB.nodes[1:]))
    boot_times.keep(paths, mixed, 5)
    assert boot_times.read(paths) == {}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"vm": "soon"}', "null"])
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    paths = HostPaths(tmp_path)
    paths.boot_times.write_text(text)
    assert boot_times.read(paths) == {}
    boot_times.keep(paths, LAB, 3)
    assert boot_times.read(paths) == {"vm": 3.0}


def test_up_tells_it_of_emulated_vms_and_keeps_how_long_they_took(host: FakeHost) -> None:
    boot_times.keep(host.paths, CONTAINERS, 2)
    bringing.up(host.context, LAB, checks=False)
    assert any("containers took 2.0 s" in text for _row, text in host.listener.heard)
    assert set(boot_times.read(host.paths)) == {"vm", "container"}
    before = boot_times.read(host.paths)
    bringing.up(host.context, LAB, checks=False)
    assert boot_times.read(host.paths) == before, "nothing booted"
