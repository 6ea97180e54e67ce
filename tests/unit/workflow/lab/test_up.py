from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stacklab import doctor, record
from stacklab.checks.expect import Fault, FaultKind
from stacklab.errors import (
    AlreadyRunning,
    CheckFailed,
    CommandFailed,
    HostError,
    ImageError,
    NodeNotReady,
    ProviderError,
    SpecError,
)
from stacklab.model import lab_json
from stacklab.model.lab import Lab
from stacklab.model.state import NodeState
from stacklab.process import Result
from stacklab.record import LabRecord
from stacklab.workflow.faults import faults
from stacklab.workflow.lab import up as bringing
from stacklab.workflow.nodes import wait
from tests.unit.checks.fake_lab import make_lab
from tests.unit.doctor.fake_machine import link, make_machine
from tests.unit.installers.contrail.labs import make_lab as make_contrail
from tests.unit.workflow.fake_host import FakeHost

ALL = ("controller", "compute1", "compute2")


def kept(host: FakeHost, name: str = "trio") -> LabRecord:
    found = record.read(host.lab(name))
    assert found is not None
    return found


def uuid(host: FakeHost, node: str) -> str:
    found = kept(host).node(node)
    assert found is not None
    return found.handle["uuid"]


def set_state(host: FakeHost, node: str, state: NodeState) -> None:
    host.libvirt.states[uuid(host, node)] = state


def rewrite(host: FakeHost, change: Callable[[LabRecord], LabRecord]) -> None:
    record.write(host.lab(), change(kept(host)))


def test_from_nothing_every_node_is_made_in_one_go(host: FakeHost) -> None:
    outcome = host.up()
    assert host.ups == [ALL]
    assert outcome.image == kept(host).image
    assert outcome.accelerator == "TCG (a test)"
    assert outcome.results == ()
    assert all(node.is_created for node in kept(host).nodes)
    for node in kept(host).nodes:
        assert (
            host.lab().overlay(node.name).read_text()
            == f"on {host.paths.images / outcome.image}.qcow2"
        )
        assert host.lab().seed(node.name).stat().st_mode & 0o777 == 0o600
    assert lab_json.from_json(host.lab().resolved.read_text()) == make_lab()


def test_what_exists_is_recorded_before_it_is_made(host: FakeHost) -> None:
    seen: list[LabRecord | None] = []

    def look(command: object) -> Result:
        seen.append(record.read(host.lab()))
        raise CommandFailed("no space left on device")

    host.runner.on("qemu-img", "create", answer=look)
    with pytest.raises(CommandFailed):
        host.up()
    assert seen[0] is not None
    assert [node.name for node in seen[0].nodes] == list(ALL)


def test_nothing_that_holds_a_secret_can_be_read_by_others(host: FakeHost) -> None:
    lab = make_contrail()
    host.up(lab)
    root = host.lab(lab.name).root
    secret = {
        path for path in root.rglob("*") if path.is_file() and path.stat().st_mode & 0o077 == 0
    }
    shown = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()} - {
        str(path.relative_to(root)) for path in secret
    }
    assert {path for path in shown if not path.endswith(".pub")} == {
        "host-guard",
        "record.json",
        "resolved.json",
    }
    assert (
        "assword" not in (root / "resolved.json").read_text() + (root / "record.json").read_text()
    )


def test_running_nodes_are_left_alone(host: FakeHost) -> None:
    host.up()
    seeds = {node.name: host.lab().seed(node.name).stat().st_ino for node in kept(host).nodes}
    before, calls = kept(host), len(host.runner.commands)
    host.up()
    assert host.ups == [ALL]
    assert dataclasses.replace(kept(host), answered_at=before.answered_at) == before
    assert {
        node.name: host.lab().seed(node.name).stat().st_ino for node in kept(host).nodes
    } == seeds
    # The firewall is set each time, for rules that a reboot of this host has lost.
    programs = {argv[0] for argv in host.runner.argvs[calls:]}
    assert programs <= {"iptables", "iptables-restore"}


def test_a_node_that_is_off_is_started_not_made_anew(host: FakeHost) -> None:
    host.up()
    before = uuid(host, "compute1")
    host.lab().overlay("compute1").write_text("precious")
    set_state(host, "compute1", NodeState.OFF)
    host.up()
    assert host.ups[1:] == [("compute1",)]
    assert host.lab().overlay("compute1").read_text() == "precious"
    assert uuid(host, "compute1") == before
    assert not any(call[0] == "remove_domain" for call in host.libvirt.calls)


def test_a_paused_node_runs_on(host: FakeHost) -> None:
    host.up()
    set_state(host, "compute1", NodeState.PAUSED)
    host.up()
    assert ("resume", uuid(host, "compute1")) in host.libvirt.calls
    assert host.ups == [ALL]


