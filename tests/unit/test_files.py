from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacklab import files
from stacklab.errors import HostError


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_file_is_written_with_its_parents(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    assert files.write(path, "text\n")
    assert path.read_text() == "text\n"
    assert names(path.parent) == ["file"]


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o666, 0o444])
def test_the_mode_is_exact_whatever_the_umask(tmp_path: Path, mode: int) -> None:
    before = os.umask(0o077)
    try:
        files.write(tmp_path / "file", "x", mode=mode)
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode


@pytest.mark.parametrize(("umask", "mode"), [(0o000, 0o755), (0o022, 0o755), (0o077, 0o700)])
def test_directories_are_writable_for_their_owner_only_whatever_the_umask(
    tmp_path: Path, umask: int, mode: int
) -> None:
    before = os.umask(umask)
    try:
        files.write(tmp_path / "labs" / "trio" / "file", "x")
    finally:
        os.umask(before)
    for directory in (tmp_path / "labs", tmp_path / "labs" / "trio"):
        assert directory.stat().st_mode & 0o777 == mode


def test_a_directory_that_exists_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o2775)
    files.make_directory(tmp_path)
    assert tmp_path.stat().st_mode & 0o7777 == 0o2775


def test_a_path_that_is_not_utf_8_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "ssh_config"
    with pytest.raises(HostError, match="not UTF-8") as caught:
        files.write(path, f"IdentityFile {os.fsdecode(b'/home/m' + bytes([0xFC]))}/key")
    assert "STACKLAB_HOME" in str(caught.value)
    str(caught.value).encode()
    assert not path.exists()


def test_an_unchanged_file_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "file"
    files.write(path, "x")
    os.utime(path, (1, 1))
    inode = path.stat().st_ino
    assert not files.write(path, b"x")
    assert (path.stat().st_mtime, path.stat().st_ino) == (1, inode)


def test_a_changed_text_is_written_and_a_changed_mode_is_set(tmp_path: Path) -> None:
    path = tmp_path / "file"
    files.write(path, "x")
    assert files.write(path, "y")
    assert path.read_text() == "y"
    assert not files.write(path, "y", mode=0o600)
    assert path.stat().st_mode & 0o777 == 0o600


def test_whoever_reads_the_old_file_goes_on_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    files.write(path, "old and longer")
    with path.open() as stream:
        files.write(path, "new")
        assert stream.read() == "old and longer"
    assert path.read_text() == "new"


@pytest.mark.parametrize(
    "error", [OSError("disk full"), KeyboardInterrupt()], ids=["fails", "interrupted"]
)
@pytest.mark.parametrize("step", ["fsync", "fchmod"])
def test_a_write_that_ends_early_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, step: str
) -> None:
    path = tmp_path / "file"
    files.write(path, "old")

    def stop(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, step, stop)
    with pytest.raises(type(error)):
        files.write(path, "new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_an_error_of_the_disk_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stub_full(descriptor: int) -> None:
        # As the kernel's errors of write(2) and fsync(2) are: without a path.
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", stub_full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        files.write(tmp_path / "f", "new")
    assert caught.value.filename == str(tmp_path / "f")


def test_it_is_on_the_disk_before_it_takes_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    seen: list[bool] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        seen.append(path.exists())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    files.write(path, "x")
    assert seen == [False]


@given(content=st.binary(max_size=64) | st.text(st.characters(codec="utf-8"), max_size=64))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, content: bytes | str
) -> None:
    path = tmp_path_factory.mktemp("files") / "file"
    files.write(path, content)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)


# --- a new file, which takes the place of none


def test_a_new_file_is_written_whole_with_its_mode(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        files.create(tmp_path / "file", "text\n")
    finally:
        os.umask(before)
    assert (tmp_path / "file").read_text() == "text\n"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("kind", ["file", "directory", "dangling link"])
def test_what_is_there_already_is_left_alone(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "there"
    if kind == "file":
        path.write_text("old")
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError):
        files.create(path, "new")
    assert names(tmp_path) == ["there"]
    if kind == "file":
        assert path.read_text() == "old"


def test_a_new_file_that_can_t_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.create(tmp_path / "file", "x")
    assert names(tmp_path) == []


class TestReadRegular:
    def test_a_file_is_read_and_only_so_much_of_it(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"abc")
        (tmp_path / "link").symlink_to("file")
        assert files.read_regular(tmp_path / "link") == b"abc"
        assert files.read_regular(tmp_path / "file", most=2) == b"ab"

    @pytest.mark.parametrize("place", ["pipe", "/dev/zero", "."])
    def test_all_else_is_an_error_at_once(self, tmp_path: Path, place: str) -> None:
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(OSError, match=r"regular file|Is a directory") as caught:
            files.read_regular(tmp_path / place)
        assert caught.value.filename == str(tmp_path / place)
