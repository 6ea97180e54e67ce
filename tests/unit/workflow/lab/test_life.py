from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from stacklab import locks, record
from stacklab.errors import (
    AlreadyRunning,
    CommandFailed,
    CommandTimedOut,
    HostError,
    LabError,
    NotOurs,
    ProviderError,
)
from stacklab.model.state import NodeState
from stacklab.process import Command, Result
from stacklab.workflow.context import running_lab
from stacklab.workflow.lab import life
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


def foreign(host: FakeHost, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "tasks.py").touch()
    kept = record.read(host.lab())
    assert kept is not None
    record.write(host.lab(), dataclasses.replace(kept, checkout=other))


# --- destroy


def test_destroy_leaves_nothing(up: FakeHost) -> None:
    assert life.destroy(up.context, "trio") is True
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
    life.destroy(up.context, "trio")
    assert order == ["controller", "compute1", "compute2", "trio_net0", "trio_net1"]


def test_destroy_of_nothing_says_so_and_leaves_not_even_a_lock(host: FakeHost) -> None:
    assert life.destroy(host.context, "nobody") is False
    assert list(host.paths.locks.iterdir()) == []
    assert host.libvirt.calls == []


def test_destroying_twice_is_no_error(up: FakeHost) -> None:
    assert [life.destroy(up.context, "trio") for _ in range(2)] == [True, False]


def test_a_directory_that_a_killed_destroy_left_is_removed(up: FakeHost) -> None:
    up.lab().record.unlink()
    assert life.destroy(up.context, "trio") is True
    assert not up.lab().root.exists()


def test_destroy_leaves_another_lab_and_the_pool_that_it_needs(up: FakeHost) -> None:
    other = make_lab(name="duo", cidrs=("10.30.0.0/24",))
    up.up(other)
    before = {uuid: name for uuid, name in up.libvirt.names.items() if name.startswith("duo_")}
    life.destroy(up.context, "trio")
    assert up.libvirt.names == before
    assert list(up.libvirt.pools) != []
    assert record.names(up.paths) == ("duo",)


@pytest.mark.parametrize("name", ["..", ".", "", "../volumes", "trio/../duo", "/"])
def test_destroy_never_goes_astray(up: FakeHost, name: str) -> None:
    before = sorted(up.paths.root.rglob("*"))
    with pytest.raises(LabError, match="is no lab's name"):
        life.destroy(up.context, name)
    assert sorted(up.paths.root.rglob("*")) == before


def test_a_shared_connection_that_hangs_does_not_keep_the_nodes_alive(up: FakeHost) -> None:
    up.runner.on("ssh", answer=CommandTimedOut("closing the shared connection: no end after 5 s"))
    assert life.destroy(up.context, "trio") is True
    assert len(up.ran("ssh")) == 3
    assert up.libvirt.states == {}


def test_what_is_not_ours_any_more_stops_it_and_the_record_stays(up: FakeHost) -> None:
    up.libvirt.names[next(iter(up.libvirt.names))] = "somebodys"
    with pytest.raises(NotOurs):
        life.destroy(up.context, "trio")
    assert record.read(up.lab()) is not None


def test_a_disk_that_is_still_there_is_told_and_the_record_stays(
    up: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "stacklab.providers.libvirt.provider.LibvirtProvider.destroy", lambda *_args: None
    )
    with pytest.raises(ProviderError, match=f"left behind: {up.lab().overlay('controller')}, "):
        life.destroy(up.context, "trio")
    assert record.read(up.lab()) is not None


def test_a_directory_that_cannot_be_removed_is_told_in_one_line(
    up: FakeHost, tmp_path: Path
) -> None:
    moved = up.lab().root.rename(tmp_path / "elsewhere")
    up.lab().root.symlink_to(moved)
    with pytest.raises(HostError, match="labs/trio can't be removed: ") as caught:
        life.destroy(up.context, "trio")
    assert caught.value.hint == f"rm -r {up.lab().root}"


def test_a_lab_of_another_checkout_is_not_destroyed_nor_shut_down(
    up: FakeHost, tmp_path: Path
) -> None:
    foreign(up, tmp_path)
    for work in (life.destroy, life.down):
        with pytest.raises(AlreadyRunning):
            work(up.context, "trio")
    with pytest.raises(AlreadyRunning):
        life.rebuild(up.context, make_lab(), checks=False)
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


# --- rebuild


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
    life.rebuild(host.context, lab, checks=False)
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
    life.rebuild(up.context, smaller, checks=False)
    kept = record.read(up.lab())
    assert kept is not None
    assert [node.name for node in kept.nodes] == ["controller", "compute1"]
    assert not up.lab().overlay("compute2").exists()
    assert set(up.libvirt.networks) == {"trio_net0"}


