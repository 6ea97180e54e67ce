"""libvirtd below a process that reaps, with a real tini, and a stand-in for libvirtd.

The stand-in does what libvirtd does with QEMU: it starts a daemon, which is nobody's child then.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacklab.process.command import Command
from stacklab.process.runner import SubprocessRunner
from stacklab.tools.libvirt import daemon as libvirtd

pytestmark = pytest.mark.skipif(shutil.which("tini") is None, reason="needs tini")

_LIBVIRTD = """#!/bin/sh
pwd > "${0%/*}/directory"
cd "${0%/*}"
umask > umask
echo "a line of its log"
echo $$ > libvirtd.pid
(sleep 0.2 & echo $! > qemu.pid)
exec sleep 60
"""
_PATIENCE_S = 10.0


def wait_for(path: Path) -> int:
    """Return the process whose number a file has, once it does."""
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError):
            return int(path.read_text())
        time.sleep(0.02)
    raise AssertionError(f"{path} is not written")


def parent_of(process: int) -> int:
    """Return a process's parent, read from /proc."""
    stat = Path(f"/proc/{process}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[1])


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory of a stand-in that runs, started as libvirtd is."""
    program = tmp_path / "libvirtd"
    program.write_text(_LIBVIRTD)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(libvirtd, "_LOG", tmp_path / "libvirtd.log")
    monkeypatch.chdir(tmp_path)
    argv = ("sh", "-c", libvirtd._below_a_reaper(shutil.which("tini") or ""))
    SubprocessRunner().run(Command(argv=argv, what="starting a stand-in", timeout_s=_PATIENCE_S))
    process = wait_for(tmp_path / "libvirtd.pid")
    try:
        yield tmp_path
    finally:
        os.kill(process, signal.SIGKILL)


def test_what_it_started_is_gone_as_soon_as_it_has_ended(started: Path) -> None:
    qemu = wait_for(started / "qemu.pid")
    reaper = parent_of(wait_for(started / "libvirtd.pid"))
    assert parent_of(qemu) == reaper != 1
    time.sleep(0.6)  # it has ended by itself
    assert not Path(f"/proc/{qemu}").exists()


def test_it_has_the_umask_of_whoever_starts_it(started: Path) -> None:
    wait_for(started / "libvirtd.pid")
    mask = os.umask(0o022)
    os.umask(mask)
    # dnsmasq, another user, reads files that libvirtd writes: with 077 no node gets an address.
    assert int((started / "umask").read_text(), 8) == mask


def test_it_keeps_no_file_system_busy(started: Path) -> None:
    wait_for(started / "libvirtd.pid")
    assert (started / "directory").read_text() == "/\n"


def test_its_log_is_kept_and_it_is_nobodys_session(started: Path) -> None:
    process = wait_for(started / "libvirtd.pid")
    assert os.getsid(process) != os.getsid(0)
    log = started / "libvirtd.log"
    assert log.read_text() == "a line of its log\n"
    assert log.stat().st_mode & 0o777 == 0o600