@pytest.mark.parametrize(
    "state", [NodeState.RUNNING, NodeState.PAUSED, NodeState.OFF, NodeState.CRASHED]
)
def test_a_node_that_vagrant_left_half_made_is_made_anew(host: FakeHost, state: NodeState) -> None:
    host.up()
    node = kept(host).nodes[1]
    rewrite(host, lambda all_: all_.with_node(dataclasses.replace(node, is_created=False)))
    set_state(host, "compute1", state)
    host.lab().overlay(node.name).write_text("half of a first boot")
    host.up()
    assert ("remove_domain", node.handle["uuid"], node.handle["domain"]) in host.libvirt.calls
    assert host.ups[1:] == [("compute1",)]
    assert host.lab().overlay(node.name).read_text().startswith("on ")
    assert kept(host).nodes[1].is_created


def test_after_a_vagrant_that_failed_nothing_of_it_is_trusted(host: FakeHost) -> None:
    host.fails_at = "compute1"
    with pytest.raises(ProviderError, match="vagrant up ended with 1"):
        host.up()
    assert not any(node.is_created for node in kept(host).nodes)
    host.fails_at = None
    host.up()
    removed = [call[2] for call in host.libvirt.calls if call[0] == "remove_domain"]
    assert removed == ["trio_controller", "trio_compute1"]
    assert host.ups == [ALL, ALL]


def test_a_domain_that_somebody_undefined_is_made_again_on_its_own_disk(host: FakeHost) -> None:
    host.up()
    host.lab().overlay("compute1").write_text("precious")
    del host.libvirt.states[uuid(host, "compute1")]
    host.up()
    assert host.ups[1:] == [("compute1",)]
    assert host.lab().overlay("compute1").read_text() == "precious"


def test_a_console_begins_anew_with_each_boot(host: FakeHost) -> None:
    host.up()
    for node in ALL:
        host.lab().console(node).write_text("of yesterday")
    set_state(host, "compute1", NodeState.OFF)
    host.up()
    assert host.lab().console("compute1").read_text() == ""
    assert host.lab().console("compute2").read_text() == "of yesterday"


def test_nodes_stay_on_the_base_they_have_when_a_newer_one_is_built(host: FakeHost) -> None:
    host.up()
    before = kept(host).image
    host.stock(content=b"newer")
    host.lab().overlay("compute1").unlink()
    set_state(host, "compute1", NodeState.OFF)
    assert host.up().image == before
    assert host.lab().overlay("compute1").read_text() == f"on {host.paths.images / before}.qcow2"


def test_a_base_that_is_gone_from_under_its_overlays_is_refused_by_name(host: FakeHost) -> None:
    host.up()
    for path in host.paths.images.iterdir():
        path.unlink()
    with pytest.raises(
        ImageError, match=f"base image {kept(host).image}, under the overlays of lab trio, is gone"
    ):
        host.up()


def test_a_run_that_was_ended_before_its_first_overlay_records_the_base_it_takes_in_the_end(
    host: FakeHost,
) -> None:
    host.runner.on("qemu-img", "create", answer=CommandFailed("killed"))
    with pytest.raises(CommandFailed):
        host.up()
    first = kept(host).image
    newer = host.stock(content=b"newer")
    host.runner.on(
        "qemu-img", "create", answer=lambda c: Path(c.argv[-2]).touch() or Result(exit_code=0)
    )
    assert host.up().image == newer.key
    assert kept(host).image == newer.key != first


def test_nothing_is_made_or_started_when_the_preflight_fails(host: FakeHost) -> None:
    host.context.fake_machine = make_machine(available_mib=100)
    with pytest.raises(HostError, match="memory"):
        host.up()
    assert not host.lab().root.exists()
    assert host.ups == []
    assert host.runner.commands == []
    assert host.libvirt.calls == []


