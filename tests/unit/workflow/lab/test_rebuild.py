from __future__ import annotations

import pytest

from stacklab import record
from stacklab.errors import (
    HostError,
)
from stacklab.workflow.lab import status as lab_status
from stacklab.workflow.lab import up as bringing
from tests.unit.checks.fake_lab import make_lab
from tests.unit.installers.contrail.labs import make_lab as make_contrail
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


def test_rebuild_makes_new_nodes_and_keeps_passwords_keys_and_addresses(host: FakeHost) -> None:
    lab = make_contrail()
    host.up(lab)
    paths = host.lab(lab.name)
    kept = [
        paths.secrets,
        paths.private_key,
        *(paths.host_key(node.name) for node in lab.nodes),
        paths.known_hosts,
    ]
    before = [path.read_bytes() for path in kept]
    first = record.read(paths)
    bringing.rebuild(host.context, lab, checks=False)
    second = record.read(paths)
    assert [path.read_bytes() for path in kept] == before
    assert first is not None
    assert second is not None
    assert not {node.handle["uuid"] for node in first.nodes} & {
        node.handle["uuid"] for node in second.nodes
    }
    assert set(host.libvirt.states) == {node.handle["uuid"] for node in second.nodes}
    assert len(host.ups) == 2


def test_rebuild_takes_a_spec_that_up_would_refuse(up: FakeHost) -> None:
    smaller = make_lab(nodes=("controller", "compute1"), cidrs=("10.10.0.0/24",))
    bringing.rebuild(up.context, smaller, checks=False)
    kept = record.read(up.lab())
    assert kept is not None
    assert [node.name for node in kept.nodes] == ["controller", "compute1"]
    assert not up.lab().overlay("compute2").exists()
    assert set(up.libvirt.networks) == {"trio_net0"}


def test_rebuild_takes_today_s_image(up: FakeHost) -> None:
    newer = up.stock(content=b"newer")
    assert bringing.rebuild(up.context, make_lab(), checks=False).image == newer.key


def test_rebuild_of_nothing_is_up(host: FakeHost) -> None:
    bringing.rebuild(host.context, make_lab(), checks=False)
    assert len(host.ups) == 1


def test_rebuild_keeps_the_nodes_when_they_could_not_come_back(
    up: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise HostError("too little memory")

    monkeypatch.setattr("stacklab.doctor.raise_for", fail)
    with pytest.raises(HostError, match="too little memory"):
        bringing.rebuild(up.context, make_lab(), checks=False)
    assert lab_status.status(up.context, make_lab().name)[0].states
