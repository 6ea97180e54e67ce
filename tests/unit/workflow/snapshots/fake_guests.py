"""Guests that write to memory and disk at once, and a host that can be killed at any step."""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import pytest

from stacklab import files
from stacklab.model.state import NodeState
from stacklab.process.command import Command, Result
from stacklab.workflow.snapshots import restoring, saving, store
from tests.live.step_faults import Fault, Step, Steps
from tests.unit.providers.libvirt.fake_libvirt import FakeLibvirt
from tests.unit.workflow.fake_host import FakeHost

_P = ParamSpec("_P")
_T = TypeVar("_T")
_LISTENING: list[Steps] = []


def _hear(event: str, args: tuple[Any, ...]) -> None:
    for steps in _LISTENING:
        steps.audit(event, args)


# For good: Python has no way to take one out again.
sys.addaudithook(_hear)


class Killed(BaseException):
    """This process has ended, in the middle of whatever it did."""


class Killer:
    """Kills at the step of that number; nothing works after it, until the next command."""

    def __init__(self) -> None:
        self.steps = 0
        self.at = 0  # 0: never
        self.is_dead = False
        self.last = ""  # the step that was not made
        self.looks: list[Callable[[str], None]] = []  # called at each step

    def step(self, what: str = "") -> None:
        self.steps += 1
        if not self.is_dead:
            self.last = what
            for look in self.looks:
                look(what)
        if self.is_dead or self.steps == self.at:
            self.is_dead = True
            raise Killed

    def next_command(self) -> None:
        self.is_dead = False
        self.at = 0


class Guests(FakeLibvirt):
    """What runs has a counter in its memory and on each of its disks; they must always agree."""

    def __init__(self, host: FakeHost, killer: Killer) -> None:
        super().__init__()
        self.host = host
        self.killer = killer
        self.memory: dict[str, str] = {}  # of domains that are on

    def disks(self, uuid: str) -> list[Path]:
        """The disk that it boots from, and further ones."""
        volumes, name = self.host.paths.volumes, self.names[uuid]
        return [volumes / f"{name}.qcow2", *sorted(volumes.glob(f"{name}.disk*.qcow2"))]

    def _chain(self, uuid: str) -> str:
        """Everything that its disks hold, one after the other."""
        return "".join(self._chain_of(disk) for disk in self.disks(uuid))

    def _chain_of(self, disk: Path) -> str:
        """Everything that a disk holds: the counters on it and on what lies below it."""
        text, path = "", disk
        while path.exists() and path.parent != self.host.paths.images:
            first, _, counters = path.read_text().partition("\n")
            text = f"\n{counters}{text}" if counters else text
            path = Path(first.removeprefix("on "))
        return text

    def work(self, count: int) -> None:
        """Let each guest that runs write a number."""
        for uuid, state in self.states.items():
            if state is NodeState.RUNNING:
                for path in self.disks(uuid):
                    with path.open("a") as disk:
                        disk.write(f"\n{count}")
                self.memory[uuid] = self._chain(uuid)

    def assert_whole(self) -> None:
        """Every guest runs, and finds on its disk what its memory says."""
        for uuid, state in self.states.items():
            assert state is NodeState.RUNNING, self.names[uuid]
            assert self._chain(uuid) == self.memory.get(uuid, ""), self.names[uuid]

    def numbers(self) -> set[str]:
        """What the guests have written last."""
        return {self.memory.get(uuid, "").rpartition("\n")[2] for uuid in self.states}

    # --- libvirt

    def pause(self, uuid: str) -> None:
        self.killer.step()
        self.states[uuid] = NodeState.PAUSED

    def resume(self, uuid: str) -> None:
        self.killer.step()
        super().resume(uuid)

    def power_off(self, uuid: str) -> None:
        self.killer.step()
        if uuid in self.states:
            self.states[uuid] = NodeState.OFF
            self.memory.pop(uuid, None)

    def is_at_work(self, _uuid: str) -> bool:
        return False

    def definition(self, uuid: str) -> str:
        self.killer.step()
        console = "<serial type='file'><source path='/console.log'/></serial>"
        return (
            f"<domain><name>{self.names[uuid]}</name><uuid>{uuid}</uuid>"
            f"<devices>{console}</devices></domain>"
        )

    def used_memory(self, _uuid: str) -> int:
        return 1000

    def qemu_version(self) -> str:
        return "7.2.0"

    def save_memory(self, uuid: str, path: Path) -> None:
        self.killer.step()
        assert self.states[uuid] is NodeState.PAUSED
        path.write_text(self.memory.get(uuid, ""))
        self.memory.pop(uuid, None)  # only now: the disk may be full
        self.states[uuid] = NodeState.OFF
        self.killer.step()

    def restore_memory(self, name: str, path: Path, xml: str) -> None:
        self.killer.step()
        domain = ET.fromstring(xml)
        uuid = domain.findtext("uuid", "")
        assert domain.findtext("name") == name
        assert self.states.get(uuid, NodeState.OFF) is NodeState.OFF
        assert name not in self.names.values() or self.names.get(uuid) == name
        self.add(uuid, name, NodeState.PAUSED)
        self.memory[uuid] = path.read_text()
        assert self._chain(uuid) == self.memory[uuid], "memory met another disk"
        self.killer.step()


