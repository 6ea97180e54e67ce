from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacklab.errors import LabError
from stacklab.views import saving


def test_a_report_makes_its_directory_and_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "r.json"
    saving.save(str(path), ["one", "two"])
    saving.save(str(path), iter(["three"]))
    assert path.read_text() == "three"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(path.parent.iterdir()) == [path]


def test_a_report_that_is_cut_short_leaves_the_old_one(tmp_path: Path) -> None:
    def breaks() -> Iterator[str]:
        yield "half"
        raise KeyboardInterrupt

    path = tmp_path / "r.json"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        saving.save(str(path), breaks())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    saving.save(str(tmp_path / "link"), ["x"])
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "x"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a link of another user's")
@pytest.mark.parametrize("planted", ["report.html", "deep/report.html"])
def test_a_link_that_another_user_planted_where_all_may_write_is_not_followed(
    tmp_path: Path, planted: str
) -> None:
    """As the kernel has it (protected_symlinks).

    Root must not be led to write over a file of its own.
    """
    (tmp_path / "etc").mkdir()
    victim = tmp_path / "etc" / "report.html"
    victim.write_text("root's")
    shared = tmp_path / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    link = shared / Path(planted).parts[0]
    link.symlink_to(victim if link.name == "report.html" else victim.parent)
    saving.save(str(shared / planted), ["ours"])  # our own link is
    victim.write_text("root's")
    os.lchown(link, 65534, 65534)
    with pytest.raises(LabError, match="another user's link"):
        saving.check_writable([str(shared / planted)])
    with pytest.raises(LabError, match="another user's link"):
        saving.save(str(shared / planted), ["x"])
    assert victim.read_text() == "root's"


def test_a_user_that_there_is_not_is_told() -> None:
    for tried in (
        lambda path: saving.check_writable([path]),
        lambda path: saving.save(path, ["x"]),
    ):
        with pytest.raises(LabError, match=r"~nobody-of-that-name/r\.json: "):
            tried("~nobody-of-that-name/r.json")


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        saving.check_writable([str(tmp_path / "pipe")])
        saving.save(str(tmp_path / "pipe"), ["x", "y"])
        assert os.read(reader, 10) == b"xy"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_stdout_that_is_a_file_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        stream.write("before\n")
        stream.flush()
        path = f"/dev/fd/{stream.fileno()}"
        saving.check_writable([path])
        saving.save(path, ["x\n"])
    assert (tmp_path / "log").read_text() == "before\nx\n"


def test_a_full_disk_is_told_with_the_path() -> None:
    with pytest.raises(LabError, match=r"^/dev/full: No space left on device") as caught:
        saving.save("/dev/full", ["x"])
    assert caught.value.hint
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("directory", "is a directory"),
        ("file/r.json", "Not a directory"),
        ("file/deep/r.json", "Not a directory"),
        ("x" * 300 + "/r.json", "File name too long"),
        ("", ""),
        ("new/deep/r.json", ""),
        ("file", ""),
    ],
)
def test_a_path_is_tried_before_the_checks_and_nothing_is_left(
    tmp_path: Path, place: str, why: str
) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "directory").mkdir()
    path = str(tmp_path / place) if place else ""
    if why:
        with pytest.raises(LabError) as caught:
            saving.check_writable(["", path])
        assert caught.value.message == f"{path}: {why}"
        assert caught.value.hint
        with pytest.raises(LabError, match=why.replace("is a", "Is a")):
            saving.save(path, ["x"])
    else:
        saving.check_writable(["", path])
    assert sorted(each.name for each in tmp_path.iterdir()) == ["directory", "file"]
    assert (tmp_path / "file").read_text() == "old"


def test_all_that_is_wrong_with_the_paths_is_told_at_once(tmp_path: Path) -> None:
    path = str(tmp_path / "r")
    with pytest.raises(LabError) as caught:
        saving.check_writable([path, path, str(tmp_path)])
    assert caught.value.message == f"{path}: named for two reports\n{tmp_path}: is a directory"
    saving.check_writable(["/dev/null", "/dev/null"])
