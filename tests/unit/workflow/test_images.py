from __future__ import annotations

import pytest

from stacklab.errors import ImageError, LabError
from stacklab.workflow import images
from stacklab.workflow.lab import ending
from tests.unit.workflow.fake_host import FakeHost


def keys(host: FakeHost) -> set[str]:
    return {path.stem for path in host.paths.images.glob("*.qcow2")}


def test_prune_keeps_what_a_lab_lies_on_and_what_up_would_take(host: FakeHost) -> None:
    (used,) = keys(host)
    host.up()
    unused, current = host.stock(content=b"second").key, host.stock(content=b"third").key
    assert images.prune(host.context) == (unused,)
    assert keys(host) == {used, current}


def test_prune_takes_what_no_lab_lies_on_any_more(host: FakeHost) -> None:
    (used,) = keys(host)
    host.up()
    current = host.stock(content=b"newer").key
    assert images.prune(host.context) == ()
    ending.destroy(host.context, "trio")
    assert images.prune(host.context) == (used,)
    assert keys(host) == {current}


def test_prune_touches_nothing_when_a_record_cannot_be_read(host: FakeHost) -> None:
    host.up()
    host.stock(content=b"newer")
    before = keys(host)
    host.lab().record.write_text("{")
    with pytest.raises(LabError, match="the record of lab trio is damaged"):
        images.prune(host.context)
    assert keys(host) == before


def test_an_image_that_is_built_is_not_built_again(host: FakeHost) -> None:
    stored = images.build(host.context, "debian-12", force=False)
    assert {stored.key} == keys(host)
    assert host.runner.commands == []


def test_an_unknown_image_is_refused_with_the_known_ones(host: FakeHost) -> None:
    with pytest.raises(ImageError, match=r"no image 'debian-99' \(known: .*debian-12"):
        images.build(host.context, "debian-99", force=False)


def test_verify_reads_all_and_tells_which_was_changed(host: FakeHost) -> None:
    (key,) = keys(host)
    assert images.verify(host.context, []) == (key,)
    path = host.paths.images / f"{key}.qcow2"
    path.chmod(0o644)
    path.write_bytes(b"QCOW2")
    with pytest.raises(ImageError, match=f"base image {key} was changed since it was built"):
        images.verify(host.context, ["debian-12"])


def test_verify_of_what_is_not_built_says_so(host: FakeHost) -> None:
    with pytest.raises(ImageError, match="image centos-7 is not built"):
        images.verify(host.context, ["centos-7"])


def test_the_overview_tells_what_is_built_of_today_s_inputs(host: FakeHost) -> None:
    catalogue, stored, current = images.overview(host.context)
    assert {each.name for each in stored} == {"debian-12"}
    assert stored[0].address == current["debian-12"]
    assert set(current) == set(catalogue)