def counted(killer: Killer, function: Callable[_P, _T]) -> Callable[_P, _T]:
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        killer.step()
        return function(*args, **kwargs)

    return wrapper


def counted_run(killer: Killer, run: Callable[[Command], Result]) -> Callable[[Command], Result]:
    def wrapper(command: Command) -> Result:
        # What only looks is not a step: there are as many of it as disks lie on each other.
        if command.argv[:2] != ("qemu-img", "info"):
            killer.step(str(command))
        return run(command)

    return wrapper


def info(command: Command) -> Result:
    """qemu-img info: what a disk lies on."""
    base = Path(command.argv[-1]).read_text().partition("\n")[0].removeprefix("on ")
    data = {"format": "qcow2", "virtual-size": 1}
    if base.endswith(".qcow2"):
        data["full-backing-filename"] = base
    return Result(exit_code=0, stdout=json.dumps(data))


def _connect(host: FakeHost) -> Guests:
    guests = Guests(host, Killer())
    host.connect(guests)
    host.runner.on("qemu-img", "info", answer=info)
    return guests


def install(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> Guests:
    """Give the host these guests, before its lab is brought up."""
    guests = _connect(host)
    killer = guests.killer
    monkeypatch.setattr(host.runner, "run", counted(killer, host.runner.run))
    monkeypatch.setattr(files, "write", counted(killer, files.write))
    monkeypatch.setattr(Path, "rename", counted(killer, Path.rename))
    monkeypatch.setattr(Path, "replace", counted(killer, Path.replace))
    monkeypatch.setattr(store, "remove", counted(killer, store.remove))
    return guests


def install_with_files(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> Guests:
    """Do the same, and have each change of a file in the host's home be a step.

    These are many more: as many as the live tests have.
    """
    guests = _connect(host)
    killer = guests.killer

    def change(step: Step) -> None:
        killer.step(step.what)

    monkeypatch.setattr(host.runner, "run", counted_run(killer, host.runner.run))
    steps = Steps(host.root, fault=Fault.NONE, at=0, log=change)
    monkeypatch.setattr(sys.modules[__name__], "_LISTENING", [steps])
    return guests


@contextmanager
def full_disk(host: FakeHost, at: int) -> Iterator[list[Step]]:
    """Have this host's disk be full from the step of that number on; hands out the steps."""
    taken: list[Step] = []
    steps = Steps(host.root, fault=Fault.FULL_DISK, at=at, log=taken.append)
    _LISTENING.append(steps)
    try:
        yield taken
    finally:
        _LISTENING.remove(steps)


def save(host: FakeHost, name: str = "first") -> None:
    saving.save(host.context, "trio", name)


def restore(host: FakeHost, name: str = "first") -> None:
    restoring.restore(host.context, "trio", name)
