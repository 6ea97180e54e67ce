"""Snapshots of containers: layers of their disks, also killed at every step."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from pathlib import Path

import pytest

from stacklab import record
from stacklab.checks.expect import Fault, FaultKind
from stacklab.errors import LabError, NodeNotReady, ProviderError
from stacklab.model.lab import Lab
from stacklab.model.snapshot import SnapshotKind
from stacklab.model.stack import Role
from stacklab.model.state import NodeState
from stacklab.providers.containers import layers
from stacklab.views import snapshots as views
from stacklab.workflow import images
from stacklab.workflow.faults import faults
from stacklab.workflow.lab import ending
from stacklab.workflow.lab import up as bringing
from stacklab.workflow.snapshots import listing, restarting, restoring, saving, store
from tests.unit.providers.containers import fake_layers
from tests.unit.providers.containers.fake_layers import NODES, Writers
from tests.unit.providers.containers.fake_machines import CONTAINERS, MIXED, Site
from tests.unit.workflow.snapshots.fake_guests import Killed

LAB = CONTAINERS.name


@pytest.fixture
def nodes(site: Site, monkeypatch: pytest.MonkeyPatch) -> Writers:
    """The lab trio is up, and its containers have written 1."""
    made = fake_layers.install(site, monkeypatch)
    site.up(CONTAINERS)
    made.work(1)
    site.machines.calls.clear()
    return made


def save(site: Site, name: str = "first") -> None:
    saving.save(site.host.context, LAB, name)


def restore(site: Site, name: str = "first") -> None:
    restoring.restore(site.host.context, LAB, name)


def layers_left(site: Site) -> list[Path]:
    return sorted(site.host.lab().frozen_disks.glob("*"))


def test_nodes_boot_again_with_all_they_had_and_come_back_to_it(site: Site, nodes: Writers) -> None:
    save(site)
    nodes.assert_whole()
    assert nodes.numbers() == ("1",)
    nodes.work(2)
    restore(site)
    nodes.assert_whole()
    assert nodes.numbers() == ("1",)
    # As often as wanted.
    nodes.work(3)
    restore(site)
    assert nodes.numbers() == ("1",)
    # What was written since is not kept.
    assert len(layers_left(site)) == len(NODES)


def test_nodes_are_shut_down_and_not_cut_off(site: Site, nodes: Writers) -> None:
    save(site)
    for node in NODES:
        assert site.machines.actions(node)[:2] == ["thaw", "stop"], node


def test_what_controllers_serve_is_needed_until_the_others_are_off(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *others = CONTAINERS.nodes
    roles = [dataclasses.replace(first, role=Role.CONTROLLER)]
    roles += [dataclasses.replace(node, role=Role.COMPUTE) for node in others]
    fake_layers.install(site, monkeypatch)
    site.up(dataclasses.replace(CONTAINERS, nodes=tuple(roles)))
    site.machines.calls.clear()
    save(site)
    order = [call[:2] for call in site.machines.calls]
    asked = order.index((first.name, "stop"))
    for node in others:
        assert order.index((node.name, "kill")) < asked


def test_snapshots_do_not_disturb_each_other(site: Site, nodes: Writers) -> None:
    save(site, "first")
    nodes.work(2)
    save(site, "second")
    nodes.work(3)
    restore(site, "first")
    nodes.work(4)
    save(site, "third")
    for name, numbers in (("second", "12"), ("third", "14"), ("first", "1")):
        restore(site, name)
        nodes.assert_whole()
        assert nodes.numbers() == tuple(numbers)


def test_it_survives_down_rebuild_and_destroy_of_nodes(site: Site, nodes: Writers) -> None:
    context = site.host.context
    save(site)
    ending.down(context, LAB)
    site.up(CONTAINERS)
    assert nodes.numbers() == ("1",)
    bringing.rebuild_node(context, CONTAINERS, NODES[1], checks=False)
    assert site.machines.starts[NODES[1]]["LAYERS"] == ""
    bringing.rebuild(context, CONTAINERS, checks=False)
    assert nodes.numbers() == ()
    nodes.work(7)
    save(site, "second")
    restore(site, "first")
    assert nodes.numbers() == ("1",)
    restore(site, "second")
    assert nodes.numbers() == ("7",)
    nodes.assert_whole()


def test_a_deleted_snapshot_leaves_what_others_and_the_lab_need(site: Site, nodes: Writers) -> None:
    save(site, "first")
    nodes.work(2)
    save(site, "second")
    listing.delete(site.host.context, LAB, "first")
    restore(site, "second")
    assert nodes.numbers() == ("1", "2")
    listing.delete(site.host.context, LAB, "second")
    nodes.assert_whole()
    assert nodes.numbers() == ("1", "2")
    bringing.rebuild(site.host.context, CONTAINERS, checks=False)
    save(site, "third")
    listing.delete(site.host.context, LAB, "third")
    # Those of the first two are under nothing any more.
    assert len(layers_left(site)) == len(NODES)


def test_destroy_leaves_nothing(site: Site, nodes: Writers) -> None:
    save(site)
    nodes.work(2)
    restore(site)
    ending.destroy(site.host.context, LAB)
    assert not site.host.lab().snapshots.exists()
    assert list(site.host.paths.volumes.glob(f"{LAB}_*")) == []
    removed = [argv for argv in site.host.runner.argvs if "rm" in argv]
    assert removed, "what root has made, root removes"


def test_a_snapshot_pins_its_image(site: Site, nodes: Writers) -> None:
    save(site)
    image = listing.listed(site.host.context, LAB)[0].image
    site.host.stock(content=b"newer")
    assert image not in images.prune(site.host.context)


def test_the_nodes_seeds_of_then_come_back(site: Site, nodes: Writers) -> None:
    seed = site.container(NODES[0]).seed
    then = seed.read_bytes()
    save(site)
    seed.chmod(0o600)
    seed.write_bytes(b"of another")
    restore(site)
    assert seed.read_bytes() == then


def test_clocks_are_the_hosts_and_not_set(site: Site, nodes: Writers) -> None:
    site.host.clocks_set.clear()
    save(site)
    restore(site)
    assert site.host.clocks_set == []


def test_impairments_are_made_again_on_nodes_that_boot(
    site: Site, nodes: Writers, monkeypatch: pytest.MonkeyPatch
) -> None:
    impaired: list[Lab] = []
    monkeypatch.setattr(restarting, "impair", lambda _context, lab, _paths: impaired.append(lab))
    save(site)
    restore(site)
    assert [lab.name for lab in impaired] == [LAB, LAB]


def fault(kind: FaultKind, node: str, index: int) -> Fault:
    nic = CONTAINERS.node(node).nics[index]
    return Fault(kind=kind, node=node, network=nic.network, device=nic.device)


@pytest.mark.parametrize("command", ["save", "restore"])
def test_faults_of_nics_are_there_again(site: Site, nodes: Writers, command: str) -> None:
    context, lab, paths = site.host.context, CONTAINERS, site.host.lab()
    save(site, "without")
    faults.apply(context, lab, paths, fault(FaultKind.UNPLUG, NODES[1], 1))
    faults.apply(context, lab, paths, fault(FaultKind.LINK_DOWN, NODES[2], 0))
    save(site, "broken")
    if command == "restore":
        restore(site, "without")
        assert faults.listed(paths) == ()
        assert len(site.machines.ends) == 6
        restore(site, "broken")
    assert len(faults.listed(paths)) == 2
    assert site.container(NODES[1]).end(1) not in site.machines.ends
    end = site.container(NODES[2]).end(0)
    assert (site.machines.links / end / "flags").read_text() == "0x1002\n"
    faults.undo(context, lab, paths)
    assert len(site.machines.ends) == 6


def test_it_says_that_it_has_disks_alone(site: Site, nodes: Writers) -> None:
    manifest = saving.save(site.host.context, LAB, "first")
    assert manifest.kind is SnapshotKind.DISKS
    assert manifest.machine is None
    assert manifest.bytes > 3000
    assert "disks only: nodes boot from it" in views.saved(manifest)
    assert store.read(site.host.lab(), "first") == manifest


class TestRefused:
    def test_a_lab_that_has_vms_too(self, site: Site) -> None:
        site.up(MIXED)
        with pytest.raises(ProviderError, match="compute1, compute2 would go on") as caught:
            save(site)
        assert "--as" in (caught.value.hint or "")
        assert not site.host.lab().snapshots.exists()

    def test_a_lab_half_up(self, site: Site, nodes: Writers) -> None:
        site.provider.down(site.record, [NODES[0]], patience_s=1)
        with pytest.raises(LabError, match="does not run whole"):
            save(site)
        assert not site.host.lab().snapshots.exists()

    def test_more_layers_than_a_root_can_have(
        self, site: Site, nodes: Writers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(layers, "MOST", 2)
        save(site, "first")
        save(site, "second")
        with pytest.raises(ProviderError, match="lies on 2 disks"):
            save(site, "third")
        nodes.assert_whole()
        restore(site, "first")
        save(site, "third")

    @pytest.mark.parametrize("lost", ["disk", "seed", "files"])
    def test_a_part_that_is_missing(self, site: Site, nodes: Writers, lost: str) -> None:
        save(site)
        place = site.host.lab().snapshot("first")
        disk = store.read(site.host.lab(), "first").nodes[NODES[0]].disk
        path = {
            "disk": site.host.lab().frozen_disks / disk,
            "seed": place.seed(NODES[0]),
            "files": place.files,
        }[lost]
        path.rename(path.with_name("elsewhere"))
        site.machines.calls.clear()
        with pytest.raises(LabError, match="is missing"):
            restore(site)
        assert site.machines.calls == []

    def test_a_start_whose_layer_is_gone(self, site: Site, nodes: Writers) -> None:
        save(site)
        ending.down(site.host.context, LAB)
        layers_left(site)[0].rename(site.host.root / "gone")
        with pytest.raises(ProviderError, match="is not whole") as caught:
            site.up(CONTAINERS)
        assert "lab.restore" in (caught.value.hint or "")

    def test_memory_that_does_not_say_of_which_machine(self, site: Site, nodes: Writers) -> None:
        save(site)
        manifest = site.host.lab().snapshot("first").manifest
        data = json.loads(manifest.read_text())
        # As it was before there were two kinds.
        del data["kind"]
        manifest.write_text(json.dumps(data))
        with pytest.raises(LabError, match=r"is damaged.*of which machine"):
            restore(site)


def test_nodes_that_do_not_answer_are_reported_and_the_snapshot_is_whole(
    site: Site, nodes: Writers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object, **_named: object) -> None:
        raise NodeNotReady("compute1 does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(restarting, "_wait", fail)
        with pytest.raises(NodeNotReady):
            save(site)
    assert not site.host.lab().snapshot_intent.exists()
    nodes.work(2)
    restore(site)
    assert nodes.numbers() == ("1",)


def test_a_failure_in_the_middle_lets_the_nodes_boot_as_they_were(
    site: Site, nodes: Writers, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = type(site.provider._machines(site.record)).set_aside

    def fail(self: object, container: object, layer: Path) -> None:
        if NODES[1] in layer.name:
            raise ProviderError("no space left on device")
        real(self, container, layer)  # type: ignore[arg-type]

    monkeypatch.setattr("stacklab.providers.containers.machines.Machines.set_aside", fail)
    with pytest.raises(ProviderError, match="no space"):
        save(site)
    nodes.assert_whole()
    assert nodes.numbers() == ("1",)
    assert listing.listed(site.host.context, LAB) == ()
    assert layers_left(site) == []


def killed_at_every_step(site: Site, nodes: Writers, command: str) -> int:
    """Kill the command at each step in turn; the next command on the lab must put it right."""
    place = site.host.lab().snapshot("second")
    step = 0
    while True:
        step += 1
        nodes.killer.steps = 0
        nodes.killer.at = step
        before = nodes.numbers()
        try:
            if command == "save":
                save(site, "second")
            else:
                restore(site, "first")
        except Killed:
            nodes.killer.next_command()
        else:
            nodes.killer.next_command()
            return step
        # Any command that holds the lab puts it right.
        with site.host.context.lab_lock(LAB):
            pass
        nodes.assert_whole()
        assert not site.host.lab().snapshot_intent.exists()
        assert nodes.numbers() in (before, ("1",) if command == "restore" else before)
        if place.manifest.exists():
            restore(site, "second")
            nodes.assert_whole()
            assert nodes.numbers() == before
            listing.delete(site.host.context, LAB, "second")
        nodes.work(100 + step)


@pytest.mark.parametrize("command", ["save", "restore"])
def test_killed_at_every_step_a_lab_is_the_old_one_or_the_new_one(
    site: Site, nodes: Writers, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each kill that makes a snapshot leaves its layers below.
    monkeypatch.setattr(layers, "MOST", 1000)
    save(site, "first")
    nodes.work(2)
    assert killed_at_every_step(site, nodes, command) > 20


def test_killed_again_while_it_is_put_right(site: Site, nodes: Writers) -> None:
    save(site, "first")
    nodes.work(2)
    for step in range(1, 40, 3):
        for command in (lambda: save(site, "cut"), lambda: site.up(CONTAINERS)):
            nodes.killer.steps = 0
            nodes.killer.at = step
            with contextlib.suppress(Killed):
                command()
            nodes.killer.next_command()
        site.up(CONTAINERS)
        nodes.assert_whole()
        assert nodes.numbers() == ("1", "2")
        if site.host.lab().snapshot("cut").manifest.exists():
            listing.delete(site.host.context, LAB, "cut")


@pytest.mark.parametrize("step", [3, 9, 15, 21, 27])
def test_what_a_killed_snapshot_leaves_is_destroyed_with_the_lab(
    site: Site, nodes: Writers, step: int
) -> None:
    nodes.killer.at = nodes.killer.steps + step
    with pytest.raises(Killed):
        save(site)
    nodes.killer.next_command()
    ending.destroy(site.host.context, LAB)
    assert not site.host.lab().root.exists()
    assert not site.host.lab().snapshots.exists()
    assert list(site.host.paths.volumes.glob(f"{LAB}_*")) == []


def test_nodes_seem_to_have_booted_when_they_did(site: Site, nodes: Writers) -> None:
    before = record.read(site.host.lab())
    assert before is not None
    save(site)
    after = record.read(site.host.lab())
    assert after is not None
    assert (after.answered_at or 0) > (before.answered_at or 0)
    assert set(site.states.values()) == {NodeState.RUNNING}
