from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import pytest

from stacklab import locks, record
from stacklab.errors import (
    AlreadyRunning,
    CommandTimedOut,
    HostError,
    LabError,
    NotOurs,
    ProviderError,
)
from stacklab.model.state import NodeState
from stacklab.process import Command, Result
from stacklab.workflow.context import running_lab
from stacklab.workflow.lab import ending
from stacklab.workflow.lab import status as lab_status
from stacklab.workflow.lab import up as bringing
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


def foreign(host: FakeHost, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "tasks.py").touch()
    kept = record.read(host.lab())
    assert kept is not None
    record.write(host.lab(), dataclasses.replace(kept, checkout=other))


def test_destroy_leaves_nothing(up: FakeHost) -> None:
    assert ending.destroy(up.context, "trio") is True
    assert up.libvirt.states == {}
    assert up.libvirt.networks == {}
    assert up.libvirt.pools == {}
    for directory in (up.paths.labs, up.paths.volumes):
        assert list(directory.iterdir()) == []
    assert [path.name for path in up.paths.locks.iterdir()] == ["vagrant.lock"]


def test_destroy_closes_connections_then_removes_what_is_recorded_then_its_directory(
    up: FakeHost,
) -> None:
    order: list[str] = []

    def close(command: Command) -> Result:
        assert up.libvirt.calls == []
        order.append(command.argv[-1])
        return Result(exit_code=0)

    up.runner.on("ssh", answer=close)
    remove_network = up.libvirt.remove_network

    def look(name: str, uuid: str) -> None:
        assert up.lab().record.exists()  # as long as there is something to remove
        order.append(name)
        remove_network(name, uuid)

    up.libvirt.remove_network = look  # type: ignore[method-assign]
    ending.destroy(up.context, "trio")
    assert order == ["controller", "compute1", "compute2", "trio_net0", "trio_net1"]


def test_destroy_of_nothing_says_so_and_leaves_not_even_a_lock(host: FakeHost) -> None:
    assert ending.destroy(host.context, "nobody") is False
    assert list(host.paths.locks.iterdir()) == []
    assert host.libvirt.calls == []


def test_destroying_twice_is_no_error(up: FakeHost) -> None:
    assert [ending.destroy(up.context, "trio") for _ in range(2)] == [True, False]


def test_a_directory_that_a_killed_destroy_left_is_removed(up: FakeHost) -> None:
    up.lab().record.unlink()
    assert ending.destroy(up.context, "trio") is True
    assert not up.lab().root.exists()


def test_destroy_leaves_another_lab_and_the_pool_that_it_needs(up: FakeHost) -> None:
    other = make_lab(name="duo", cidrs=("10.30.0.0/24",))
    up.up(other)
    before = {uuid: name for uuid, name in up.libvirt.names.items() if name.startswith("duo_")}
    ending.destroy(up.context, "trio")
    assert up.libvirt.names == before
    assert list(up.libvirt.pools) != []
    assert record.names(up.paths) == ("duo",)


@pytest.mark.parametrize("name", ["..", ".", "", "../volumes", "trio/../duo", "/"])
def test_destroy_never_goes_astray(up: FakeHost, name: str) -> None:
    before = sorted(up.paths.root.rglob("*"))
    with pytest.raises(LabError, match="is not a lab's name"):
        ending.destroy(up.context, name)
    assert sorted(up.paths.root.rglob("*")) == before


def test_a_shared_connection_that_hangs_does_not_keep_the_nodes_alive(up: FakeHost) -> None:
    up.runner.on("ssh", answer=CommandTimedOut("closing the shared connection: no end after 5 s"))
    assert ending.destroy(up.context, "trio") is True
    assert len(up.ran("ssh")) == 3
    assert up.libvirt.states == {}


def test_what_is_not_ours_any_more_stops_it_and_the_record_stays(up: FakeHost) -> None:
    up.libvirt.names[next(iter(up.libvirt.names))] = "somebodys"
    with pytest.raises(NotOurs):
        ending.destroy(up.context, "trio")
    assert record.read(up.lab()) is not None


