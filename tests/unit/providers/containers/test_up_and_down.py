"""A lab's life with containers, and with containers and VMs on the same networks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stacklab import record
from stacklab.errors import LabError, NotOurs, ProviderError
from stacklab.model.state import NodeState
from stacklab.process import Result
from stacklab.providers.contract import (
    Console,
    Evidence,
    HostLogs,
    LogSource,
    MakesFaults,
    Orphans,
    PartialStates,
    Provider,
    Resets,
)
from stacklab.tools.host import cgroups
from stacklab.workflow.lab import ending
from tests.unit.doctor.fake_machine import make_machine
from tests.unit.providers.containers.fake_machines import CONTAINERS, MIXED, Site
from tests.unit.providers.libvirt.fake_libvirt import FakeLibvirt

ALL_RUN = dict.fromkeys(("controller", "compute1", "compute2"), NodeState.RUNNING)


def test_it_is_a_provider_with_all_capabilities(site: Site) -> None:
    provider: Provider = site.provider
    assert provider.name == "containers"
    capabilities = (Console, Resets, MakesFaults, Evidence, HostLogs, Orphans, PartialStates)
    assert all(isinstance(provider, capability) for capability in capabilities)


# --- up


def test_a_mixed_lab_comes_up_whole_and_vagrant_hears_of_its_vms_alone(up: Site) -> None:
    assert up.states == ALL_RUN
    assert up.host.ups == [("compute1", "compute2")]
    machines = json.loads(up.host.lab().machines.read_text())
    assert [node["name"] for node in machines["nodes"]] == ["compute1", "compute2"]
    assert up.machines.actions("controller") == ["start"]
    assert {node for node, *_ in up.machines.calls} == {"controller"}


def test_each_node_has_its_place_in_the_networks_whatever_it_is(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: dict[str, str] = {}
    real = FakeLibvirt.ensure_network

    def keep(self: FakeLibvirt, name: str, uuid: str, xml: str) -> None:
        written.setdefault(name, xml)  # as it was made: before the first container
        real(self, name, uuid, xml)

    monkeypatch.setattr(FakeLibvirt, "ensure_network", keep)
    site.up()
    assert set(written) == {"trio_net0", "trio_net1"}
    # Of the network by which the host logs in, libvirt's DNS knows all names.
    for node in MIXED.nodes:
        assert node.access.mac in written["trio_net0"]
        assert str(node.access.address.ip) in written["trio_net0"]
        assert f"<hostname>{node.name}</hostname>" in written["trio_net0"]


def test_networks_are_there_before_the_first_container(site: Site) -> None:
    site.up()
    assert set(site.host.libvirt.networks) == {"trio_net0", "trio_net1"}
    heard = [text for row, text in site.host.listener.heard if row == "host"]
    assert heard.index("networks ended") < heard.index("containers") < heard.index("vagrant")


def test_a_container_is_started_with_what_was_planned(up: Site) -> None:
    container = up.container()
    settings = up.machines.settings["controller"]
    image = up.host.paths.root_disk(up.record.image)
    assert settings["BASE"] == str(image)
    assert (settings["BASE_TYPE"], settings["BASE_OFFSET"]) == ("ext4", "0")
    assert settings["BASE_OPTIONS"] == ",noload"
    assert settings["HOST_NAME"] == "controller"
    assert settings["MEMORY"] == str(1024 * 1024 * 1024)
    assert settings["SEED"] == str(container.seed)
    assert settings["CONSOLE"] == str(up.host.lab().console("controller"))
    (started,) = up.machines.calls
    assert started[2:] == (
        f"{container.machine}-0,sl-trio0,eth0,52:54:00:00:00:00,1500,10.10.0.11/24,10.10.0.1",
        f"{container.machine}-1,sl-trio1,eth1,52:54:00:00:01:00,1500,10.20.0.11/24,",
    )


def test_a_container_s_seed_holds_keys_and_is_nobody_else_s_to_read(up: Site) -> None:
    seed = up.container().seed
    assert seed.stat().st_mode & 0o777 == 0o600
    assert b"PRIVATE controller" in seed.read_bytes()
    assert not up.host.lab().overlay("controller").exists()


def test_what_runs_is_left_alone(up: Site) -> None:
    up.up()
    assert up.machines.actions("controller") == ["start"]
    assert len(up.host.ups) == 1


def test_a_paused_container_goes_on_and_is_not_started_again(up: Site) -> None:
    group = up.machines.cgroups / "stacklab" / up.container().machine
    up.machines.write_group(group, keeper=True, run=True, frozen=True)
    assert up.states["controller"] is NodeState.PAUSED
    up.up()
    assert up.machines.actions("controller") == ["start", "thaw"]
    assert up.states == ALL_RUN


def test_what_a_killed_run_left_half_made_is_removed_and_made_again(up: Site) -> None:
    whole = json.loads(up.host.lab().record.read_text())
    whole["nodes"][0]["is_created"] = False
    up.host.lab().record.write_text(json.dumps(whole))
    up.up()
    assert up.machines.actions("controller") == ["start", "remove", "start"]
    assert up.states == ALL_RUN


def test_a_lab_of_containers_asks_neither_for_the_accelerator_nor_for_vagrant(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_context: object) -> None:
        raise AssertionError("that boots a kernel")

    monkeypatch.setattr(type(site.host.context), "accelerator", refuse)
    site.connect()
    outcome = site.up(CONTAINERS)
    assert outcome.accelerator.startswith("none: the nodes are containers on this host's kernel")
    assert site.states == ALL_RUN
    assert site.host.ups == []
    assert not site.host.lab().machines.exists()
    assert site.host.libvirt.states == {}


def test_only_vms_clocks_are_set(site: Site) -> None:
    site.up()
    assert site.host.clocks_set == [("compute1", "compute2")]


def test_a_container_has_no_clock_to_set(site: Site) -> None:
    site.up(CONTAINERS)
    assert site.host.clocks_set == []


def test_a_container_that_does_not_start_is_told_with_what_to_type(site: Site) -> None:
    failed = Result(exit_code=1, stderr="mount: no such disk\n")
    for prefix in (("env",), ("sudo", "-n", "env")):
        site.host.runner.on(*prefix, answer=failed)
    with pytest.raises(ProviderError, match="controller: its container could not be") as caught:
        site.up()
    assert "mount: no such disk" in caught.value.message
    assert caught.value.hint == "./invoke doctor trio, then ./invoke lab.up trio"


# --- the host


def test_a_host_without_systemd_nspawn_is_told_so_before_anything_is_made(site: Site) -> None:
    site.host.context.fake_machine = make_machine(absent=["systemd-nspawn"])
    with pytest.raises(LabError, match="systemd-nspawn is not installed") as caught:
        site.up()
    assert "apt-get install systemd-container" in str(caught.value)
    assert record.read(site.host.lab()) is None


def test_a_host_without_cgroups_is_told_so(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "root", lambda: None)
    with pytest.raises(ProviderError, match="no cgroup version 2") as caught:
        site.up()
    assert str(caught.value.hint).endswith("mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified")


def test_an_unreachable_libvirtd_is_told_for_its_networks(site: Site) -> None:
    site.host.connect(None)
    site.connect()
    provider = site.provider
    provider._vms._link._ask = lambda: "no socket"
    unreachable = provider.why_unreachable()
    assert unreachable is not None
    assert str(unreachable) == "libvirtd does not answer: no socket"


# --- down


def test_down_stops_both_kinds_and_keeps_what_they_wrote(up: Site) -> None:
    ending.down(up.host.context, "trio")
    assert set(up.states.values()) == {NodeState.OFF}
    assert up.container().directory.is_dir()
    assert up.machines.actions("controller") == ["start", "thaw", "stop", "kill"]
    assert up.machines.ends == []
    up.up()
    assert up.states["controller"] is NodeState.RUNNING
    assert up.host.ups == [("compute1", "compute2")] * 2


def test_a_container_that_does_not_hear_is_killed_and_that_is_said(up: Site) -> None:
    up.machines.stubborn = {"controller"}
    up.provider.down(up.record, ["controller", "compute1"], patience_s=0.05)
    assert ("controller", "did not shut down within 0 s: it is killed") in up.host.listener.heard
    assert up.states["controller"] is NodeState.OFF
    assert up.states["compute1"] is NodeState.OFF
    assert up.states["compute2"] is NodeState.RUNNING  # nobody asked for it


def test_who_shuts_down_is_not_said_to_be_killed(up: Site) -> None:
    up.provider.down(up.record, ["controller"], patience_s=5)
    assert not [text for row, text in up.host.listener.heard if row == "controller"]


def test_what_is_off_is_not_asked_to_stop_but_left_without_processes(up: Site) -> None:
    ending.down(up.host.context, "trio")
    up.machines.calls.clear()
    up.provider.down(up.record, ["controller"], patience_s=5)
    assert up.machines.actions("controller") == ["kill"]


# --- destroy, and single nodes


def test_destroy_leaves_nothing_of_either_kind(up: Site) -> None:
    assert ending.destroy(up.host.context, "trio") is True
    assert list(up.host.paths.volumes.iterdir()) == []
    assert up.host.libvirt.states == {}
    assert up.host.libvirt.networks == {}
    assert up.machines.ends == []
    assert record.names(up.host.paths) == ()


def test_destroying_twice_is_success(up: Site) -> None:
    lab_record = up.record
    for _ in range(2):
        up.provider.destroy(up.host.lab(), lab_record)


def test_networks_go_after_the_last_container(up: Site) -> None:
    calls = up.host.libvirt.calls
    real = up.machines._act

    def act(node: str, action: str, *rest: object) -> None:
        calls.append((action, node))
        real(node, action, *rest)  # type: ignore[arg-type]

    up.machines._act = act  # type: ignore[method-assign]
    ending.destroy(up.host.context, "trio")
    names = [call[0] for call in calls]
    assert names.index("remove") < names.index("remove_network")


def test_a_removed_node_takes_its_seed_and_half_a_seed_with_it(up: Site) -> None:
    container = up.container()
    half = container.seed.with_name(f".{container.seed.name}.abc123")
    half.write_text("half, but with keys in it")
    others = up.host.lab().seed("compute1")
    up.host.lab().console("controller").touch()
    up.provider.remove_node(up.host.lab(), up.record, "controller")
    assert up.states == {**ALL_RUN, "controller": NodeState.ABSENT}
    assert not container.directory.exists()
    assert not container.seed.exists()
    assert not half.exists()
    assert not up.host.lab().console("controller").exists()
    assert others.exists()


def test_a_vm_beside_a_container_is_removed_by_libvirt_s_provider(up: Site) -> None:
    up.machines.calls.clear()
    up.provider.remove_node(up.host.lab(), up.record, "compute1")
    assert up.states == {**ALL_RUN, "compute1": NodeState.ABSENT}
    assert not up.host.lab().overlay("compute1").exists()
    assert up.machines.calls == []


def test_a_vm_that_is_not_surely_ours_keeps_the_lab_on_record(up: Site) -> None:
    up.host.libvirt.names[up.uuid("compute1")] = "somebodys"
    with pytest.raises(NotOurs):
        ending.destroy(up.host.context, "trio")
    assert record.names(up.host.paths) == ("trio",)


def test_a_container_s_directory_that_stays_keeps_the_lab_on_record(
    up: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(up.machines, "_act", lambda *_args: None)  # nothing is removed
    directory = up.container().directory
    with pytest.raises(ProviderError, match=str(directory)):
        ending.destroy(up.host.context, "trio")
    assert record.names(up.host.paths) == ("trio",)


def test_a_node_that_is_not_on_record_is_refused(up: Site) -> None:
    with pytest.raises(ProviderError, match="compute9 is not on record"):
        up.provider.remove_node(up.host.lab(), up.record, "compute9")


def test_a_hung_container_is_booted_again(up: Site) -> None:
    up.provider.reset(up.record, "controller")
    up.provider.reset(up.record, "compute1")
    assert up.machines.actions("controller") == ["start", "start"]
    assert [call for call in up.host.libvirt.calls if call[0] == "reset"] == [
        ("reset", up.uuid("compute1"))
    ]


# --- consoles and logs


def test_each_kind_has_the_console_and_the_state_of_its_own(up: Site) -> None:
    container = up.container()
    provider = up.provider
    assert provider.console_argv(up.record, "controller")[-1] == "login"
    assert f"MACHINE={container.machine}" in provider.console_argv(up.record, "controller")
    assert "trio_compute1" in " ".join(provider.console_argv(up.record, "compute1"))
    assert provider.state_command(up.record, "controller") == (
        f"cat {up.machines.cgroups}/stacklab/{container.machine}/cgroup.events"
    )
    assert "trio_compute1" in provider.state_command(up.record, "compute1")


class Reader:
    """See LogReader."""

    def run(self, argv: tuple[str, ...]) -> str:
        return f"{argv[0]} says"

    def file(self, path: str, title: str, file: Path) -> object:
        return LogSource(path=path, title=title, read=file.read_text)


def test_the_logs_have_each_container_s_cgroup(up: Site) -> None:
    sources = {
        source.path: source
        for source in up.provider.log_sources(up.host.lab(), up.record, Reader(), "")  # type: ignore[arg-type]
    }
    assert '"controller"' in sources["host/containers.json"].read()
    text = sources["host/containers/controller.txt"].read()
    assert "cgroup.events\npopulated 1" in text
    assert "ip says" in text
    assert "host/containers/compute1.txt" not in sources
