"""Commands and the disks that nodes have beside the one they boot from."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacklab.errors import ProviderError
from stacklab.workflow.lab import ending
from stacklab.workflow.lab import up as bringing
from stacklab.workflow.lab.changes.refusing import Consent, SpecChanged
from stacklab.workflow.lab.plan import plan
from stacklab.workflow.snapshots import saving
from tests.unit.workflow.fake_host import FakeHost
from tests.unit.workflow.lab.changing import LAB, MORE_DISKS, SHARING, disk_info

YES = Consent(to_all=True)


@pytest.fixture
def up(host: FakeHost) -> FakeHost:
    """The lab is up, and something is on each of its disks."""
    host.runner.on("qemu-img", "info", answer=disk_info).on("qemu-img", "resize")
    host.up(SHARING)
    for disk in (own(host), shared(host)):
        disk.write_text("precious")
    host.listener.heard.clear()
    return host


def own(host: FakeHost, node: str = "compute1") -> Path:
    return host.lab().further_disk(node, "disk1")


def shared(host: FakeHost) -> Path:
    return host.lab().shared_disk("quorum")


def notes(host: FakeHost) -> str:
    return "\n".join(text for _, text in host.listener.heard)


def test_they_stay_when_the_lab_goes_down_and_comes_up(up: FakeHost) -> None:
    ending.down(up.context, "trio")
    up.up(SHARING)
    assert (own(up).read_text(), shared(up).read_text()) == ("precious", "precious")


def test_destroy_leaves_none(up: FakeHost) -> None:
    ending.destroy(up.context, "trio")
    assert list(up.paths.volumes.iterdir()) == []


def test_a_node_that_is_rebuilt_has_empty_ones_and_the_shared_one_as_it_was(up: FakeHost) -> None:
    bringing.rebuild_node(up.context, SHARING, "compute1", checks=False)
    assert (own(up).read_text(), shared(up).read_text()) == ("empty", "precious")
    assert "the shared disk quorum stays as it is: compute2 has it, too" in notes(up)


def test_a_lab_that_is_rebuilt_has_empty_ones_only(up: FakeHost) -> None:
    bringing.rebuild(up.context, SHARING, checks=False)
    assert (own(up).read_text(), shared(up).read_text()) == ("empty", "empty")
    assert "stays as it is" not in notes(up)


def test_a_disk_more_is_a_rebuild_of_its_node_which_is_asked_for(up: FakeHost) -> None:
    actions = {what: action for what, action, _why in plan(up.context, MORE_DISKS)}
    assert actions["node compute2"] == "rebuild"
    with pytest.raises(SpecChanged, match="a shared one only with all nodes that have it"):
        up.up(MORE_DISKS)
    up.up(MORE_DISKS, consent=YES)
    assert own(up, "compute2").read_text() == "empty"
    assert (own(up).read_text(), shared(up).read_text()) == ("precious", "precious")


def test_disks_that_the_spec_lacks_go(up: FakeHost) -> None:
    up.up(LAB, consent=YES)
    assert not own(up).exists()
    assert not shared(up).exists()


def test_a_snapshot_of_a_shared_disk_is_refused_before_anything_is_paused(up: FakeHost) -> None:
    up.libvirt.calls.clear()
    with pytest.raises(ProviderError, match="quorum, shared by compute1, compute2") as caught:
        saving.save(up.context, "trio", "clean")
    assert str(caught.value.hint).startswith("./invoke lab.rebuild trio makes nodes and disks anew")
    assert not [call for call in up.libvirt.calls if call[0] == "pause"]
    assert not up.lab().snapshots.exists()


@pytest.mark.parametrize("name", ["trio.shared.quorum.raw", "trio_compute1.disk1.qcow2"])
def test_one_that_is_left_behind_is_named_and_the_record_stays(
    up: FakeHost, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    real = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path.name != name:
            real(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    with pytest.raises(ProviderError, match=f"left behind: .*{name}"):
        ending.destroy(up.context, "trio")
    assert up.lab().record.exists()
