from __future__ import annotations

import json

import pytest

from stacklab.errors import (
    LabError,
)
from stacklab.model.state import NodeState
from stacklab.workflow.lab import status as lab_status
from tests.unit.checks.fake_lab import make_lab
from tests.unit.workflow.fake_host import FakeHost


@pytest.fixture
def up(host: FakeHost) -> FakeHost:
    """The lab is up, and each node has a shared connection."""
    host.up()
    for node in make_lab().nodes:
        (host.lab().sockets / node.name).touch()
    host.libvirt.calls.clear()
    host.listener.heard.clear()
    return host


def test_status_tells_every_lab_and_every_node(up: FakeHost) -> None:
    up.up(make_lab(name="duo", cidrs=("10.30.0.0/24",)))
    found = {each.name: each for each in lab_status.status(up.context)}
    assert list(found) == ["duo", "trio"]
    assert set(found["trio"].states.values()) == {NodeState.RUNNING}
    assert found["trio"].directory == str(up.lab().root)
    assert [each.name for each in lab_status.status(up.context, "duo")] == ["duo"]


def test_status_is_ready_for_json_even_of_a_lab_that_was_never_resolved(up: FakeHost) -> None:
    (whole,) = map(lab_status.as_dict, lab_status.status(up.context))
    assert json.loads(json.dumps(whole))["nodes"][1] == {
        "name": "compute1",
        "kind": "vm",
        "state": "running",
        "addresses": {"net0": "10.10.0.12", "net1": "10.20.0.12"},
    }
    up.lab().resolved.unlink()
    (half,) = map(lab_status.as_dict, lab_status.status(up.context))
    assert json.loads(json.dumps(half))["nodes"][1] == {
        "name": "compute1",
        "kind": "",
        "state": "running",
        "addresses": {},
    }


@pytest.mark.parametrize("damaged", ["record", "resolved"])
def test_a_damaged_lab_hides_no_other(up: FakeHost, damaged: str) -> None:
    """lab.reap, too, sends people to lab.status."""
    up.up(make_lab(name="duo", cidrs=("10.30.0.0/24",)))
    getattr(up.lab("duo"), damaged).write_text("{")
    duo, trio = lab_status.status(up.context)
    assert (duo.name, duo.directory) == ("duo", str(up.lab("duo").root))
    assert "duo" in duo.trouble
    assert trio.trouble == ""
    assert set(trio.states.values()) == {NodeState.RUNNING}
    assert json.loads(json.dumps(lab_status.as_dict(duo)))["trouble"] == duo.trouble
    with pytest.raises(LabError):
        lab_status.status(up.context, "duo")


def test_a_lab_that_goes_while_all_are_looked_at_is_no_error(
    up: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab_status.record, "names", lambda _host: ("gone", "trio"))
    assert [each.name for each in lab_status.status(up.context)] == ["trio"]
