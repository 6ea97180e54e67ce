from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest

from stacklab.errors import RenderError
from stacklab.installers.kit.write import digest, write_tree

LOCALRC = PurePosixPath("/opt/stack/devstack/localrc")
OTHER = PurePosixPath("/opt/stack/contrail-installer/localrc")


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "labs" / "answers"


def test_files_land_at_node_and_path_with_their_very_text(root: Path) -> None:
    changed = write_tree({"n1": {LOCALRC: "A=1\n"}, "n2": {LOCALRC: "A=2\n"}}, root)
    assert changed == (
        root / "n1/opt/stack/devstack/localrc",
        root / "n2/opt/stack/devstack/localrc",
    )
    assert [path.read_bytes() for path in changed] == [b"A=1\n", b"A=2\n"]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_only_the_owner_can_read_whatever_the_umask(root: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        (path,) = write_tree({"n1": {LOCALRC: "A=1\n"}}, root)
    finally:
        os.umask(before)
    assert mode(path) == 0o600
    assert {mode(root / parent) for parent in path.relative_to(root).parents} == {0o700}


def test_an_unchanged_file_is_not_touched(root: Path) -> None:
    (path,) = write_tree({"n1": {LOCALRC: "A=1\n"}}, root)
    os.utime(path, ns=(1, 1))
    before = path.stat()
    assert write_tree({"n1": {LOCALRC: "A=1\n"}}, root) == ()
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (1, before.st_ino)


def test_an_unchanged_file_that_others_could_read_is_closed_to_them(root: Path) -> None:
    (path,) = write_tree({"n1": {LOCALRC: "A=1\n"}}, root)
    path.chmod(0o644)
    assert write_tree({"n1": {LOCALRC: "A=1\n"}}, root) == ()
    assert mode(path) == 0o600


def test_a_changed_file_is_replaced_whole(root: Path) -> None:
    (path,) = write_tree({"n1": {LOCALRC: "A=1\n"}}, root)
    with path.open() as reader:
        assert write_tree({"n1": {LOCALRC: "A=2\n"}}, root) == (path,)
        assert reader.read() == "A=1\n"  # whoever had it open sees the old one to its end
    assert path.read_text() == "A=2\n"
    assert [entry.name for entry in path.parent.iterdir()] == ["localrc"]


def test_what_is_no_longer_rendered_is_removed_with_its_directories(root: Path) -> None:
    write_tree({"n1": {LOCALRC: "A=1\n", OTHER: "A=1\n"}, "n2": {LOCALRC: "A=1\n"}}, root)
    changed = write_tree({"n1": {LOCALRC: "A=1\n"}, "n2": {}}, root)
    assert changed == (
        root / "n1/opt/stack/contrail-installer/localrc",
        root / "n2/opt/stack/devstack/localrc",
    )
    assert [path for path in root.rglob("*") if path.is_file()] == [
        root / "n1/opt/stack/devstack/localrc"
    ]
    assert [path.name for path in root.iterdir()] == ["n1"]


def test_what_a_killed_run_left_is_cleared(root: Path) -> None:
    (path,) = write_tree({"n1": {LOCALRC: "A=1\n"}}, root)
    leftover = path.with_name(".localrc.new")
    leftover.write_text("A=")
    assert write_tree({"n1": {LOCALRC: "A=2\n"}}, root) == (leftover, path)
    assert not leftover.exists()


def test_links_are_replaced_and_never_followed(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "localrc").write_text("A=1\n")
    (root / "n1/opt/stack").mkdir(parents=True)
    (root / "n1/opt/stack/devstack").symlink_to(outside)
    write_tree({"n1": {LOCALRC: "A=2\n"}}, root)
    assert (outside / "localrc").read_text() == "A=1\n"
    assert not (root / "n1/opt/stack/devstack").is_symlink()
    (path,) = [path for path in root.rglob("*") if path.is_file()]
    path.unlink()
    path.symlink_to(outside / "localrc")
    write_tree({"n1": {LOCALRC: "A=1\n"}}, root)
    assert not path.is_symlink()


def test_a_directory_gives_way_to_a_file_and_a_file_to_a_directory(root: Path) -> None:
    (root / "n1/opt/stack/devstack/localrc/deep").mkdir(parents=True)
    (root / "n1/opt/stack/devstack/localrc/deep/file").write_text("")
    (root / "n2").write_text("")
    write_tree({"n1": {LOCALRC: "A=1\n"}, "n2": {LOCALRC: "A=1\n"}}, root)
    assert (root / "n1/opt/stack/devstack/localrc").read_text() == "A=1\n"
    assert (root / "n2/opt/stack/devstack/localrc").read_text() == "A=1\n"


@pytest.mark.parametrize(
    ("node", "path"), [("..", "/a"), ("", "/a"), ("a/b", "/a"), ("n", "/../../a"), ("n", "a")]
)
def test_nothing_is_written_outside_of_the_root(root: Path, node: str, path: str) -> None:
    with pytest.raises(RenderError):
        write_tree({"ok": {LOCALRC: "A=1\n"}, node: {PurePosixPath(path): ""}}, root)
    assert not root.exists()


def test_the_digest_depends_on_paths_and_texts_but_not_on_their_order() -> None:
    files = {LOCALRC: "A=1\n", OTHER: "B=1\n"}
    assert digest(files) == digest(dict(reversed(files.items())))
    assert len(digest(files)) == 64
    variations: list[dict[PurePosixPath, str]] = [
        {},
        {LOCALRC: "A=1\n"},
        {LOCALRC: "B=1\n", OTHER: "A=1\n"},
        {LOCALRC: "A=1\n", OTHER: "B=1"},
    ]
    assert len({digest(files), *map(digest, variations)}) == 5


def test_the_digest_does_not_confuse_a_path_with_a_text() -> None:
    assert digest({PurePosixPath("/a"): "b/c", PurePosixPath("/d"): ""}) != digest(
        {PurePosixPath("/ab"): "/c/d"}
    )
