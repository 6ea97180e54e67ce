from __future__ import annotations

import errno
import os
import re
import threading
import time
from pathlib import Path

import pytest

from stacklab import locks
from stacklab.errors import AlreadyRunning, HostError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "locks" / "lab.trio.lock"


def test_a_lock_that_is_held_refuses_a_second_holder_at_once_by_name_and_process(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks.time, "sleep", lambda _s: pytest.fail("it waited"))
    with (
        locks.held(path, "lab trio"),
        pytest.raises(
            AlreadyRunning, match=f"lab trio is in use by process {os.getpid()}"
        ) as caught,
        locks.held(path, "lab trio"),
    ):
        pass
    assert caught.value.hint is not None
    assert f"ps -fp {os.getpid()}" in caught.value.hint


def test_a_lock_is_free_again_after_use_and_after_an_error(path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), locks.held(path, "it"):
        raise KeyboardInterrupt
    with locks.held(path, "it"):
        pass


def test_a_refused_holder_takes_nothing_from_the_one_that_has_it(path: Path) -> None:
    with locks.held(path, "it"):
        for _ in range(2):
            with pytest.raises(AlreadyRunning), locks.held(path, "it"):
                pass
        assert path.read_text() == f"{os.getpid()}\n"


def test_whoever_waits_is_told_once_and_gets_it(path: Path) -> None:
    said: list[str] = []
    order: list[str] = []
    taken = threading.Event()

    def hold() -> None:
        with locks.held(path, "it"):
            taken.set()
            while not said:
                time.sleep(0.01)
            time.sleep(0.5)  # more than one look of the waiting one
            order.append("first")

    thread = threading.Thread(target=hold)
    thread.start()
    assert taken.wait(60)
    with locks.held(path, "it", wait_s=60, waiting=said.append):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]
    assert len(said) == 1
    assert re.fullmatch(
        rf"waiting for process {os.getpid()}( \(.{{1,80}}\)), which uses it, 60 s at most", said[0]
    )


@pytest.mark.parametrize(
    ("cmdline", "text"),
    [
        (
            b"/v/python\0/v/invoke\0--search-root\0/w\0lab.up\0contrail-3node\0",
            " (lab.up contrail-3node)",
        ),
        (b"/usr/bin/sleep\x0060\0", " (sleep 60)"),
        (b"", ""),
        (b"x\x1b[2J" + b"y" * 200, f" (x[2J{'y' * 76})"),
    ],
)
def test_who_holds_a_lock_is_told_by_what_was_typed(
    monkeypatch: pytest.MonkeyPatch, cmdline: bytes, text: str
) -> None:
    monkeypatch.setattr(Path, "read_bytes", lambda _self: cmdline)
    assert locks._command_of("123") == text


def test_a_holder_that_has_ended_has_no_command() -> None:
    assert locks._command_of("9999999999") == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no number",
        "..",
        "../../tmp/x",
        "1;curl e.test|sh",
        "1\x1b]0;T\x07",
        "12345678901",
        "¹²",
    ],
)
def test_only_a_number_is_taken_for_the_holders_process(path: Path, text: str) -> None:
    """Members of the group can write to the file: /proc/../../tmp/x/cmdline might be a FIFO."""
    assert locks._command_of(text) == ""
    with locks.held(path, "it"):
        path.write_text(text)
        with pytest.raises(AlreadyRunning) as caught, locks.held(path, "it"):
            pass
    assert caught.value.message == "it is in use by process unknown"
    assert caught.value.hint == "wait for it, or look at it: lslocks | grep lab.trio.lock"


def test_a_full_disk_does_not_keep_anybody_from_a_lock(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Destroying a lab frees the disk, and needs the lab's lock."""

    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", refuse)
    with locks.held(path, "it"):
        assert path.read_text() == ""
        with pytest.raises(AlreadyRunning, match="process unknown"), locks.held(path, "it"):
            pass


def test_waiting_ends_when_its_time_is_up(path: Path) -> None:
    with locks.held(path, "it"):
        started = time.monotonic()
        with pytest.raises(AlreadyRunning), locks.held(path, "it", wait_s=0.3):
            pass
        assert 0.3 <= time.monotonic() - started < 10


def test_two_locks_do_not_know_each_other(tmp_path: Path) -> None:
    with locks.held(tmp_path / "a.lock", "a"), locks.held(tmp_path / "b.lock", "b"):
        pass


def test_of_many_only_one_holds_it_at_a_time(path: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work(number: int) -> None:
        with locks.held(path, "it", wait_s=60):
            inside.append(number)
            most.append(len(inside))
            time.sleep(0.01)
            inside.remove(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 6


@pytest.mark.parametrize(
    ("directory_mode", "mode"), [(0o2775, 0o660), (0o755, 0o600), (0o775, 0o600)]
)
@pytest.mark.parametrize("umask", [0o077, 0o000])
def test_the_group_of_a_shared_directory_and_nobody_else_may_lock_its_files(
    path: Path, directory_mode: int, mode: int, umask: int
) -> None:
    path.parent.mkdir()
    path.parent.chmod(directory_mode)
    before = os.umask(umask)
    try:
        with locks.held(path, "it"):
            assert path.stat().st_mode & 0o777 == mode
    finally:
        os.umask(before)


def test_a_lock_file_that_was_open_to_all_is_closed(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    path.chmod(0o666)
    with locks.held(path, "it"):
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_lock_of_another_user_is_taken_as_it_is(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_descriptor: int, _mode: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchmod", refuse)
    with locks.held(path, "it"):
        assert path.read_text() == f"{os.getpid()}\n"


def test_a_place_where_no_lock_can_be_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(HostError, match="can't be locked") as caught,
        locks.held(tmp_path / "file" / "x.lock", "it"),
    ):
        pass
    assert "\n" not in caught.value.message


def test_a_link_that_somebody_planted_is_no_lock(tmp_path: Path) -> None:
    """The directory is a group's, and who holds a lock writes into its file and opens it to all."""
    theirs = tmp_path / "shadow"
    theirs.write_text("root:x\n")
    theirs.chmod(0o600)
    (tmp_path / "it.lock").symlink_to(theirs)
    with pytest.raises(HostError, match="can't be locked"), locks.held(tmp_path / "it.lock", "it"):
        pass
    assert (theirs.read_text(), theirs.stat().st_mode & 0o777) == ("root:x\n", 0o600)


def test_a_child_does_not_inherit_the_lock(path: Path) -> None:
    with locks.held(path, "it"):
        descriptors = Path("/proc/self/fd").iterdir()
        opened = [int(name.name) for name in descriptors if _target(name) == path]
        assert opened
        assert not any(os.get_inheritable(descriptor) for descriptor in opened)


def _target(descriptor: Path) -> Path | None:
    try:
        return descriptor.readlink()
    except FileNotFoundError:  # what listed them
        return None
