from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacklab import files
from stacklab.errors import ImageError
from stacklab.images import bootstrap, catalogue, store
from stacklab.images.catalogue import Image, ImageSourceKind
from stacklab.images.store import StoredImage
from stacklab.paths import HostPaths
from stacklab.paths.project import PROJECT
from tests.unit.images.fake_images import make_image

PACKER = PROJECT / "packer"
KINDS = pytest.mark.parametrize("kind", list(ImageSourceKind))
IMAGES = st.sampled_from([make_image(source=kind) for kind in ImageSourceKind])


@pytest.fixture
def paths(tmp_path: Path) -> HostPaths:
    found = HostPaths(tmp_path / "host")
    found.images.mkdir(parents=True)
    return found


@pytest.fixture
def packer(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PACKER, tmp_path / "packer"))


def add(
    paths: HostPaths, content: bytes = b"image", *, now: float = 1.0, image: Image | None = None
) -> StoredImage:
    built = paths.root / "built.qcow2"
    built.write_bytes(content)
    return store.add(paths, image or make_image(), built, now=now, took_s=2.5)


# --- the address


@KINDS
def test_touching_any_one_input_file_changes_the_address(
    kind: ImageSourceKind, packer: Path
) -> None:
    image = make_image(source=kind)
    seen = {store.address(image, packer=packer)}
    inputs = store.inputs(image, packer=packer)
    for path in inputs:
        path.write_bytes(path.read_bytes() + b"\n")
        seen.add(store.address(image, packer=packer))
    assert len(seen) == len(inputs) + 1 > 5


@pytest.mark.parametrize(
    ("kind", "directories"),
    [
        (ImageSourceKind.BOOTSTRAP, {"bootstrap", "image", "scripts", "files"}),
        (ImageSourceKind.CLOUD, {"cloud", "image", "scripts", "files"}),
        (ImageSourceKind.INSTALLER, {"answers", "image", "scripts", "files"}),
    ],
)
def test_the_inputs_are_what_the_build_reads(kind: ImageSourceKind, directories: set[str]) -> None:
    inputs = store.inputs(make_image(source=kind))
    assert {path.relative_to(PACKER).parts[0] for path in inputs} == directories
    assert [path.name for path in inputs if path.parent.name == "answers"] == ["centos-7.ks"] * (
        "answers" in directories
    )


@KINDS
def test_what_is_no_input_does_not_change_the_address(kind: ImageSourceKind, packer: Path) -> None:
    image = make_image(source=kind)
    before = store.address(image, packer=packer)
    inputs = set(store.inputs(image, packer=packer))
    others = [path for path in packer.rglob("*") if path.is_file() and path not in inputs]
    for path in others:
        path.write_text("something else")
    (packer / "scripts" / ".20-node.sh.swp").write_text("an editor's")
    (packer / "scripts" / "20-node.sh~").write_text("an editor's")
    (packer / "scripts" / "__pycache__").mkdir()
    (packer / "scripts" / "__pycache__" / "x.cpython-311.pyc").write_text("pip's")
    assert others
    assert store.address(image, packer=packer) == before


@KINDS
def test_time_and_order_of_the_files_do_not_change_the_address(
    kind: ImageSourceKind, packer: Path, tmp_path: Path
) -> None:
    image = make_image(source=kind)
    again = tmp_path / "again"
    for path in sorted((path for path in packer.rglob("*") if path.is_file()), reverse=True):
        copy = again / path.relative_to(packer)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
        os.utime(copy, (1, 1))
    assert store.address(image, packer=again) == store.address(image, packer=packer)


def test_a_renamed_or_an_added_script_changes_the_address(packer: Path) -> None:
    image = make_image()
    before = store.address(image, packer=packer)
    (packer / "scripts" / "90-seal.sh").rename(packer / "scripts" / "91-seal.sh")  # the order stays
    renamed = store.address(image, packer=packer)
    (packer / "scripts" / "99-new.sh").touch()
    assert len({before, renamed, store.address(image, packer=packer)}) == 3


def test_a_bake_is_an_input_of_the_images_that_it_is_for_alone(packer: Path) -> None:
    plain = make_image()
    baked = dataclasses.replace(plain, bake="openstack")
    plain_before = store.address(plain, packer=packer)
    seen = {plain_before, store.address(baked, packer=packer)}
    files_of_bake = [path for path in (packer / "openstack").iterdir() if path.is_file()]
    for path in files_of_bake:
        path.write_bytes(path.read_bytes() + b"\n")
        seen.add(store.address(baked, packer=packer))
    assert len(seen) == len(files_of_bake) + 2 > 5
    assert store.address(plain, packer=packer) == plain_before