def test_a_disk_that_is_still_there_is_told_and_the_record_stays(
    up: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "stacklab.providers.libvirt.provider.LibvirtProvider.destroy", lambda *_args: None
    )
    with pytest.raises(ProviderError, match=f"left behind: {up.lab().overlay('controller')}, "):
        ending.destroy(up.context, "trio")
    assert record.read(up.lab()) is not None


def test_a_directory_that_cannot_be_removed_is_told_in_one_line(
    up: FakeHost, tmp_path: Path
) -> None:
    moved = up.lab().root.rename(tmp_path / "elsewhere")
    up.lab().root.symlink_to(moved)
    with pytest.raises(HostError, match="labs/trio can't be removed: ") as caught:
        ending.destroy(up.context, "trio")
    assert caught.value.hint == f"rm -r {up.lab().root}"


def test_a_lab_of_another_checkout_is_not_destroyed_nor_shut_down(
    up: FakeHost, tmp_path: Path
) -> None:
    foreign(up, tmp_path)
    for work in (ending.destroy, ending.down):
        with pytest.raises(AlreadyRunning):
            work(up.context, "trio")
    with pytest.raises(AlreadyRunning):
        bringing.rebuild(up.context, make_lab(), checks=False)
    assert up.libvirt.calls == []


def test_who_waited_for_a_lock_that_its_holder_deleted_does_not_share_it(tmp_path: Path) -> None:
    path = tmp_path / "lab.lock"
    inside, release, waiting = threading.Event(), threading.Event(), threading.Event()

    def wait() -> None:
        with locks.held(path, "it", wait_s=10, waiting=lambda _text: waiting.set()):
            inside.set()
            release.wait(10)

    thread = threading.Thread(target=wait)
    with locks.held(path, "it"):
        thread.start()
        assert waiting.wait(5)
        path.unlink()
    assert inside.wait(5)
    try:
        with pytest.raises(AlreadyRunning), locks.held(path, "it"):
            pass
    finally:
        release.set()
        thread.join()


def test_down_keeps_everything_but_the_power(up: FakeHost) -> None:
    before = record.read(up.lab())
    ending.down(up.context, "trio")
    assert set(up.libvirt.states.values()) == {NodeState.OFF}
    assert [command.argv[-1] for command in up.ran("ssh")] == ["controller", "compute1", "compute2"]
    assert record.read(up.lab()) == before
    assert len(up.libvirt.networks) == 2
    up.up()
    assert up.ups[1] == ("controller", "compute1", "compute2")


def test_only_connections_that_there_are_are_closed(up: FakeHost) -> None:
    (up.lab().sockets / "compute1").unlink()
    ending.down(up.context, "trio")
    assert [command.argv[-1] for command in up.ran("ssh")] == ["controller", "compute2"]


@pytest.mark.parametrize("work", [ending.down, running_lab, lab_status.status])
def test_a_lab_that_is_not_up_is_told_with_what_to_type(host: FakeHost, work: object) -> None:
    with pytest.raises(LabError, match="mini-2node is not up") as caught:
        work(host.context, "mini-2node")  # type: ignore[operator]
    assert caught.value.hint == "./invoke lab.up mini-2node"
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("name", "nearest", "hint"),
    [
        ("contrial-3node", "contrail-3node", "lab.up contrail-3node"),
        ("xyzzy", "", "lab.list"),
    ],
)
def test_a_slip_is_never_what_to_type(host: FakeHost, name: str, nearest: str, hint: str) -> None:
    with pytest.raises(LabError) as caught:
        ending.down(host.context, name)
    assert name in caught.value.message
    assert nearest in caught.value.message
    assert ("mean" in caught.value.message) is bool(nearest)
    assert caught.value.hint == f"./invoke {hint}"


def test_the_nearest_lab_that_is_up_is_named(up: FakeHost) -> None:
    with pytest.raises(LabError, match=r"lab tri is not up: .* \(did you mean trio\?\)") as caught:
        running_lab(up.context, "tri")
    assert caught.value.hint == "./invoke lab.status"
