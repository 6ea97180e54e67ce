"""What lab.up and lab.destroy do about faults."""

from __future__ import annotations

import json

import pytest

from stacklab.errors import (
    NodeNotReady,
)
from stacklab.model.state import NodeState
from stacklab.workflow.faults import faults, settling
from tests.unit.nodes import fake_session
from tests.unit.workflow.faults.faulty_lab import LAB, Up


def test_clear_undoes_all_but_what_up_starts_itself(up: Up) -> None:
    for words in (
        "partition net1 compute2",
        "unplug compute1 eth1",
        "pause compute1",
        "power-off controller",
    ):
        up.apply(*words.split())
    up.host.runner.commands.clear()
    faults.clear(up.host.context, LAB, up.host.lab(), up.kept)
    assert up.listed == []
    assert up.tables.is_clean
    assert up.libvirt.states[up.uuid("controller")] is NodeState.OFF
    assert up.libvirt.states[up.uuid("compute1")] is NodeState.RUNNING
    assert len(up.libvirt.nics[up.uuid("compute1")]) == 2
    assert up.host.ran("ssh") == []  # nobody is waited for here


def test_settle_puts_right_what_clear_could_not(up: Up) -> None:
    for words in ("unplug compute1 eth1", "pause compute2", "power-off controller"):
        up.apply(*words.split())
    undone = faults.clear(up.host.context, LAB, up.host.lab(), up.kept)
    assert sorted(map(str, undone)) == ["pause compute2", "unplug compute1 eth1"]
    up.host.runner.commands.clear()
    faults.settle(up.host.context, LAB, up.host.lab(), up.kept, undone)
    asked = [command for command in up.host.ran("ssh") if command.stdin]
    taken_up = [c for c in asked if "faults.take-up" in fake_session.parts_of(c)]
    assert up.clocks == [["compute2"]]
    assert [c.argv[c.argv.index("--") + 1] for c in taken_up] == ["compute1"]


def test_a_node_that_does_not_answer_after_all_is_named_and_not_reset(
    up: Up, monkeypatch: pytest.MonkeyPatch
) -> None:
    up.apply("pause", "compute1")
    monkeypatch.setattr(settling, "_ON_NODE_S", 0.0)
    monkeypatch.setattr(settling.wait, "banner", lambda _address, _port=22: (False, "refused"))
    with pytest.raises(
        NodeNotReady, match=r"compute1 does not answer on 10\.10\.0\.12 0 s after its"
    ):
        up.undo()
    assert up.is_healthy
    assert "reset" not in {call[0] for call in up.libvirt.calls}


def test_clear_of_nothing_asks_nobody(up: Up) -> None:
    faults.clear(up.host.context, LAB, up.host.lab(), up.kept)
    assert up.host.runner.commands == []
    assert up.libvirt.calls == []


def test_forget_leaves_nothing_on_the_host_and_touches_no_node(up: Up) -> None:
    up.apply("partition", "net1", "compute2")
    up.apply("pause", "compute1")
    up.libvirt.calls.clear()
    faults.forget(up.host.context, up.host.lab(), up.kept)
    assert up.tables.is_clean
    assert up.listed == []
    assert up.libvirt.calls == []


def test_forget_of_a_list_that_can_t_be_read_looks_at_every_network(up: Up) -> None:
    up.apply("partition", "net1", "compute2")
    (up.host.lab().root / "faults.json").write_text("{")
    faults.forget(up.host.context, up.host.lab(), up.kept)
    assert up.tables.is_clean


def test_the_list_says_since_when(up: Up) -> None:
    made = up.apply("pause", "compute1")
    kept = json.loads((up.host.lab().root / "faults.json").read_text())
    assert made.at > 1e9
    assert [each["at"] for each in kept] == [made.at]
