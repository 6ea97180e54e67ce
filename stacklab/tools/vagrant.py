"""Wrap python-vagrant; no other module imports it.

By default it sends both streams to /dev/null, and its error then explains nothing. So both
go to a log, and our error shows the last lines of it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import vagrant
from stacklab import files
from stacklab.errors import ProviderError, ToolNotFound

_TAIL_LINES = 12
# vagrant-libvirt, network_util.rb: it lists all of the host's networks, and asks each for its XML.
# One of another lab that is destroyed meanwhile ends it.
_VANISHED = re.compile(r"Network not found|no network with matching")
_TRIES = 3
_BACKTRACE = re.compile(r"\s*(?:from )?/\S+:\d{1,6}:in [`']")
_LIMIT_S = 300.0  # a box-less node takes 3 s; a libvirtd that hangs takes for ever
_LIMIT_PER_NODE_S = 60.0
_GRACE_S = 60
_TIMED_OUT = 124  # timeout(1)'s


class _Vagrant(vagrant.Vagrant):
    """Vagrant whose process ends with ours, or at its limit, so that none outlives `lab.up`."""

    limit_s = 0.0  # for ever

    def _make_vagrant_command(self, args: Sequence[str | None]) -> list[str]:
        # SIGINT, so that vagrant-libvirt's own clean-up runs. The lock is held until vagrant
        # itself has ended: the next command waits for it.
        held = ("flock", "--no-fork", str(lock(Path(self.root))))
        # In the foreground, so that Ctrl-C on the terminal still reaches vagrant.
        bound = (
            "timeout",
            "--foreground",
            "--signal=INT",
            f"--kill-after={_GRACE_S}",
            f"{self.limit_s:.0f}",
        )
        return [
            *held,
            "setpriv",
            "--pdeathsig",
            "INT",
            *bound,
            *super()._make_vagrant_command(args),
        ]


def up(directory: Path, nodes: Sequence[str], *, log: Path) -> None:
    """Create or start these nodes of the Vagrantfile in `directory`, in parallel.

    Raises ProviderError with the log's last lines. One at a time per host: vagrant-libvirt's
    locks hold within one process only.
    """
    files.make_directory(log.parent, mode=0o700)
    for tries_left in range(_TRIES - 1, -1, -1):
        started_at = log.stat().st_size if log.exists() else 0
        try:
            _run_up(directory, nodes, log)
        except RuntimeError as error:  # its word for "no vagrant on PATH"
            raise ToolNotFound("vagrant") from error
        except subprocess.CalledProcessError as error:
            text = _read_from(log, started_at)
            if tries_left and _VANISHED.search(text):
                continue
            ending = f"ended with {error.returncode}"
            if error.returncode == _TIMED_OUT:
                ending = f"was ended after {limit_s(nodes):.0f} s: libvirtd may hang"
            raise ProviderError(
                f"vagrant up {ending}\n{_last_lines(text)}\n  log: {log}", hint="./invoke doctor"
            ) from error
        return


def _run_up(directory: Path, nodes: Sequence[str], log: Path) -> None:
    stream = vagrant.make_file_cm(str(log))
    machine = _Vagrant(
        root=str(directory),
        env=environment(directory),
        out_cm=stream,
        err_cm=stream,
    )
    machine.limit_s = limit_s(nodes)
    machine.up(vm_name=pattern(nodes), provider="libvirt", no_provision=True)


def _read_from(log: Path, started_at: int) -> str:
    """Return a log from the byte on where a run began."""
    with log.open("rb") as stream:
        stream.seek(started_at)
        return stream.read().decode("utf-8", "replace")


def _last_lines(text: str) -> str:
    """Return the last lines of a run's log.

    Without where in Ruby's files it happened: libvirt's own words come above all that.
    """
    lines = [line for line in text.rstrip().splitlines() if not _BACKTRACE.match(line)]
    return "\n".join(f"  | {line}" for line in lines[-_TAIL_LINES:])


def limit_s(nodes: Sequence[str]) -> float:
    """Return how long `up` may take for these nodes."""
    return _LIMIT_S + _LIMIT_PER_NODE_S * len(nodes)


def pattern(nodes: Sequence[str]) -> str:
    """Return the word for exactly these nodes: python-vagrant takes one, which may be a pattern."""
    if len(nodes) == 1:
        return nodes[0]
    alternatives = "|".join(map(re.escape, nodes))
    return f"/^({alternatives})$/"


def environment(directory: Path) -> dict[str, str]:
    """Return the whole environment of vagrant: python-vagrant adds nothing to its `env`."""
    return {
        **os.environ,
        "LC_ALL": "C.UTF-8",
        "VAGRANT_CWD": str(directory),
        "VAGRANT_DOTFILE_PATH": str(dotfile(directory)),
        "VAGRANT_NO_COLOR": "1",
        "VAGRANT_CHECKPOINT_DISABLE": "1",
        "VAGRANT_BOX_UPDATE_CHECK_DISABLE": "1",
    }


def dotfile(directory: Path) -> Path:
    """Return the directory where Vagrant keeps what it knows of a lab's machines."""
    return directory / ".vagrant"


def machine_id(directory: Path, node: str) -> Path:
    """Return the file by which Vagrant knows a node's domain: it holds its UUID."""
    return dotfile(directory) / "machines" / node / "libvirt" / "id"


def forget_machine(directory: Path, node: str) -> None:
    """Remove what Vagrant knows of one of a lab's machines."""
    shutil.rmtree(dotfile(directory) / "machines" / node, ignore_errors=True)


def lock(directory: Path) -> Path:
    """Return the lock that a vagrant at work holds, also while it tidies up after a signal."""
    return directory / "vagrant.lock"


def forget(directory: Path) -> None:
    """Take a lab's machines out of Vagrant's host-wide index.

    `vagrant destroy` would do the same, but takes 3 s.
    """
    home = Path(os.environ.get("VAGRANT_HOME", Path.home() / ".vagrant.d"))
    index = home / "data" / "machine-index" / "index"
    if not index.is_file():
        return
    with (index.with_name("index.lock")).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # Vagrant's own lock
        forgotten = _drop_machines(index, directory)
    for key in forgotten:
        with contextlib.suppress(OSError):
            index.with_name(f"{key}.lock").unlink()


def _drop_machines(index: Path, directory: Path) -> list[str]:
    """Rewrite Vagrant's index without the machines of a lab, and return their keys in it."""
    try:
        data = json.loads(index.read_text())
        machines = data["machines"]
        forgotten = [
            key
            for key, entry in machines.items()
            if entry.get("vagrantfile_path") == str(directory)
        ]
        others = {key: entry for key, entry in machines.items() if key not in forgotten}
    except (ValueError, KeyError, TypeError, AttributeError):
        return []  # Vagrant itself makes a damaged index anew
    if not forgotten:
        return []
    # Written beside it and moved: whoever reads it without the lock sees all of it.
    scratch = index.with_name(f"index.stacklab.{os.getpid()}")
    try:
        scratch.write_text(json.dumps({**data, "machines": others}))
        scratch.replace(index)
    except OSError:
        # A full disk: what is on it must be removable. Vagrant drops an entry without a machine.
        scratch.unlink(missing_ok=True)
        return []
    return forgotten
