"""Live tests: a real image, real VMs, in a home of their own that nothing survives in.

They use the shipped labs under their own names, so they refuse to start on a host
where those are up: what a person runs is never touched.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stacklab.paths import PROJECT

HOME = Path("/var/lib/stacklab-live-tests")
LAB = "contrail-3node"
NODES = ("controller", "compute1", "compute2")
LABS = (LAB, "mini-2node", "wan-2node")
# A host that reaches no git server is warned of that: no failure of the lab's.
PASSED = (0, 7)


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
        # A shell starts background jobs with SIGINT ignored, and that is inherited by all below.
        return subprocess.Popen(
            (
                "env",
                "--default-signal=INT",
                sys.executable,
                "-m",
                "invoke",
                "--search-root",
                self.checkout,
                *words,
            ),
            cwd=self.checkout,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str) -> Run:
        """Run a command to its end, whatever its exit code."""
        started = time.monotonic()
        return self.end_of(self.start(*words), words, started)

    def end_of(self, process: subprocess.Popen[str], words: Sequence[str], started: float) -> Run:
        """Wait for a command that was started."""
        try:
            out, err = process.communicate(timeout=900)
        except BaseException:
            process.kill()
            raise
        elapsed = time.monotonic() - started
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
        assert run.code in PASSED, (
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


def virsh(*words: str) -> list[str]:
    """The names that a virsh list prints."""
    argv = ("virsh", "-c", "qemu:///system", *words, "--name")
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()


def processes(needle: str) -> list[str]:
    """Command lines of processes that mention a string."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if needle in line and entry.parent.name != str(os.getpid()):
            found.append(line[:200])
    return found


def left_of(lab: str) -> list[str]:
    """Everything of a lab that can still be seen on this host."""
    left = [f"domain {name}" for name in virsh("list", "--all") if name.startswith(f"{lab}_")]
    left += [f"network {name}" for name in virsh("net-list", "--all") if name.startswith(f"{lab}_")]
    left += [f"volume {path}" for path in (HOME / "volumes").glob(f"{lab}_*")]
    left += [f"directory {path}" for path in (HOME / "labs").glob(lab)]
    left += [
        f"process {line}" for line in processes(f"{HOME}/labs/{lab}/") + processes(f"guest={lab}_")
    ]
    left += [f"lock {path}" for path in (HOME / "locks").glob(f"lab.{lab}.lock")]
    index = (
        Path(os.environ.get("VAGRANT_HOME", Path.home() / ".vagrant.d"))
        / "data"
        / "machine-index"
        / "index"
    )
    if index.is_file() and f"{HOME}/labs/{lab}" in index.read_text():
        left.append(f"vagrant's index {index}")
    return left


def bridges() -> Sequence[str]:
    """The bridges that stacklab names."""
    return [path.name for path in Path("/sys/class/net").glob("sl-*")]


@pytest.fixture(scope="session")
def stacklab() -> Iterator[Stacklab]:
    typed = Stacklab()
    typed.run("doctor")  # starts nothing, but says what this host is
    if HOME.exists():  # of a run that was killed
        for lab in LABS:
            typed.run("lab.destroy", lab)
        shutil.rmtree(HOME)
    probe = subprocess.run(
        ("virsh", "-c", "qemu:///system", "list", "--all", "--name"), capture_output=True, text=True
    )
    taken = [name for name in probe.stdout.split() if name.split("_")[0] in LABS]
    assert not taken, (
        f"these are up on this host, and are not ours to touch: {taken}; ./invoke lab.destroy them first"
    )
    yield typed
    for lab in LABS:
        typed.run("lab.destroy", lab)
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def image(stacklab: Stacklab) -> Path:
    run = stacklab.ok("image.build", "debian-12")
    print(f"image.build took {run.elapsed_s:.0f} s")
    (path,) = (HOME / "images").glob("debian-12-*.qcow2")
    return path


@pytest.fixture(scope="session")
def lab(stacklab: Stacklab, image: Path) -> Run:
    """contrail-3node, up: one for all files, so who breaks it puts it right, and the last one destroys it."""
    assert image.is_file()
    return stacklab.ok("lab.up", LAB)
