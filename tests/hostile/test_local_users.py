"""What other users of this host may do: nothing, whatever the umask is that a lab is made under."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacklab import files, record
from stacklab.cli.framework import glue
from stacklab.errors import HostError, LabError
from stacklab.stages.step_log import StepLog
from stacklab.views import saving
from stacklab.workflow import events
from stacklab.workflow.lab import ending
from stacklab.workflow.logs import logs
from tests.unit.workflow.fake_host import FakeHost, make_host

# Made by qemu-img and ssh-keygen, which have modes of their own; by fakes, here.
_OF_FAKES = (".qcow2", ".pub")


@pytest.fixture
def open_umask() -> Iterator[None]:
    """As in many containers, in WSL, and in some CI systems."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_umask: None) -> FakeHost:
    made = make_host(tmp_path, monkeypatch)
    made.root.chmod(0o755)
    for directory in made.root.rglob("*"):  # the fixture's own
        directory.chmod(0o755 if directory.is_dir() else 0o444)
    made.up()
    return made


def writable_for_others(root: Path) -> list[str]:
    """Paths below a directory that any user may write to."""
    found = []
    for path in (root, *root.rglob("*")):
        mode = path.lstat().st_mode
        if path.suffix in _OF_FAKES:
            continue
        if not stat.S_ISLNK(mode) and mode & stat.S_IWOTH:
            found.append(f"{stat.filemode(mode)} {path.relative_to(root)}")
    return found


def test_nothing_that_a_lab_is_made_of_is_writable_for_others(host: FakeHost) -> None:
    paths = host.lab()
    with events.recorded(paths, "lab.up trio", None):
        pass
    log = StepLog(paths.stack_logs / "a.log", mask=lambda text: text, said=lambda text: None)
    log.begin_step("a", 0)
    log.close()
    assert writable_for_others(host.root) == []


def test_neither_bundles_nor_reports_are_writable_for_others(
    host: FakeHost, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir(mode=0o755)
    for program in ("uname", "uptime", "free", "df", "virsh", "vagrant", "bridge", "git"):
        host.runner.on(program)
    host.runner.on("qemu-system-x86_64")
    logs.collect(host.context, "trio", str(out / "new" / "logs"), index=lambda _bundle: "x")
    logs.collect(host.context, "trio", str(out / "newer" / "a.tar.gz"), index=lambda _bundle: "x")
    saving.save(str(out / "newest" / "a.json"), ["{}"])
    assert writable_for_others(out) == []
    for secret in (out / "new" / "logs", out / "newer" / "a.tar.gz"):
        assert secret.stat().st_mode & 0o077 == 0


def test_what_only_its_owner_may_read_stays_so(host: FakeHost) -> None:
    paths = host.lab()
    secret = [paths.private_key, paths.keys]
    for path in secret:
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize("place", ["labs", "lab", "home"])
def test_a_directory_that_others_can_write_to_is_refused_before_anything_in_it_is_used(
    host: FakeHost, place: str
) -> None:
    """Its ssh_config, its Vagrantfile and its record are orders to programs that root runs."""
    paths = host.lab()
    opened = {"labs": paths.root.parent, "lab": paths.root, "home": host.root}[place]
    opened.chmod(0o777)
    host.runner.commands.clear()
    for command in (ending.destroy, ending.down):
        with pytest.raises(LabError, match="can be written to by every user") as refused:
            command(host.context, "trio")
        assert f"chmod o-w {opened}" in (refused.value.hint or "")
    with pytest.raises(HostError, match="can be written to by every user"):
        record.read(paths)
    assert host.runner.commands == []
    opened.chmod(0o755)
    assert ending.destroy(host.context, "trio")


def test_a_sticky_directory_such_as_tmp_may_hold_a_home(host: FakeHost) -> None:
    """Nobody can replace another user's file in it."""
    host.root.chmod(0o1777)
    assert record.read(host.lab()) is not None


def test_a_directory_is_made_for_its_owner_alone_to_write(tmp_path: Path, open_umask: None) -> None:
    files.make_directory(tmp_path / "a" / "b")
    assert writable_for_others(tmp_path / "a") == []


def test_a_task_closes_its_umask_for_others_also_for_the_programs_that_it_starts(
    tmp_path: Path, open_umask: None
) -> None:
    seen: list[str] = []

    def body(_c: object) -> None:
        seen.append(subprocess.run(["sh", "-c", "umask"], capture_output=True, text=True).stdout)

    glue._with_exit_codes(body, resumes=False)(None)
    assert seen == ["0002\n"]
