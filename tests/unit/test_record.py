from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacklab import record
from stacklab.errors import AlreadyRunning, LabError
from stacklab.model.lab import Lab, NetworkMode
from stacklab.paths import HostPaths, LabPaths
from stacklab.paths.project import PROJECT
from stacklab.providers import registry
from stacklab.record import LabRecord
from tests.unit.checks.fake_lab import make_lab


@pytest.fixture
def paths(tmp_path: Path) -> LabPaths:
    return HostPaths(tmp_path).lab("trio")


def new(paths: LabPaths, lab: Lab | None = None) -> LabRecord:
    return registry.new_record(
        lab or make_lab(), paths, image="debian-12-abc", passed_over={"x": "no net"}, now=12.5
    )


def test_a_record_is_read_as_it_was_written(paths: LabPaths) -> None:
    kept = new(paths)
    kept = kept.with_node(dataclasses.replace(kept.nodes[1], is_created=True, answers="digest"))
    record.write(paths, kept)
    assert registry.read(paths) == kept


def test_where_nothing_exists_there_is_no_record(paths: LabPaths) -> None:
    assert registry.read(paths) is None


def test_a_new_record_names_everything_whole(paths: LabPaths) -> None:
    kept = new(paths)
    node = kept.nodes[0]
    assert {**node.handle, "uuid": ""} == {
        "domain": "trio_controller",
        "uuid": "",
        "overlay": str(paths.host.volumes / "trio_controller.qcow2"),
        "seed": str(paths.host.volumes / "trio_controller.seed.img"),
    }
    assert kept.provider == "libvirt"
    assert [(n.name, n.handle["libvirt_name"], n.handle["bridge"]) for n in kept.networks] == [
        ("net0", "trio_net0", "sl-trio0"),
        ("net1", "trio_net1", "sl-trio1"),
    ]
    assert not any(node.is_created for node in kept.nodes)
    assert kept.checkout == PROJECT
    assert kept.is_ours


def test_every_uuid_is_one_and_never_the_same(paths: LabPaths) -> None:
    first, second = new(paths), new(paths)
    found = [
        each.handle["uuid"] for kept in (first, second) for each in (*kept.nodes, *kept.networks)
    ]
    assert len(set(found)) == 10
    assert [str(uuid.UUID(each)) for each in found] == found


def test_a_bridged_network_is_not_ours_so_it_is_not_recorded(paths: LabPaths) -> None:
    lab = make_lab()
    bridged = dataclasses.replace(lab.networks[1], mode=NetworkMode.BRIDGED, bridge="br0")
    kept = new(paths, dataclasses.replace(lab, networks=(lab.networks[0], bridged)))
    assert [network.name for network in kept.networks] == ["net0"]


def test_a_node_is_found_by_its_whole_name(paths: LabPaths) -> None:
    kept = new(paths)
    assert kept.node("compute1") is kept.nodes[1]
    assert kept.node("compute") is None


def test_computes_that_a_cloud_still_lists_are_kept_and_seldom_written(paths: LabPaths) -> None:
    lab_record = new(paths)
    assert "departed" not in json.loads(record.as_text(lab_record))
    listed = dataclasses.replace(lab_record, departed=("compute8", "compute9"))
    assert record.parse(record.as_text(listed), paths) == listed


@pytest.mark.parametrize("value", ["compute9", ["--ovn"], ["a b"], [1], {"compute9": 1}, 7])
def test_a_record_that_says_odd_things_of_who_departed_is_damaged(
    paths: LabPaths, value: object
) -> None:
    fields = json.loads(record.as_text(new(paths)))
    with pytest.raises(record.RecordDamaged):
        record.parse(json.dumps({**fields, "departed": value}), paths)


def test_changing_one_node_leaves_the_others(paths: LabPaths) -> None:
    kept = new(paths)
    changed = kept.with_node(dataclasses.replace(kept.nodes[1], is_created=True))
    assert [node.is_created for node in changed.nodes] == [False, True, False]
    assert [node.is_created for node in kept.nodes] == [False, False, False]


@pytest.mark.parametrize(
    "text", ["", "{", "null", "[]", "3", "{}", '{"version": 2}', '{"version": 1}', "\x00"]
)
def test_a_damaged_record_is_an_error_that_tells_what_to_do(paths: LabPaths, text: str) -> None:
    paths.root.mkdir(parents=True)
    paths.record.write_text(text)
    with pytest.raises(LabError, match="the record of lab trio is damaged") as caught:
        registry.read(paths)
    assert "virsh list --all" in str(caught.value.hint)


def test_a_copy_of_a_lab_s_directory_is_not_taken_for_the_lab(tmp_path: Path) -> None:
    host = HostPaths(tmp_path)
    record.write(host.lab("trio"), new(host.lab("trio")))
    shutil.copytree(host.lab("trio").root, host.lab("trio-old").root)
    with pytest.raises(LabError, match=r"the record of lab trio-old is damaged: .*is of lab trio"):
        registry.read(host.lab("trio-old"))


def flat(whole: dict[str, Any]) -> dict[str, Any]:
    """The same as version 1 had it."""
    del whole["provider"]
    for kind in ("nodes", "networks"):
        whole[kind] = [{**thing.pop("handle"), **thing} for thing in whole[kind]]
    return {**whole, "version": 1}