def test_rebuild_takes_today_s_image(up: FakeHost) -> None:
    newer = up.stock(content=b"newer")
    assert life.rebuild(up.context, make_lab(), checks=False).image == newer.key


def test_rebuild_of_nothing_is_up(host: FakeHost) -> None:
    life.rebuild(host.context, make_lab(), checks=False)
    assert len(host.ups) == 1


# --- down and status


def test_down_keeps_everything_but_the_power(up: FakeHost) -> None:
    before = record.read(up.lab())
    life.down(up.context, "trio")
    assert set(up.libvirt.states.values()) == {NodeState.OFF}
    assert [command.argv[-1] for command in up.ran("ssh")] == ["controller", "compute1", "compute2"]
    assert record.read(up.lab()) == before
    assert len(up.libvirt.networks) == 2
    up.up()
    assert up.ups[1] == ("controller", "compute1", "compute2")


def test_only_connections_that_there_are_are_closed(up: FakeHost) -> None:
    (up.lab().sockets / "compute1").unlink()
    life.down(up.context, "trio")
    assert [command.argv[-1] for command in up.ran("ssh")] == ["controller", "compute2"]


@pytest.mark.parametrize("work", [life.down, running_lab, life.status])
def test_a_lab_that_is_not_up_is_told_with_what_to_type(host: FakeHost, work: object) -> None:
    with pytest.raises(LabError, match="is not up") as caught:
        work(host.context, "mini-2node")  # type: ignore[operator]
    assert caught.value.message == "lab mini-2node is not up: nothing of it exists on this host"
    assert caught.value.hint == "./invoke lab.up mini-2node"
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("name", "meant", "hint"),
    [
        ("contrial-3node", " (did you mean contrail-3node?)", "lab.up contrail-3node"),
        ("xyzzy", "", "lab.list"),
    ],
)
def test_a_slip_is_never_what_to_type(host: FakeHost, name: str, meant: str, hint: str) -> None:
    with pytest.raises(LabError) as caught:
        life.down(host.context, name)
    assert caught.value.message == f"lab {name} is not up: nothing of it exists on this host{meant}"
    assert caught.value.hint == f"./invoke {hint}"


def test_the_nearest_lab_that_is_up_is_named(up: FakeHost) -> None:
    with pytest.raises(LabError, match=r"lab tri is not up: .* \(did you mean trio\?\)") as caught:
        running_lab(up.context, "tri")
    assert caught.value.hint == "./invoke lab.status"


def test_status_tells_every_lab_and_every_node(up: FakeHost) -> None:
    up.up(make_lab(name="duo", cidrs=("10.30.0.0/24",)))
    found = {each.name: each for each in life.status(up.context)}
    assert list(found) == ["duo", "trio"]
    assert set(found["trio"].states.values()) == {NodeState.RUNNING}
    assert found["trio"].directory == str(up.lab().root)
    assert [each.name for each in life.status(up.context, "duo")] == ["duo"]


def test_status_is_ready_for_json_even_of_a_lab_that_was_never_resolved(up: FakeHost) -> None:
    (whole,) = map(life.as_dict, life.status(up.context))
    assert json.loads(json.dumps(whole))["nodes"][1] == {
        "name": "compute1",
        "state": "running",
        "addresses": {"net0": "10.10.0.12", "net1": "10.20.0.12"},
    }
    up.lab().resolved.unlink()
    (half,) = map(life.as_dict, life.status(up.context))
    assert json.loads(json.dumps(half))["nodes"][1]["addresses"] == {}


@pytest.mark.parametrize("damaged", ["record", "resolved"])
def test_a_damaged_lab_hides_no_other(up: FakeHost, damaged: str) -> None:
    """lab.reap, too, sends people to lab.status."""
    up.up(make_lab(name="duo", cidrs=("10.30.0.0/24",)))
    getattr(up.lab("duo"), damaged).write_text("{")
    duo, trio = life.status(up.context)
    assert (duo.name, duo.directory) == ("duo", str(up.lab("duo").root))
    assert "duo" in duo.trouble
    assert trio.trouble == ""
    assert set(trio.states.values()) == {NodeState.RUNNING}
    assert json.loads(json.dumps(life.as_dict(duo)))["trouble"] == duo.trouble
    with pytest.raises(LabError):
        life.status(up.context, "duo")


