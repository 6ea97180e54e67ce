from __future__ import annotations

import base64
import io
import tarfile

import pytest

from stacklab import record
from stacklab.errors import (
    CommandFailed,
    RenderError,
)
from stacklab.model.state import NodeState
from stacklab.record import LabRecord
from tests.unit.installers.contrail.labs import make_lab as make_contrail
from tests.unit.nodes import fake_session
from tests.unit.workflow.fake_host import FakeHost


def kept(host: FakeHost, name: str = "trio") -> LabRecord:
    found = record.read(host.lab(name))
    assert found is not None
    return found


def uuid(host: FakeHost, node: str) -> str:
    found = kept(host).node(node)
    assert found is not None
    return found.handle["uuid"]


def test_answers_that_cannot_be_rendered_leave_nothing_behind(host: FakeHost) -> None:
    with pytest.raises(RenderError, match="stable/newton"):
        host.up(make_contrail(devstack_branch="stable/newton"))
    assert not host.lab("contrail-3node").root.exists()


def test_new_nodes_have_their_answers_from_their_seeds(host: FakeHost) -> None:
    lab = make_contrail()
    host.up(lab)
    assert host.ran("ssh") == []
    assert all(node.answers for node in kept(host, lab.name).nodes)
    with tarfile.open(host.lab(lab.name).seed(lab.nodes[0].name)) as archive:
        assert any(
            name.startswith("opt/stack/") and name.endswith("localrc")
            for name in archive.getnames()
        )


def test_changed_answers_are_brought_to_nodes_that_ran_already_and_to_no_other(
    host: FakeHost,
) -> None:
    lab = make_contrail()
    host.up(lab)
    host.libvirt.states[kept(host, lab.name).nodes[1].handle["uuid"]] = NodeState.OFF
    host.runner.on("ssh", answer=fake_session.healthy)
    host.up(make_contrail("R3.0"))
    commands = host.ran("ssh")
    assert [command.argv[-2] for command in commands] == ["controller", "compute2"]
    shell = fake_session.parts_of(commands[0])["answers.place"]
    assert "sudo -n tar -xpf - -C /" in shell
    data = base64.b64decode("".join(shell.splitlines()[1:-1]))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert all(name.startswith("opt/stack") for name in archive.getnames())
        assert any(name.endswith("localrc") for name in archive.getnames())
    host.up(make_contrail("R3.0"))
    assert len(host.ran("ssh")) == 2  # once


def test_answers_that_could_not_be_brought_are_tried_again(host: FakeHost) -> None:
    lab = make_contrail()
    host.up(lab)
    full = fake_session.answering({"answers.place": ("tar: disk full", 2)})
    host.runner.on("ssh", answer=full)
    with pytest.raises(
        CommandFailed, match="placing the answers on controller failed: tar: disk full"
    ):
        host.up(make_contrail("R3.0"))
    host.runner.on("ssh", answer=fake_session.healthy)
    host.up(make_contrail("R3.0"))
    assert len(host.ran("ssh")) == 1 + 3
