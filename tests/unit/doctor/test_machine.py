from __future__ import annotations

from pathlib import Path

import pytest

from stacklab.doctor import machine


def test_a_path_that_is_not_there_yet_is_judged_by_its_nearest_parent(tmp_path: Path) -> None:
    assert machine.nearest_existing(tmp_path / "a" / "b") == tmp_path
    assert machine.free_mib(tmp_path / "a" / "b") > 0
    assert machine.is_writable(tmp_path / "a" / "b")


@pytest.mark.parametrize(("mode", "is_open"), [(0o777, True), (0o1777, True), (0o2775, False)])
def test_a_directory_is_open_to_all_by_its_mode(tmp_path: Path, mode: int, is_open: bool) -> None:
    tmp_path.chmod(mode)
    assert machine.is_open_to_all(tmp_path) is is_open
    assert not machine.is_open_to_all(tmp_path / "none")


def test_what_cannot_be_read_is_empty(tmp_path: Path) -> None:
    assert machine.read_text(tmp_path / "none") == ""
    assert machine.list_dir(tmp_path / "none") == ()


def test_a_program_outside_of_a_plain_users_path_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.find_program("no-such-program") is None
    assert machine.find_program("ldconfig") in {"/usr/sbin/ldconfig", "/sbin/ldconfig"}
