"""The real libvirt client against a socket that accepts connections and never answers.

Each task runs as its user runs it, in a process of its own, with a bound of its own and
until a signal comes.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stacklab import record
from stacklab.model import lab_json
from stacklab.paths import HostPaths
from stacklab.paths.project import PROJECT
from stacklab.providers import registry
from tests.unit.checks.fake_lab import make_lab

LAB = make_lab(retries=0)
LIMIT_S = 2.0  # instead of 10: what counts is that it holds
MAIN = """
import sys
from pathlib import Path
from stacklab.tools.libvirt import connection as libvirt_connection
from stacklab.tools.libvirt import daemon as libvirtd
libvirt_connection.LOOK_S = float(sys.argv[2])
libvirt_connection.URI = f"qemu+unix:///system?socket={sys.argv[1]}"
libvirtd._SOCKET = Path(sys.argv[1])
libvirtd._KVM = Path("/nonexistent")
# No node of this lab is there, and what is looked at on this host is the host's own.
from stacklab.process import Result, SubprocessRunner
from stacklab.dev.simulated.simulate import SimulatedNodes
from tests.unit.checks.fake_lab import make_lab
from stacklab.workflow.check import checking
from stacklab.checks.family import Facts
checking.host.gather = lambda *_args, **_more: Facts()
SubprocessRunner.run = lambda self, command: Result(exit_code=0)
nodes = SimulatedNodes(make_lab(retries=0))
SubprocessRunner.converse = lambda self, command, **words: nodes.converse(command, **words)
sys.argv = ["invoke", *sys.argv[3:]]
from invoke.main import program
print("begun", flush=True)
program.run()
"""


@dataclass
class Deaf:
    """A socket whose owner accepts everybody and answers nobody."""

    path: Path
    accepted: list[socket.socket] = field(default_factory=list)


@pytest.fixture
def deaf(tmp_path: Path) -> Iterator[Deaf]:
    made = Deaf(tmp_path / "sock")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(made.path))
        listening.listen(20)

        def accept() -> None:
            try:
                while True:
                    made.accepted.append(listening.accept()[0])
            except OSError:
                return

        threading.Thread(target=accept, daemon=True).start()
        yield made
    for connection in made.accepted:
        connection.close()


@pytest.fixture
def home(tmp_path: Path) -> HostPaths:
    host = HostPaths(tmp_path / "home")
    paths = host.lab("trio")
    kept = registry.new_record(LAB, paths, image="debian-12-abc", passed_over={}, now=1.0)
    record.write(paths, kept)
    paths.resolved.write_text(lab_json.to_json(LAB))
    return host


def start(deaf: Deaf, home: HostPaths, limit_s: float, *words: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, str(deaf.path), str(limit_s), *words],
        cwd=PROJECT,
        env={"STACKLAB_HOME": str(home.root), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(PROJECT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


@pytest.mark.parametrize("words", [("lab.status",), ("lab.destroy", "trio")])
def test_a_task_ends_within_its_bound_and_says_what_to_type(
    deaf: Deaf, home: HostPaths, words: tuple[str, ...]
) -> None:
    process = start(deaf, home, LIMIT_S, *words)
    out, _ = process.communicate(timeout=LIMIT_S + 20)
    assert process.returncode == 4, out
    assert "libvirtd takes connections but does not answer within 2 s" in out
    assert "next: " in out
    assert "libvirtd" in out.split("next: ")[1]
    assert home.lab("trio").record.exists()


def test_check_ends_and_its_report_is_written(deaf: Deaf, home: HostPaths, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    process = start(deaf, home, LIMIT_S, "lab.check", "trio", "--json", str(report))
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 6, out
    data = json.loads(report.read_text())
    assert len(json.dumps(data)) > 1000
    assert "libvirtd" in out.split("next: ")[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("words", [("lab.status",), ("lab.destroy", "trio"), ("lab.check", "trio")])
def test_every_signal_ends_the_wait_at_once(
    deaf: Deaf, home: HostPaths, words: tuple[str, ...], number: signal.Signals
) -> None:
    process = start(deaf, home, 300.0, *words)
    deadline = time.monotonic() + 60
    while not deaf.accepted and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    assert process.poll() is None, "it waits"
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)  # it would wait for 300 s
    assert process.returncode == 130, out
    assert "interrupted" in out