def test_an_image_without_a_bake_has_the_address_that_it_had_before_there_were_bakes(
    tmp_path: Path,
) -> None:
    """Of an empty packer/, so that no script's change is this test's."""
    without_bake = store.address(make_image(source=ImageSourceKind.CLOUD), packer=tmp_path)
    assert without_bake == "7be96bf4ed47"


@given(image=IMAGES, text=st.text())
def test_the_description_does_not_change_the_address(image: Image, text: str) -> None:
    assert store.address(dataclasses.replace(image, description=text)) == store.address(image)


@given(image=IMAGES, text=st.text())
def test_what_containers_cannot_do_with_it_does_not_change_the_address(
    image: Image, text: str
) -> None:
    assert store.address(dataclasses.replace(image, no_container=text)) == store.address(image)


@given(
    image=IMAGES,
    field=st.sampled_from(["name", "cpu", "suite", "url", "digest"]),
    text=st.text(min_size=1),
)
def test_every_other_field_changes_the_address(image: Image, field: str, text: str) -> None:
    changed = dataclasses.replace(image, **{field: getattr(image, field) + text})
    assert store.address(changed) != store.address(image)


def test_lists_change_the_address_by_their_order_and_their_borders() -> None:
    image = make_image()
    lists = [("a", "b"), ("b", "a"), ("a,b",), ("ab",), ()]
    assert len(
        {store.address(dataclasses.replace(image, packages=packages)) for packages in lists}
    ) == len(lists)


def test_another_way_to_bootstrap_changes_the_address_of_bootstrapped_images_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = [store.address(make_image(source=kind)) for kind in ImageSourceKind]
    monkeypatch.setattr(bootstrap, "recipe", lambda _image: ("mmdebstrap", "--another-way"))
    after = [store.address(make_image(source=kind)) for kind in ImageSourceKind]
    assert [old == new for old, new in zip(before, after, strict=True)] == [False, True, True]


def test_another_checkout_has_the_same_address(packer: Path) -> None:
    assert store.address(make_image(), packer=packer) == store.address(make_image())
    assert not any("/" in word and str(PROJECT) in word for word in bootstrap.recipe(make_image()))


def test_all_images_of_our_catalogue_have_their_own_address() -> None:
    images = catalogue.load().values()
    assert len({store.address(image) for image in images}) == len(images)


# --- the store


def test_an_added_image_is_found_and_read_only(paths: HostPaths) -> None:
    added = add(paths)
    assert store.find(paths, make_image()) == store.by_key(paths, added.key) == added
    assert added.path.read_bytes() == b"image"
    assert added.path.stat().st_mode & 0o777 == 0o444
    assert added.key == f"debian-12-{store.address(make_image())}-{added.sha256[:8]}"
    assert (added.built_at, added.took_s, added.size_bytes) == (1.0, 2.5, 5)


def test_an_image_whose_inputs_changed_is_not_found_but_still_listed(paths: HostPaths) -> None:
    old = dataclasses.replace(make_image(), packages=("less",))
    added = add(paths, image=old)
    assert store.find(paths, make_image()) is None
    assert store.everything(paths) == (added,)


def test_an_image_whose_name_begins_alike_is_not_taken_for_it(paths: HostPaths) -> None:
    add(paths, image=make_image("debian-12-cloud"))
    assert store.find(paths, make_image("debian-12")) is None


def test_a_second_build_of_the_same_inputs_lies_beside_the_first(paths: HostPaths) -> None:
    first = add(paths, b"packages of monday", now=1)
    second = add(paths, b"packages of tuesday", now=2)
    assert first.key != second.key
    assert first.path.read_bytes() == b"packages of monday"
    store.verify(first)
    assert store.find(paths, make_image()) == second
    assert store.by_key(paths, first.key) == first


def test_the_newest_build_is_found_whatever_its_key(paths: HostPaths) -> None:
    for now in range(12):
        added = add(paths, b"build %d" % now, now=now)
    assert store.find(paths, make_image()) == added


def test_the_same_bytes_again_are_the_same_image(paths: HostPaths) -> None:
    assert add(paths, now=1).key == add(paths, now=2).key
    assert len(store.everything(paths)) == 1


