"""A lab on record whose nodes lie, and the tasks, each run in a process as its user runs it.

Nothing here can reach this host's libvirtd, its networks or its labs: the home is a temporary
directory, libvirt's socket does not exist, PATH has stand-ins alone, and `ssh` is lying_ssh.py.
"""

from __future__ import annotations

import json
import os
import pty
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stacklab import record
from stacklab.model import lab_json
from stacklab.model.lab import Lab
from stacklab.paths import HostPaths, LabPaths
from stacklab.paths.project import PROJECT
from stacklab.providers import registry
from tests.unit.checks.fake_lab import make_lab

LYING_SSH = Path(__file__).with_name("lying_ssh.py")
# What a task may take of memory in all, so that a mistake of ours does not cost the machine.
_ADDRESS_SPACE = 3 * 1024**3
_LIMIT_S = 240.0
_INTO_NOTHING = '"$@" 2>&1 | cat >/dev/null'
_STAND_INS = {
    "ip": "echo '[]'",
    **dict.fromkeys(
        ("fping", "iptables-save", "ebtables", "git", "virsh", "vagrant", "bridge", "df", "free"),
        "exit 0",
    ),
    # What would start a libvirtd says so, and does not.
    **dict.fromkeys(("libvirtd", "virtlogd", "systemctl"), 'echo "$0 $*" >>"$CALLS"; exit 1'),
}
_REAL = ("sh", "tail", "sleep", "cat", "env", "uname", "uptime", "nice", "kill")

# The task in this process, but for where libvirt is; then the most memory it ever had is written.
_MAIN = """
import atexit, os, resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, (int(os.environ["ADDRESS_SPACE"]),) * 2)
def write_peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    Path(os.environ["PEAK"]).write_text(peak)
atexit.register(write_peak)
from stacklab.tools.libvirt import connection, daemon
socket = os.environ["NO_LIBVIRT"]
connection.URI = f"qemu+unix:///system?socket={socket}"
daemon._SOCKET = Path(socket)
daemon._KVM = Path("/nonexistent")
from stacklab.checks.family import Facts
from stacklab.workflow.check import checking
checking.host.gather = lambda *_args, **_more: Facts()  # this host is not asked what it reaches
sys.argv = ["invoke", *sys.argv[1:]]
from invoke.main import program
program.run()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A task that has ended; `peak_mib` is the most memory that its process ever had."""

    code: int
    out: bytes
    err: bytes
    peak_mib: float

    @property
    def text(self) -> str:
        return (self.out + self.err).decode("utf-8", "replace")


class World:
    """A host with one lab on record, and the lie that its nodes tell."""

    def __init__(self, root: Path, lab: Lab | None = None) -> None:
        self.root = root
        self.lab = lab or make_lab(retries=0)
        self.host = HostPaths(root / "home")
        self.paths: LabPaths = self.host.lab(self.lab.name)
        self._lie = root / "lie.json"
        self._bin = root / "bin"
        self._make_programs()
        self.make_lab()
        self.lie("talk", "")

    def make_lab(self) -> None:
        kept = registry.new_record(
            self.lab, self.paths, image="debian-12-abc", passed_over={}, now=time.time()
        )
        record.write(self.paths, kept)
        self.paths.resolved.write_text(lab_json.to_json(self.lab))
        self.paths.ssh_config.write_text("Host *\n")

    def _make_programs(self) -> None:
        self._bin.mkdir(parents=True)
        for name, line in _STAND_INS.items():
            (self._bin / name).write_text(f"#!/bin/sh\n{line}\n")
            (self._bin / name).chmod(0o755)
        for name in _REAL:
            (self._bin / name).symlink_to(f"/usr/bin/{name}")
        ssh = self._bin / "ssh"
        ssh.write_text(f'#!/bin/sh\nexec {sys.executable} {LYING_SSH} "$@"\n')
        ssh.chmod(0o755)

    def lie(self, mode: str, text: str = "", *, node: str = "") -> None:
        """Have a node, or all, answer in that way from now on."""
        self._lie.write_text(json.dumps({"mode": mode, "text": text, "node": node}))

    @property
    def started(self) -> str:
        """What was asked to start libvirtd, if anything was."""
        calls = self.root / "calls"
        return calls.read_text() if calls.exists() else ""

    def environment(self, **more: str) -> Mapping[str, str]:
        return {
            "STACKLAB_HOME": str(self.host.root),
            "PATH": str(self._bin),
            "PYTHONPATH": str(PROJECT),
            "HOME": str(self.root),
            "LIE": str(self._lie),
            "CALLS": str(self.root / "calls"),
            "PEAK": str(self.root / "peak"),
            "NO_LIBVIRT": str(self.root / "no-libvirt-socket"),
            "ADDRESS_SPACE": str(_ADDRESS_SPACE),
            "LC_ALL": "C.UTF-8",
            "COLUMNS": "200",
            "TERM": "xterm-256color",
            **more,
        }

    def run(self, *words: str, **more: str) -> Done:
        """Run a task with its output in pipes."""
        process = subprocess.Popen(
            [sys.executable, "-c", _MAIN, *words],
            cwd=PROJECT,
            env=self.environment(**more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = process.communicate(timeout=_LIMIT_S)
        return self._done(process, out, err)

    def run_into_nothing(self, *words: str, **more: str) -> Done:
        """Run a task whose output nobody keeps: it may be more than this test's memory holds."""
        process = subprocess.Popen(
            [
                "sh",
                "-c",
                'exec "$@" 2>&1 | cat >/dev/null',
                "sh",
                sys.executable,
                "-c",
                _MAIN,
                *words,
            ],
            cwd=PROJECT,
            env=self.environment(**more),
            stdin=subprocess.DEVNULL,
        )
        process.wait(_LIMIT_S)
        return self._done(process, b"", b"")

    def run_on_terminal(self, *words: str, until: bytes = b"", **more: str) -> Done:
        """Run a task on a terminal, to its end, or until it has written `until`."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-c", _MAIN, *words],
            cwd=PROJECT,
            env=self.environment(**more),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        try:
            out = _read_terminal(ours, process, until)
        finally:
            os.close(ours)
        return self._done(process, out, b"")

    def _done(self, process: subprocess.Popen[bytes], out: bytes, err: bytes) -> Done:
        assert b"Traceback" not in out + err, (out + err).decode("utf-8", "replace")
        peak = int((self.root / "peak").read_text()) / 1024
        return Done(code=process.returncode, out=out, err=err, peak_mib=peak)


def _read_terminal(terminal: int, process: subprocess.Popen[bytes], until: bytes) -> bytes:
    """Return what comes on a terminal; ends the process once `until` has come."""
    out = b""
    is_ended_by_us = False
    deadline = time.monotonic() + _LIMIT_S
    with selectors.DefaultSelector() as selector:
        selector.register(terminal, selectors.EVENT_READ)
        while time.monotonic() < deadline:
            if selector.select(0.2):
                try:
                    data = os.read(terminal, 65536)
                except OSError:  # its last writer is gone
                    break
                out += data
            elif process.poll() is not None:
                break
            if until and until in out and not is_ended_by_us:
                is_ended_by_us = True
                process.terminate()
    process.wait(20)
    return out