def test_a_lab_that_goes_while_all_are_looked_at_is_no_error(
    up: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(life.record, "names", lambda _host: ("gone", "trio"))
    assert [each.name for each in life.status(up.context)] == ["trio"]


# --- exec, login, console


@dataclasses.dataclass
class FakeShown:
    """Remembers what was to be shown; `breaks` is a node whose lines can't be."""

    breaks: str = ""
    nodes: list[str] = dataclasses.field(default_factory=list)
    lines: list[tuple[str, bytes]] = dataclasses.field(default_factory=list)
    ends: dict[str, Result | LabError] = dataclasses.field(default_factory=dict)

    def of(self, nodes: Sequence[str]) -> FakeShown:
        self.nodes = list(nodes)
        return self

    def out(self, node: str, line: bytes) -> None:
        if node == self.breaks:
            raise BrokenPipeError
        self.lines.append((node, line))

    err = out

    def ended(self, node: str, result: Result | LabError) -> None:
        self.ends[node] = result


def test_a_closed_pipe_ends_a_command_though_another_node_hangs(up: FakeHost) -> None:
    hangs = threading.Event()

    def answer(command: Command) -> Result:
        if command.argv[-2] == "controller":
            hangs.wait(30)
        return Result(exit_code=0, stdout="line\n")

    up.runner.on("ssh", answer=answer)
    started = time.monotonic()
    try:
        with pytest.raises(BrokenPipeError):
            life.execute(up.context, "trio", ("yes",), [], FakeShown(breaks="compute1").of)
        assert time.monotonic() - started < 10
    finally:
        hangs.set()


def test_a_command_runs_on_every_node_and_each_has_its_result_or_its_error(up: FakeHost) -> None:
    def answer(command: Command) -> Result:
        node = command.argv[-2]
        if node == "compute2":
            raise CommandFailed("no such file")
        return Result(exit_code=3 if node == "compute1" else 0, stdout=node)

    up.runner.on("ssh", answer=answer)
    shown = FakeShown()
    results = life.execute(up.context, "trio", ("uptime",), [], shown.of)
    assert shown.nodes == ["controller", "compute1", "compute2"]
    assert sorted(shown.lines) == [("compute1", b"compute1"), ("controller", b"controller")]
    assert {name: each.exit_code for name, each in shown.ends.items()} == {
        name: each.exit_code for name, each in results.items()
    }
    assert list(results) == ["controller", "compute1", "compute2"]
    assert [each.exit_code for each in results.values()] == [0, 3, CommandFailed.exit_code]
    assert life.exit_code(results) == 3


def test_a_node_that_the_lab_has_not_is_refused_with_those_it_has(up: FakeHost) -> None:
    with pytest.raises(
        LabError, match=r"lab trio has no node 'compute' \(it has: controller, compute1, compute2\)"
    ):
        life.execute(up.context, "trio", ("uptime",), ["compute"], FakeShown().of)
    with pytest.raises(LabError, match=r"next: \./invoke lab\.status trio"):
        life.execute(up.context, "trio", ("uptime",), ["compute"], FakeShown().of)
    with pytest.raises(LabError, match="has no node"):
        life.login(up.context, "trio", "../x")
    with pytest.raises(LabError, match="has no node"):
        life.console(up.context, "trio", "compute", follow=False, interactive=False)


def test_who_names_no_node_logs_in_on_the_controller(up: FakeHost) -> None:
    up.runner.on("ssh", answer=Result(exit_code=7))
    assert life.login(up.context, "trio", "") == 7
    assert life.login(up.context, "trio", "compute1") == 7
    assert [command.argv[-1] for command in up.ran("ssh")] == ["controller", "compute1"]
    assert all(command.interactive for command in up.ran("ssh"))


def test_a_console_is_a_file_or_a_terminal(up: FakeHost) -> None:
    up.runner.on("tail").on("virsh")
    life.console(up.context, "trio", "compute1", follow=False, interactive=False)
    life.console(up.context, "trio", "compute1", follow=True, interactive=False)
    life.console(up.context, "trio", "", follow=False, interactive=True)
    log = str(up.lab().console("compute1"))
    assert up.runner.argvs[-3:] == [
        ("tail", "-n", "+1", log),
        ("tail", "-f", "-n", "50", log),
        ("virsh", "-c", "qemu:///system", "console", "trio_controller", "--devname", "serial1"),
    ]


def test_rebuild_keeps_the_nodes_when_they_could_not_come_back(
    up: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise HostError("too little memory")

    monkeypatch.setattr("stacklab.doctor.raise_for", fail)
    with pytest.raises(HostError, match="too little memory"):
        life.rebuild(up.context, make_lab(), checks=False)
    assert life.status(up.context, make_lab().name)[0].states