def test_an_empty_store_has_nothing(tmp_path: Path) -> None:
    paths = HostPaths(tmp_path / "none")
    assert store.everything(paths) == ()
    assert store.find(paths, make_image()) is None
    assert store.by_key(paths, "debian-12-0") is None


def test_an_interrupt_while_the_manifest_is_written_leaves_no_image(
    paths: HostPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        add(paths)
    assert list(paths.images.iterdir()) == []


def test_an_interrupt_does_not_take_away_what_was_there_before(
    paths: HostPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = add(paths)

    def interrupt(*_: object, **__: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        add(paths)
    assert added.path.read_bytes() == b"image"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"name": 1, "surprise": 2}', "null"])
def test_a_damaged_manifest_is_told_with_what_to_do(paths: HostPaths, text: str) -> None:
    manifest = add(paths).path.with_suffix(".json")
    manifest.write_text(text)
    with pytest.raises(ImageError, match="is damaged") as caught:
        store.everything(paths)
    assert f"rm {manifest}" in str(caught.value.hint)


def make_writable(path: Path) -> Path:
    path.chmod(0o644)
    return path


def grow(path: Path) -> None:
    make_writable(path).write_bytes(b"image and more")


def swap(path: Path) -> None:
    make_writable(path).write_bytes(b"egami")
    os.utime(path, ns=(1, 1))


@pytest.mark.parametrize("change", [grow, swap])
def test_a_changed_base_is_refused_by_name(
    paths: HostPaths, change: Callable[[Path], None]
) -> None:
    added = add(paths)
    store.check(added)
    change(added.path)
    with pytest.raises(ImageError) as caught:
        store.check(added)
    assert (
        f"base image {added.key} was changed since it was built: {added.path}"
        in caught.value.message
    )
    assert caught.value.hint is not None
    assert "--force" in caught.value.hint


def test_verify_reads_what_check_trusts(paths: HostPaths) -> None:
    added = add(paths)
    make_writable(added.path).write_bytes(b"egami")
    os.utime(added.path, ns=(added.mtime_ns, added.mtime_ns))
    store.check(added)
    with pytest.raises(ImageError, match="was changed"):
        store.verify(added)


def test_a_base_that_was_only_touched_is_as_good_as_before(paths: HostPaths) -> None:
    added = add(paths)
    os.utime(added.path, (1, 1))
    assert not added.is_untouched
    store.check(added)


def test_a_base_that_is_gone_is_told_by_name(paths: HostPaths) -> None:
    added = add(paths)
    added.path.unlink()
    with pytest.raises(ImageError, match=f"base image {added.key} is gone"):
        store.check(added)


def test_a_removed_image_leaves_nothing_and_may_be_gone_already(paths: HostPaths) -> None:
    added = add(paths)
    for suffix in (".vmlinuz", ".raw", ".raw-facts", ".raw-part"):
        added.path.with_suffix(suffix).touch()
    kept = add(paths, b"another")
    store.remove(added)
    store.remove(added)
    assert store.everything(paths) == (kept,)
    assert {path.stem for path in paths.images.iterdir()} == {kept.key}


def test_unused_is_neither_a_labs_base_nor_what_would_be_taken_today(paths: HostPaths) -> None:
    used, current, spare = (add(paths, content) for content in (b"a", b"b", b"c"))
    assert store.unused(paths, [used.key], [current.key]) == (spare,)


def test_halves_are_removed_and_whole_images_are_not(paths: HostPaths) -> None:
    whole = add(paths)
    other = add(paths, image=make_image("debian-12-cloud"))
    whole.path.with_suffix(".vmlinuz").touch()
    half = paths.images / f"debian-12-{'0' * 12}-{'1' * 8}.qcow2"
    theirs = paths.images / f"debian-12-cloud-{'0' * 12}-{'1' * 8}.qcow2"
    beside = [
        half.with_suffix(suffix) for suffix in (".vmlinuz", ".raw", ".raw-facts", ".raw-part")
    ]
    root = whole.path.with_suffix(".raw")
    for path in (half, *beside, theirs, root):
        path.touch()
    store.remove_halves(paths, "debian-12")
    assert not half.exists()
    assert not [path for path in beside if path.exists()]
    assert theirs.exists()
    assert set(store.everything(paths)) == {whole, other}
    assert whole.path.exists()
    assert whole.path.with_suffix(".vmlinuz").exists()
    assert root.exists()
