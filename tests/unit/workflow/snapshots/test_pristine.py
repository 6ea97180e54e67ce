"""The pristine snapshot: made by lab.up, and where lab.up and lab.rebuild get the lab back from."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stacklab import record
from stacklab.checks.reasons import Reason
from stacklab.checks.result import Check, CheckKind, CheckResult, CheckStatus
from stacklab.errors import HostError, LabError, ProviderError
from stacklab.model.lab import Checkpoint, Lab, NodeKind, Size
from stacklab.model.state import NodeState
from stacklab.paths.project import PROJECT
from stacklab.stages.attempt import StageResult
from stacklab.stages.journal import How
from stacklab.stages.stage import Stage, Step
from stacklab.workflow.check import checking
from stacklab.workflow.lab import ending, plan
from stacklab.workflow.lab import up as bringing
from stacklab.workflow.lab.lab_up import LabUp
from stacklab.workflow.snapshots import (
    cache,
    checkpoints,
    intent,
    listing,
    pristine,
    restarting,
    restoring,
    saving,
)
from tests.unit.checks.fake_lab import make_lab
from tests.unit.workflow.fake_host import FakeHost
from tests.unit.workflow.lab.changing import SHARING
from tests.unit.workflow.snapshots.fake_guests import Guests, Killed, install

PASSED = CheckResult(
    check=Check(kind=CheckKind.SSH, node="controller"),
    status=CheckStatus.PASSED,
    reason=Reason.OK,
    detail="",
)


def assert_none_is_kept(host: FakeHost) -> None:
    assert listing.listed(host.context, "trio") == ()


@pytest.fixture
def guests(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> Guests:
    """Guests whose checks pass."""
    monkeypatch.setattr(checking, "check", lambda *_args, **_more: (PASSED, PASSED))
    return install(host, monkeypatch)


def up(host: FakeHost, lab: Lab | None = None, **more: object) -> LabUp:
    return bringing.up(host.context, lab or make_lab(), **more)  # type: ignore[arg-type]


def rebuild(host: FakeHost, lab: Lab | None = None, **more: object) -> LabUp:
    return bringing.rebuild(host.context, lab or make_lab(), **more)  # type: ignore[arg-type]


def destroy(host: FakeHost, *, purge: bool = False) -> bool:
    return ending.destroy(host.context, "trio", purge=purge)


def why_cold(host: FakeHost) -> str:
    """Return the line about a cold start, "" without one; forgets it."""
    lines = [text for _, text in host.listener.heard if text.startswith("a cold start")]
    host.listener.heard.clear()
    return "\n".join(lines)


def test_a_lab_comes_back_as_lab_up_left_it(host: FakeHost, guests: Guests) -> None:
    assert up(host).came_from is None
    guests.work(1)
    assert destroy(host) is True
    assert not host.lab().root.exists()
    booted = len(host.ups)
    outcome = up(host)
    assert outcome.came_from is not None
    assert outcome.came_from.checks_passed == 2
    assert len(host.ups) == booted
    guests.assert_whole()
    assert guests.numbers() == {""}
    assert why_cold(host) == ""


def test_a_lab_with_a_shared_disk_has_none_which_is_said(host: FakeHost, guests: Guests) -> None:
    assert up(host, SHARING).came_from is None
    assert_none_is_kept(host)
    said = [text for _, text in host.listener.heard if text.startswith("no pristine snapshot")]
    assert len(said) == 1
    assert "lab trio can't have snapshots because of its shared disks (quorum" in said[0]


def test_lab_up_knows_whether_the_lab_comes_back(host: FakeHost, guests: Guests) -> None:
    assert up(host).comes_back, "its snapshot was made now"
    assert up(host).comes_back, "it was made before"
    destroy(host)
    assert up(host).comes_back, "it came from it"
    host.lab().pristine().manifest.write_text("{")
    assert not up(host).comes_back, "it is damaged"
    destroy(host, purge=True)
    assert not up(host, checks=False).comes_back, "none is made of what was not checked"


def test_a_lab_whose_spec_has_changed_does_not_come_back(host: FakeHost, guests: Guests) -> None:
    up(host)
    lab = make_lab()
    nodes = [dataclasses.replace(node, memory=Size.parse("768MiB")) for node in lab.nodes]
    changed = dataclasses.replace(lab, nodes=tuple(nodes))
    assert host.lab().pristine().manifest.exists()
    assert not pristine.is_kept(changed, host.lab(), image=up(host).image)
    assert not pristine.is_kept(lab, host.lab(), image="another")


@pytest.mark.parametrize("wanted", [(), (Checkpoint.NODES,)])
def test_a_lab_that_wants_none_does_not_come_back(
    host: FakeHost, guests: Guests, wanted: tuple[Checkpoint, ...]
) -> None:
    assert not up(host, dataclasses.replace(make_lab(), checkpoints=wanted)).comes_back
    destroy(host, purge=True)
    assert not up(host, SHARING).comes_back, "further disks"


def test_a_rebuild_takes_it_whatever_was_done(host: FakeHost, guests: Guests) -> None:
    up(host)
    key = host.lab().private_key.read_text()
    guests.work(1)
    assert rebuild(host).came_from is not None
    guests.assert_whole()
    assert guests.numbers() == {""}
    assert host.lab().private_key.read_text() == key


def test_a_lab_that_somebody_worked_on_is_not_pristine_after_a_boot(
    host: FakeHost, guests: Guests
) -> None:
    up(host)
    guests.work(1)
    ending.down(host.context, "trio")
    up(host)
    assert rebuild(host).came_from is not None
    assert guests.numbers() == {""}


def test_leases_are_asked_for_again_only_where_networks_are_new(
    host: FakeHost, guests: Guests, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(restarting.leases, "renew", lambda *_args: asked.append(1))
    up(host)
    rebuild(host)
    assert asked == []
    destroy(host)
    up(host)
    assert asked == [1]


@pytest.mark.parametrize("command", [up, rebuild])
def test_cold_boots_nodes_anew(
    host: FakeHost, guests: Guests, command: Callable[..., LabUp]
) -> None:
    up(host)
    if command is up:
        destroy(host)
    booted = len(host.ups)
    assert command(host, is_cold=True).came_from is None
    assert len(host.ups) == booted + 1
    # The new one replaces it, disks and all.
    assert len(list(host.lab().frozen_disks.iterdir())) == 3


def _with_more_memory(lab: Lab) -> Lab:
    nodes = [dataclasses.replace(node, memory=Size(2048)) for node in lab.nodes]
    return dataclasses.replace(lab, nodes=tuple(nodes))


class TestColdBecauseOf:
    @pytest.fixture(autouse=True)
    def was_up(self, host: FakeHost, guests: Guests) -> None:
        up(host)
        destroy(host)

    def test_the_spec(self, host: FakeHost) -> None:
        assert up(host, _with_more_memory(make_lab())).came_from is None
        assert "the spec changed since" in why_cold(host)

    def test_the_image(self, host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pristine, "_MAKERS", ())
        host.stock(content=b"newer")
        assert up(host).came_from is None
        said = why_cold(host)
        assert "the base image" in said
        assert "stacklab's way to make nodes" in said

    def test_qemu(self, host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Guests, "qemu_version", lambda _self: "10.0.0")
        assert up(host).came_from is None
        assert "a cold start: QEMU changed since" in why_cold(host)

    def test_answer_files(self, host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
        real = pristine.rendering.preview

        def other(*args: object, **more: object) -> object:
            rendered = real(*args, **more)  # type: ignore[arg-type]
            return {node: {**files, Path("/new"): "x"} for node, files in rendered.items()}

        monkeypatch.setattr(pristine.rendering, "preview", other)
        assert up(host).came_from is None
        assert "its answer files changed" in why_cold(host)

    @pytest.mark.parametrize("part", ["memory", "files"])
    def test_a_part_that_is_missing(self, host: FakeHost, guests: Guests, part: str) -> None:
        place = host.lab().pristine()
        (place.files if part == "files" else place.memory("controller")).unlink()
        assert up(host).came_from is None
        assert why_cold(host)
        guests.assert_whole()

    def test_a_manifest_that_is_damaged(self, host: FakeHost, guests: Guests) -> None:
        host.lab().pristine().manifest.write_text("{")
        assert up(host).came_from is None
        assert "is damaged" in why_cold(host)
        # Replaced by a whole one.
        destroy(host)
        assert up(host).came_from is not None

    def test_memory_that_libvirt_refuses(
        self, host: FakeHost, guests: Guests, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = Guests.restore_memory
        refused: list[str] = []

        def refuse(self: Guests, name: str, path: Path, xml: str) -> None:
            if name.endswith("compute1") and not refused:
                refused.append(name)
                raise ProviderError("guest CPU doesn't match specification")
            real(self, name, path, xml)

        monkeypatch.setattr(Guests, "restore_memory", refuse)
        assert up(host).came_from is None
        assert "can't be restored: guest CPU doesn't match" in why_cold(host)
        guests.assert_whole()
        assert not host.lab().snapshot_intent.exists()
        destroy(host)
        assert up(host).came_from is not None

    def test_a_secret_of_the_users(
        self, host: FakeHost, guests: Guests, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pristine.secrets, "changed", lambda *_args, **_more: ("admin",))
        assert up(host).came_from is None
        assert "admin changed since" in why_cold(host)


def test_a_description_makes_no_difference(host: FakeHost, guests: Guests) -> None:
    up(host)
    destroy(host)
    told = dataclasses.replace(make_lab(), description="Better words", source=Path("/other"))
    assert up(host, told).came_from is not None


class TestNoneIsMade:
    def test_without_checks(self, host: FakeHost, guests: Guests) -> None:
        up(host, checks=False)
        assert_none_is_kept(host)

    def test_where_the_spec_does_not_want_it(self, host: FakeHost, guests: Guests) -> None:
        up(host, dataclasses.replace(make_lab(), checkpoints=()))
        assert_none_is_kept(host)

    def test_of_a_lab_on_which_somebody_may_have_worked(
        self, host: FakeHost, guests: Guests
    ) -> None:
        host.up()  # without checks
        guests.work(1)
        up(host)
        assert_none_is_kept(host)

    def test_where_the_cache_may_take_nothing(self, host: FakeHost, guests: Guests) -> None:
        host.paths.settings.write_text("cache: 0\n")
        up(host)
        assert_none_is_kept(host)

    def test_where_the_disk_is_full_and_the_lab_is_up_all_the_same(
        self, host: FakeHost, guests: Guests, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Guests, "used_memory", lambda _self, _uuid: 1 << 50)
        up(host)
        guests.assert_whole()
        assert any("no pristine snapshot for" in text for _, text in host.listener.heard)


def test_nodes_of_either_kind_have_their_default() -> None:
    vms = make_lab()
    assert vms.has_checkpoint(Checkpoint.PRISTINE)
    assert not vms.has_checkpoint(Checkpoint.NODES)
    containers = vms.all_as(NodeKind.CONTAINER)
    assert not containers.has_checkpoint(Checkpoint.PRISTINE)
    wanted = dataclasses.replace(containers, checkpoints=(Checkpoint.PRISTINE,))
    assert wanted.has_checkpoint(Checkpoint.PRISTINE)


def test_its_name_is_not_for_others(host: FakeHost, guests: Guests) -> None:
    up(host)
    with pytest.raises(LabError, match="stacklab makes by itself"):
        saving.save(host.context, "trio", "pristine")


def test_a_lab_that_comes_back_is_this_checkouts_and_lives_as_long_as_it_is_told(
    host: FakeHost, guests: Guests, tmp_path: Path
) -> None:
    (tmp_path / "tasks.py").touch()  # a checkout
    with pytest.MonkeyPatch.context() as other:
        other.setattr(record, "PROJECT", tmp_path)
        up(host, ttl_s=60)
        destroy(host)
    up(host)
    again = record.read(host.lab())
    assert again is not None
    assert again.checkout == PROJECT
    assert again.expires_at is None


class TestDestroy:
    def test_leaves_the_pristine_one_and_no_other(self, host: FakeHost, guests: Guests) -> None:
        up(host)
        guests.work(1)
        saving.save(host.context, "trio", "mine")
        destroy(host)
        assert host.lab().snapshot_names() == ("pristine",)
        assert len(list(host.lab().frozen_disks.iterdir())) == 3
        assert cache.of_lab(host.paths, "trio") is not None
        assert destroy(host) is False

    def test_purges_it_when_it_is_told_so(self, host: FakeHost, guests: Guests) -> None:
        up(host)
        destroy(host, purge=True)
        assert not host.lab().snapshots.exists()
        assert cache.of_lab(host.paths, "trio") is None

    def test_purges_also_later(self, host: FakeHost, guests: Guests) -> None:
        up(host)
        destroy(host)
        assert destroy(host, purge=True) is True
        assert not host.lab().snapshots.exists()

    def test_leaves_none_that_is_damaged(self, host: FakeHost, guests: Guests) -> None:
        up(host)
        host.lab().pristine().manifest.write_text("{")
        destroy(host)
        assert not host.lab().snapshots.exists()


class TestCache:
    def _keep(self, host: FakeHost, name: str, *, used_at: float) -> None:
        """Keep a pristine snapshot of a lab that is gone."""
        bringing.up(host.context, make_lab(name=name))
        ending.destroy(host.context, name)
        os.utime(host.paths.lab(name).pristine().manifest, (used_at, used_at))

    def test_lists_what_is_kept_the_last_used_first(self, host: FakeHost, guests: Guests) -> None:
        self._keep(host, "one", used_at=1000)
        self._keep(host, "two", used_at=2000)
        up(host)
        found = cache.listed(host.paths)
        assert [(kept.lab, kept.is_up) for kept in found] == [
            ("trio", True),
            ("two", False),
            ("one", False),
        ]

    def test_the_longest_unused_goes_first(self, host: FakeHost, guests: Guests) -> None:
        for name, used_at in (("one", 3000), ("two", 1000), ("three", 2000)):
            self._keep(host, name, used_at=used_at)
        for lab in ("one", "two", "three"):
            place = host.paths.lab(lab).pristine()
            data = json.loads(place.manifest.read_text())
            stat = place.manifest.stat()
            place.manifest.write_text(json.dumps({**data, "bytes": 1 << 30}))
            os.utime(place.manifest, (stat.st_atime, stat.st_mtime))
        host.paths.settings.write_text("cache: 2GiB\n")
        assert [kept.lab for kept in cache.prune(host.context)] == ["two"]
        assert [kept.lab for kept in cache.listed(host.paths)] == ["one", "three"]

    def test_all_but_those_of_labs_that_are_up(self, host: FakeHost, guests: Guests) -> None:
        self._keep(host, "one", used_at=1000)
        up(host)
        assert [kept.lab for kept in cache.prune(host.context, everything=True)] == ["one"]
        assert not host.paths.lab("one").snapshots.exists()
        assert [kept.lab for kept in cache.listed(host.paths)] == ["trio"]

    def test_nothing_of_a_lab_on_which_somebody_is_at_work(
        self, host: FakeHost, guests: Guests
    ) -> None:
        self._keep(host, "one", used_at=1000)
        intent.write(
            host.paths.lab("one"),
            intent.Intent(doing=intent.Doing.RESTORE, snapshot="pristine", disks={}),
        )
        assert cache.prune(host.context, everything=True) == []

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("cache: much", "is not a size"),
            ("cash: 1GiB", "unknown key 'cash'"),
            ("- 1", "has to be a mapping"),
            ("cache: [", "can't be read"),
            ("cache: -1", "is not a size"),
        ],
    )
    def test_settings_that_are_wrong(self, host: FakeHost, text: str, why: str) -> None:
        host.paths.settings.write_text(text)
        with pytest.raises(HostError, match=why) as caught:
            cache.limit_bytes(host.paths)
        assert caught.value.hint

    def test_a_quarter_of_the_disk_unless_it_is_said(self, host: FakeHost) -> None:
        assert cache.limit_bytes(host.paths) > 0
        host.paths.settings.write_text("cache: 3GiB")
        assert cache.limit_bytes(host.paths) == 3 << 30
        host.paths.settings.write_text("")
        assert cache.limit_bytes(host.paths) > 0


def steps_of(guests: Guests, work: Callable[[], object]) -> range:
    """Return the number of each step at which the work can be killed."""
    guests.killer.steps = 0
    work()
    return range(1, guests.killer.steps + 1)


def kill_at(guests: Guests, step: int, work: Callable[[], object]) -> None:
    guests.killer.steps, guests.killer.at = 0, step
    with pytest.raises(Killed):
        work()
    guests.killer.next_command()


def test_killed_at_every_step_the_next_lab_up_has_the_lab_whole(
    host: FakeHost, guests: Guests
) -> None:
    """From destroyed to restored: whatever was cut short, the same command ends it."""
    up(host)
    destroy(host)
    steps = steps_of(guests, lambda: up(host))
    assert len(steps) > 15
    for step in steps:
        destroy(host)
        kill_at(guests, step, lambda: up(host))
        up(host)
        guests.assert_whole()
        assert not host.lab().snapshot_intent.exists()
        assert set(guests.states.values()) == {NodeState.RUNNING}


def test_killed_while_it_is_made_the_lab_goes_on(host: FakeHost, guests: Guests) -> None:
    up(host)

    def keep() -> None:
        kept = record.read(host.lab())
        assert kept is not None
        with host.context.lab_lock("trio") as paths:
            pristine.keep(host.context, make_lab(), paths, kept, (PASSED,))

    steps = steps_of(guests, keep)
    assert len(steps) > 15
    for step in steps:
        kill_at(guests, step, keep)
        with host.context.lab_lock("trio"):
            pass
        guests.assert_whole()
        assert not host.lab().snapshot_intent.exists()
    keep()
    destroy(host)
    assert up(host).came_from is not None


class TestCheckpoints:
    def _wanting(self, *checkpoints: Checkpoint) -> Lab:
        return dataclasses.replace(make_lab(), checkpoints=checkpoints)

    def test_nodes_are_kept_before_anything_is_installed(
        self, host: FakeHost, guests: Guests
    ) -> None:
        up(host, self._wanting(Checkpoint.NODES))
        assert host.lab().snapshot_names() == ("stage-nodes",)
        guests.work(1)
        name = checkpoints.of_stage(host.lab(), "nodes")
        restoring.restore(host.context, "trio", name)
        assert guests.numbers() == {""}

    def test_a_node_that_was_made_later_makes_no_checkpoint(
        self, host: FakeHost, guests: Guests
    ) -> None:
        up(host)
        up(host, self._wanting(Checkpoint.NODES))
        assert "stage-nodes" not in host.lab().snapshot_names()

    def test_each_stage_replaces_its_own(self, host: FakeHost, guests: Guests) -> None:
        lab = self._wanting(Checkpoint.STAGES)
        up(host, lab)
        kept = record.read(host.lab())
        assert kept is not None
        step = Step(node="controller", title="t", command="true")
        stage = Stage(name="run@controller", steps=(step,), limit_s=1)
        take = checkpoints.after_stage(host.context, lab, kept)
        for number in (1, 2):
            guests.work(number)
            take(StageResult(stage=stage, how=How.DONE))
        assert host.lab().snapshot_names() == ("stage-run-controller",)
        guests.work(3)
        restoring.restore(host.context, "trio", checkpoints.of_stage(host.lab(), "run@controller"))
        assert guests.numbers() == {"2"}
        # The first one's disks are below the second's; neither has more than its own.
        assert len(list(host.lab().frozen_disks.iterdir())) == 6

    def test_no_stage_is_kept_unless_it_is_wanted(self, host: FakeHost, guests: Guests) -> None:
        lab = self._wanting(Checkpoint.NODES)
        up(host, lab)
        kept = record.read(host.lab())
        assert kept is not None
        step = Step(node="controller", title="t", command="true")
        stage = Stage(name="run@controller", steps=(step,), limit_s=1)
        checkpoints.after_stage(host.context, lab, kept)(StageResult(stage=stage, how=How.DONE))
        assert host.lab().snapshot_names() == ("stage-nodes",)

    def test_a_checkpoint_that_fails_ends_no_stage(
        self, host: FakeHost, guests: Guests, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Guests, "used_memory", lambda _self, _uuid: 1 << 50)
        up(host, self._wanting(Checkpoint.NODES))
        assert any("no snapshot after nodes" in text for _, text in host.listener.heard)
        guests.assert_whole()

    def test_an_unknown_stage_names_those_that_there_are(
        self, host: FakeHost, guests: Guests
    ) -> None:
        up(host)
        with pytest.raises(LabError, match="there are none") as caught:
            checkpoints.of_stage(host.lab(), "nodes")
        assert "checkpoints: [nodes, stages]" in (caught.value.hint or "")
        destroy(host, purge=True)
        up(host, self._wanting(Checkpoint.NODES))
        with pytest.raises(LabError, match="did you mean nodes"):
            checkpoints.of_stage(host.lab(), "node")

    def test_destroy_leaves_none(self, host: FakeHost, guests: Guests) -> None:
        up(host, self._wanting(Checkpoint.NODES, Checkpoint.PRISTINE))
        destroy(host)
        assert host.lab().snapshot_names() == ("pristine",)


class TestPlan:
    def test_says_that_the_lab_would_be_restored(self, host: FakeHost, guests: Guests) -> None:
        up(host)
        assert plan.plan(host.context, make_lab())[0][0] == "image"  # it is up
        destroy(host)
        assert plan.plan(host.context, make_lab())[0][:2] == ("lab", "restore")
        assert not host.lab().root.exists()

    def test_says_why_it_would_not(self, host: FakeHost, guests: Guests) -> None:
        up(host)
        destroy(host)
        row = plan.plan(host.context, _with_more_memory(make_lab()))[0]
        assert row[:2] == ("lab", "boot anew")
        assert row[2].startswith("the spec changed since")
