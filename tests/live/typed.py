"""Commands as a person types them, each in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from stacklab import record
from stacklab.paths import HostPaths
from stacklab.paths.project import PROJECT
from tests.live.hung_kernels import Consoles
from tests.live.labs import HOME, LABS
from tests.live.remains import MACHINES, recorded_machines

CONSOLES = Consoles(HOME)


@dataclass
class Run:
    """What a command left behind."""

    code: int
    out: str
    err: str
    elapsed_s: float


@dataclass
class Stacklab:
    """Types `./invoke ...` as a person would, each time in a new process."""

    checkout: Path = PROJECT
    environment: dict[str, str] = field(
        default_factory=lambda: {**os.environ, "STACKLAB_HOME": str(HOME)}
    )

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a command and return at once."""
        return self.start_python("-m", "invoke", "--search-root", str(self.checkout), *words)

    def start_python(self, *arguments: str) -> subprocess.Popen[str]:
        """Start this Python in the checkout, as a command is started."""
        # A shell starts background jobs with SIGINT ignored, and that is inherited by all below.
        return subprocess.Popen(
            ("env", "--default-signal=INT", sys.executable, *arguments),
            cwd=self.checkout,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str) -> Run:
        """Run a command to its end, whatever its exit code."""
        # Before it may destroy them.
        MACHINES.update(recorded_machines())
        started = time.monotonic()
        return self.end_of(self.start(*words), words, started)

    def end_of(self, process: subprocess.Popen[str], words: Sequence[str], started: float) -> Run:
        """Wait for a command that was started."""
        try:
            out, err = process.communicate(timeout=1800)
        except BaseException:
            process.kill()
            raise
        elapsed = time.monotonic() - started
        CONSOLES.read(err)
        print(
            f"$ ./invoke {' '.join(words)}   -> {process.returncode} in {elapsed:.1f} s\n{err[-3000:]}{out[-3000:]}"
        )
        return Run(process.returncode, out, err, elapsed)

    def ok(self, *words: str) -> Run:
        """Run a command that has to succeed."""
        run = self.run(*words)
        assert run.code == 0, f"{words} ended with {run.code}: {run.err[-2000:]}"
        assert "Traceback" not in run.err
        return run

    def check(self, lab: str, *words: str) -> Run:
        """A lab.check that has to pass, be it with warnings."""
        run = self.run("lab.check", lab, *words)
        assert run.code == 0, (
            f"lab.check {lab} {words} ended with {run.code}: {run.out[-3000:]}{run.err[-2000:]}"
        )
        assert "Traceback" not in run.err
        return run

    def states(self, lab: str) -> dict[str, str]:
        """What `lab.status --json` says of each node."""
        (found,) = json.loads(self.ok("lab.status", lab, "--json").out)
        return {node["name"]: node["state"] for node in found["nodes"]}

    def on(self, lab: str, node: str, command: str) -> str:
        """Run a command on a node over the lab's own ssh_config; stderr included."""
        argv = ("ssh", "-F", str(HOME / "labs" / lab / "ssh_config"), node, command)
        return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120).stdout

    def close_connections(self, lab: str, nodes: Sequence[str]) -> None:
        """End the shared connections: the next login is a new one. There being none is fine."""
        for node in nodes:
            argv = ("ssh", "-F", str(HOME / "labs" / lab / "ssh_config"), "-O", "exit", node)
            subprocess.run(argv, capture_output=True, check=False, timeout=20)


def flat(text: str) -> str:
    """Return what was printed without its line breaks and indents."""
    return " ".join(text.split())


def wait_until(
    is_so: Callable[[], object], what: str, limit_s: float, pause_s: float = 0.05
) -> None:
    """Look again and again until it is so; fail after the limit."""
    deadline = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < deadline, f"not {what} after {limit_s:.0f} s"
        time.sleep(pause_s)


def take_over_records(home: Path) -> None:
    """Make this checkout the one that its labs belong to.

    A run that was killed in another clone left them; only the owner may destroy a lab.
    """
    host = HostPaths(home)
    for lab in host.recorded_labs():
        paths = host.lab(lab)
        found = record.read(paths)
        if found is not None:
            record.write(paths, replace(found, checkout=PROJECT))


def remove_home(stacklab: Stacklab, home: Path) -> None:
    """Destroy the labs of a home, then remove it; fail and keep it if a lab is still there.

    The home holds what `lab.destroy` needs: VMs that outlive it can only be removed by hand.
    """
    if not home.exists():
        return
    take_over_records(home)
    refused = {}
    # A test's own lab, too, if its run was killed.
    for lab in dict.fromkeys((*LABS, *HostPaths(home).recorded_labs())):
        run = stacklab.run("lab.destroy", lab)
        if run.code != 0:
            refused[lab] = run.err[-2000:]
    assert not refused, f"{home} is kept, because these labs could not be destroyed: {refused}"
    shutil.rmtree(home)