def test_what_the_preflight_wants_said_is_said_and_stops_nothing(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def result(name: str, *, is_said: bool) -> doctor.ProbeResult:
        return doctor.ProbeResult(
            name=name,
            area=doctor.ProbeArea.HOST,
            status=doctor.ProbeStatus.WARNING,
            sentence=f"sentence of {name}",
            is_said=is_said,
        )

    results = (result("one", is_said=True), result("two", is_said=False))
    monkeypatch.setattr(doctor, "preflight", lambda *_args, **_kwargs: results)
    host.up()
    assert host.ups == [ALL]
    assert ("host", "sentence of one") in host.listener.heard
    assert ("host", "sentence of two") not in host.listener.heard


def test_a_subnet_that_this_host_already_routes_is_refused(host: FakeHost) -> None:
    host.context.fake_machine = make_machine(links=[link("br9", "10.10.0.7/24")])
    with pytest.raises(HostError, match=r"10\.10\.0\.0/24"):
        host.up()
    assert host.ups == []


def test_memory_that_running_nodes_have_already_is_not_asked_for_twice(host: FakeHost) -> None:
    host.up()
    host.context.fake_machine = make_machine(available_mib=1500)
    set_state(host, "compute1", NodeState.OFF)
    host.up()
    assert host.ups[1:] == [("compute1",)]


def changed_nic(lab: Lab) -> Lab:
    nic = dataclasses.replace(lab.nodes[1].nics[0], mac="52:54:00:ff:ff:ff")
    node = dataclasses.replace(lab.nodes[1], nics=(nic, lab.nodes[1].nics[1]))
    return dataclasses.replace(lab, nodes=(lab.nodes[0], node, lab.nodes[2]))


def changed_network(lab: Lab) -> Lab:
    return dataclasses.replace(
        lab, networks=(lab.networks[0], dataclasses.replace(lab.networks[1], mtu=1400))
    )


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (changed_nic, "node compute1"),
        (lambda lab: dataclasses.replace(lab, nodes=lab.nodes[:2]), "compute2"),
        (changed_network, "network net1"),
    ],
)
def test_a_changed_spec_that_interrupts_nodes_is_refused_by_name(
    host: FakeHost, change: Callable[[Lab], Lab], named: str
) -> None:
    host.up()
    before = host.lab().resolved.read_text()
    with pytest.raises(SpecError, match=f"lab trio.* {named}") as caught:
        host.up(change(make_lab()))
    assert "./invoke lab.up trio --" in str(caught.value.hint)
    assert host.lab().resolved.read_text() == before
    assert host.ups == [ALL]


def test_what_can_change_under_a_lab_is_taken_over(host: FakeHost) -> None:
    host.up()
    lab = make_lab(retries=9)
    host.up(dataclasses.replace(lab, description="other words", nodes=lab.nodes[::-1]))
    assert lab_json.from_json(host.lab().resolved.read_text()).checks.retries == 9


def test_a_lab_of_another_checkout_is_refused_before_anything(
    host: FakeHost, tmp_path: Path
) -> None:
    host.up()
    other = tmp_path / "other"
    other.mkdir()
    (other / "tasks.py").touch()
    rewrite(host, lambda found: dataclasses.replace(found, checkout=other))
    set_state(host, "compute1", NodeState.OFF)
    with pytest.raises(AlreadyRunning, match="belongs to another checkout"):
        host.up()
    assert host.ups == [ALL]


def test_a_node_that_does_not_answer_leaves_a_lab_to_go_on_with(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        wait, "banner", lambda address, _port=22: (address != "10.10.0.12", "refused")
    )
    monkeypatch.setattr(wait, "_POLL_S", 0.01)
    lab = make_lab()
    slow = dataclasses.replace(lab, checks=dataclasses.replace(lab.checks, boot_timeout_s=0.05))
    with pytest.raises(NodeNotReady, match="node compute1 does not answer"):
        host.up(slow)
    assert all(node.is_created for node in kept(host).nodes)


def test_checks_that_fail_are_told_and_the_lab_stays_up(host: FakeHost) -> None:
    host.runner.on("ssh", answer=Result(exit_code=255, stderr="Connection refused"))
    with pytest.raises(CheckFailed) as caught:
        bringing.up(host.context, make_lab(retries=0))
    assert "./invoke lab.check trio" in str(caught.value.hint)
    assert set(host.libvirt.states.values()) == {NodeState.RUNNING}


def test_programs_that_build_images_are_asked_for_only_where_one_is_built(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def listen(*_args: object, **kwargs: object) -> tuple[doctor.ProbeResult, ...]:
        asked.append(kwargs["builds_image"])
        return ()

    monkeypatch.setattr(doctor, "preflight", listen)
    for is_built in (True, False):
        monkeypatch.setattr(
            "stacklab.workflow.base_image.is_built", lambda _context, _lab, found=is_built: found
        )
        host.up(make_lab())
    assert asked == [False, True]


def test_clocks_are_set_on_all_nodes_and_when_they_answered_is_kept(host: FakeHost) -> None:
    before = time.time()
    host.up()
    assert host.clocks_set == [ALL]
    assert before <= (kept(host).answered_at or 0.0) <= time.time()
    host.up()
    assert host.clocks_set == [ALL, ALL], "a node that was paused is behind by as long"


def test_faults_are_undone_before_nodes_start_and_settled_when_they_answer(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    fault = Fault(kind=FaultKind.PAUSE, node="compute1")
    monkeypatch.setattr(
        faults, "clear", lambda *_args: order.append(f"clear {len(host.ups)}") or (fault,)
    )
    monkeypatch.setattr(
        faults,
        "settle",
        lambda *args: order.append(f"settle {len(host.ups)} {args[-1][0]}"),
    )
    host.up()
    assert order == ["clear 0", "settle 1 pause compute1"]