def test_what_the_forged_ones_are_made_of_is_a_record_in_both_versions(paths: LabPaths) -> None:
    kept = new(paths)
    record.write(paths, kept)
    paths.record.write_text(json.dumps(flat(json.loads(paths.record.read_text()))))
    assert registry.read(paths) == kept


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("key", ["overlay", "seed"])
@pytest.mark.parametrize(
    "value", ["/etc/passwd", "volumes/trio_compute1.qcow2", "{volumes}/../labs/x", "{volumes}/y"]
)
def test_a_record_that_names_a_file_of_somebody_else_s_is_damaged(
    paths: LabPaths, key: str, value: str, version: int
) -> None:
    """Whoever destroys the lab, often root by cron, deletes these files."""
    record.write(paths, new(paths))
    whole = json.loads(paths.record.read_text())
    whole["nodes"][1]["handle"][key] = value.format(volumes=paths.host.volumes)
    paths.record.write_text(json.dumps(whole if version == 2 else flat(whole)))
    with pytest.raises(LabError, match="the record of lab trio is damaged"):
        registry.read(paths)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        ("nodes", "name", "../../../etc"),
        ("nodes", "name", 5),
        ("nodes", "domain", "theirs"),
        ("nodes", "uuid", None),
        ("networks", "uuid", 5),
        ("networks", "libvirt_name", "default"),
        ("networks", "bridge", None),
        ("networks", "bridge", "--flush"),
        ("networks", "bridge", "FORWARD"),
        ("nodes", "more", "x"),
    ],
)
def test_a_record_that_names_a_thing_of_somebody_else_s_is_damaged(
    paths: LabPaths, kind: str, key: str, value: object, version: int
) -> None:
    record.write(paths, new(paths))
    whole = json.loads(paths.record.read_text())
    thing = whole[kind][0]
    (thing if key == "name" else thing["handle"])[key] = value
    paths.record.write_text(json.dumps(whole if version == 2 else flat(whole)))
    with pytest.raises(LabError, match="the record of lab trio is damaged"):
        registry.read(paths)


def test_a_record_of_a_provider_that_is_not_here_lists_those_that_are(paths: LabPaths) -> None:
    record.write(paths, dataclasses.replace(new(paths), provider="tin"))
    with pytest.raises(LabError, match=r"record of lab trio: 'tin' is not a provider .*libvirt"):
        registry.read(paths)


def test_a_home_that_has_two_names_has_the_same_labs(tmp_path: Path) -> None:
    real = HostPaths(tmp_path / "real")
    record.write(real.lab("trio"), new(real.lab("trio")))
    (tmp_path / "link").symlink_to("real")
    assert registry.read(HostPaths(tmp_path / "link").lab("trio")) == registry.read(
        real.lab("trio")
    )


@pytest.mark.parametrize("value", ["soon", None, float("nan"), True, []])
def test_a_record_that_was_made_at_no_time_is_damaged(paths: LabPaths, value: object) -> None:
    record.write(paths, new(paths))
    whole = json.loads(paths.record.read_text())
    paths.record.write_text(json.dumps({**whole, "created_at": value}))
    with pytest.raises(LabError, match="created_at is"):
        registry.read(paths)


@given(data=st.data())
@settings(deadline=None, max_examples=150)
def test_any_damage_is_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    paths = HostPaths(tmp_path_factory.mktemp("host")).lab("trio")
    record.write(paths, new(paths))
    whole = json.loads(paths.record.read_text())
    junk = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(max_size=3)
        | st.just([])
        | st.just({})
        | st.just([1])
    )
    key = data.draw(st.sampled_from(sorted(whole)))
    if data.draw(st.booleans()):
        del whole[key]
    else:
        whole[key] = data.draw(junk)
    paths.record.write_text(json.dumps(whole))
    with contextlib.suppress(LabError):
        registry.read(paths)


def test_a_record_that_cannot_be_read_is_told_in_one_line(paths: LabPaths) -> None:
    paths.record.mkdir(parents=True)  # root may read everything else
    with pytest.raises(LabError, match=r"the record of lab trio can't be read: .*Is a directory"):
        registry.read(paths)


def test_all_users_of_the_host_can_see_what_is_taken(paths: LabPaths) -> None:
    record.write(paths, new(paths))
    assert paths.record.stat().st_mode & 0o777 == 0o644


def test_the_labs_of_a_host_are_those_with_a_record(tmp_path: Path) -> None:
    host = HostPaths(tmp_path)
    assert record.names(host) == ()
    for name in ("zoo", "aio"):
        record.write(host.lab(name), new(host.lab(name), make_lab(name=name)))
    (host.labs / "halfway").mkdir()
    assert record.names(host) == ("aio", "zoo")


def test_a_copy_that_somebody_made_of_a_lab_is_no_lab(tmp_path: Path) -> None:
    host = HostPaths(tmp_path)
    record.write(host.lab("aio"), new(host.lab("aio")))
    (host.labs / "aio").rename(host.labs / "aio.bak")
    assert record.names(host) == ()


def test_a_lab_of_another_checkout_is_refused_with_where_to_go(
    paths: LabPaths, tmp_path: Path
) -> None:
    other = tmp_path / "other checkout"
    other.mkdir()
    (other / "tasks.py").touch()
    kept = dataclasses.replace(new(paths), checkout=other)
    with pytest.raises(AlreadyRunning, match="lab trio belongs to another checkout") as caught:
        record.refuse_foreign(kept)
    assert f"cd {other} && ./invoke lab.destroy trio" in str(caught.value.hint)


def test_a_lab_of_a_checkout_that_is_gone_may_be_taken_over(
    paths: LabPaths, tmp_path: Path
) -> None:
    record.refuse_foreign(dataclasses.replace(new(paths), checkout=tmp_path / "gone"))


def test_our_own_lab_is_not_refused(paths: LabPaths) -> None:
    record.refuse_foreign(new(paths))
