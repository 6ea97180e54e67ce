"""The live tests' fault at a step: which changes are steps, and what each fault does at its own."""

from __future__ import annotations

import ast
import errno
import os
import shutil
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import libvirt
import pytest

from stacklab import files
from stacklab.paths.project import PROJECT
from stacklab.providers.libvirt.storage import disks
from tests.live.step_faults import CALLS, Fault, Step, Steps

# libvirt's calls that only look, or are about the connection itself.
_LOOKS = {
    "DHCPLeases",
    "UUIDString",
    "XMLDesc",
    "close",
    "getCapabilities",
    "getVersion",
    "isActive",
    "isAlive",
    "isPersistent",
    "jobInfo",
    "lookupByName",
    "lookupByUUIDString",
    "memoryStats",
    "name",
    "networkLookupByName",
    "saveImageGetXMLDesc",
    "setKeepAlive",
    "state",
    "storagePoolLookupByName",
}

_LISTENING: list[Steps] = []


def _hear(event: str, args: tuple[Any, ...]) -> None:
    for steps in _LISTENING:
        steps.audit(event, args)


# For good: Python has no way to take one out again.
sys.addaudithook(_hear)


class Killed(BaseException):
    """The process has ended."""


class Told:
    """What the steps have told, and done."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.steps: list[Step] = []
        self.signals: list[signal.Signals] = []
        self.restarts: list[int] = []  # at which step each was

    def arrange(self, fault: Fault = Fault.NONE, at: int = 0) -> Steps:
        return Steps(
            self.home,
            fault=fault,
            at=at,
            log=self.steps.append,
            kill=self.kill,
            restart=lambda: self.restarts.append(len(self.steps)),
        )

    def kill(self, number: signal.Signals) -> None:
        self.signals.append(number)
        raise Killed

    @property
    def names(self) -> list[str]:
        return [step.what for step in self.steps]


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    home = tmp_path / "home"
    home.mkdir()
    yield Told(home)
    _LISTENING.clear()


def listen(told: Told, fault: Fault = Fault.NONE, at: int = 0) -> None:
    """Have this process's changes of files be steps."""
    _LISTENING.append(told.arrange(fault, at))


def test_each_change_of_a_file_is_a_step_with_a_name(told: Told) -> None:
    directory = told.home / "snapshots" / "lab"
    listen(told)
    files.write(directory / "intent.json", "{}")
    (directory / "node.xml").write_text("<domain/>")
    (directory / "node.xml").rename(directory / "old.xml")
    os.link(directory / "old.xml", directory / "linked")
    (directory / "old.xml").unlink()
    directory.joinpath("linked").unlink()
    names = told.names
    temporary = names[2].removeprefix("write snapshots/lab/")
    assert temporary.startswith(".intent.json.")
    assert names == [
        "make directory snapshots",
        "make directory snapshots/lab",
        f"write snapshots/lab/{temporary}",
        f"rename {temporary} to snapshots/lab/intent.json",
        "write snapshots/lab/node.xml",
        "rename node.xml to snapshots/lab/old.xml",
        "link snapshots/lab/linked",
        "remove snapshots/lab/old.xml",
        "remove snapshots/lab/linked",
    ]
    assert [step.number for step in told.steps] == list(range(1, 10))
    needing = [step.needs_room for step in told.steps]
    assert needing == [True, True, True, False, True, False, True, False, False]


def test_a_tree_that_is_removed_is_a_step_for_each_file(told: Told) -> None:
    directory = told.home / "labs" / "lab"
    files.write(directory / "keys" / "id", "secret")
    files.write(directory / "record.json", "{}")
    listen(told)
    shutil.rmtree(directory)
    assert sorted(told.names) == [
        "remove labs/lab",
        "remove labs/lab/keys",
        "remove labs/lab/keys/id",
        "remove labs/lab/record.json",
    ]


def test_what_changes_nothing_or_is_elsewhere_is_not_a_step(told: Told, tmp_path: Path) -> None:
    kept = told.home / "kept"
    kept.write_text("x")
    listen(told)
    kept.read_text()
    (told.home / "absent").unlink(missing_ok=True)
    told.home.mkdir(exist_ok=True)
    (tmp_path / "elsewhere").write_text("x")
    (told.home / "lab.trio.lock").write_text("1")
    files.write(kept, "x")  # it has that content
    kept.chmod(0o644)
    assert told.names == []


def test_a_home_behind_a_link_is_the_same_home(told: Told, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(told.home)
    listen(told)
    (link / "record.json").write_text("{}")
    assert told.names == ["write record.json"]


@pytest.mark.parametrize(
    ("argv", "names"),
    [
        (
            ["qemu-img", "create", "-b", "{home}/frozen.qcow2", "{home}/node.qcow2", "1024M"],
            ["qemu-img create frozen.qcow2 node.qcow2"],
        ),
        (["/usr/bin/qemu-img", "resize", "{home}/node.qcow2"], ["qemu-img resize node.qcow2"]),
        (["qemu-img", "info", "{home}/node.qcow2"], []),
        (["ssh", "create", "{home}/node.qcow2"], []),
        (["qemu-img"], []),
    ],
)
def test_a_program_that_writes_a_disk_is_a_step(
    told: Told, argv: list[str], names: list[str]
) -> None:
    words = [word.format(home=told.home) for word in argv]
    told.arrange().audit("subprocess.Popen", (words[0], words, None, None))
    assert told.names == names


def make_libvirt(calls: list[str]) -> types.ModuleType:
    """Return a module with libvirt's classes, whose methods only say that they were called."""
    module = types.ModuleType("libvirt")

    def method(step: str) -> Callable[..., object]:
        def call(_owner: object, *arguments: object) -> object:
            calls.append(step)
            return arguments

        return call

    for class_name, methods in CALLS.items():
        members: dict[str, object] = {name: method(f"{class_name}.{name}") for name in methods}
        if class_name == "virDomain":
            members["name"] = lambda _domain: "trio_compute1"
            members["state"] = lambda _domain: [1, 1]
        setattr(module, class_name, type(class_name, (), members))
    module.libvirtError = type("libvirtError", (Exception,), {})  # type: ignore[attr-defined]
    return module


def test_each_call_of_libvirt_that_changes_something_is_a_step(told: Told) -> None:
    calls: list[str] = []
    module = make_libvirt(calls)
    told.arrange().wrap_libvirt(module)
    domain = module.virDomain()
    assert domain.state() == [1, 1]
    assert domain.saveFlags("memory", None, 2) == ("memory", None, 2)
    module.virConnect().defineXML("<domain/>")
    assert told.names == ["virDomain.saveFlags trio_compute1", "virConnect.defineXML"]
    assert calls == ["virDomain.saveFlags", "virConnect.defineXML"]
    assert all(step.is_libvirt and step.is_program_or_libvirt for step in told.steps)


def test_every_method_of_libvirts_that_stacklab_calls_is_known_as_a_step_or_as_a_look() -> None:
    classes = [getattr(libvirt, name) for name in CALLS]
    known = {name for methods in CALLS.values() for name in methods}
    called = set()
    for path in (PROJECT / "stacklab" / "tools" / "libvirt").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                called.add(node.func.attr)
    of_libvirt = {name for name in called if any(name in vars(owner) for owner in classes)}
    assert "saveFlags" in of_libvirt
    assert of_libvirt - known - _LOOKS - {"__init__"} == set(), "steps, or only looks?"


def test_the_real_libvirt_has_all_that_is_wrapped() -> None:
    for class_name, methods in CALLS.items():
        for name in methods:
            assert callable(getattr(getattr(libvirt, class_name), name))


def test_a_kill_comes_before_its_step_and_at_no_other(told: Told) -> None:
    listen(told, Fault.KILL, at=2)
    (told.home / "first").write_text("1")
    with pytest.raises(Killed):
        (told.home / "second").write_text("2")
    assert told.signals == [signal.SIGKILL]
    assert not (told.home / "second").exists()
    assert told.names == ["write first", "write second"], "the last one was not made"


def test_a_kill_within_a_step_comes_after_the_step_has_begun(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[tuple[float, Callable[..., object], tuple[object, ...]]] = []

    class Timer:
        daemon = False

        def __init__(
            self, after_s: float, call: Callable[..., object], arguments: tuple[object, ...]
        ) -> None:
            begun.append((after_s, call, arguments))

        def start(self) -> None:
            assert self.daemon, "Python would wait for it at its exit"

    monkeypatch.setattr(threading, "Timer", Timer)
    steps = told.arrange(Fault.KILL_WITHIN, at=1)
    steps.take("virDomain.saveFlags", needs_room=True)
    assert told.signals == []
    ((after_s, call, arguments),) = begun
    assert after_s > 0
    with pytest.raises(Killed):
        call(*arguments)
    assert told.signals == [signal.SIGKILL]


def test_ctrl_c_comes_before_its_step(told: Told) -> None:
    steps = told.arrange(Fault.INTERRUPT, at=1)
    with pytest.raises(Killed):
        steps.take("write x", needs_room=True)
    assert told.signals == [signal.SIGINT]


def test_a_disk_that_is_full_stays_full_but_can_be_made_room_on(told: Told) -> None:
    for name in ("old", "other"):
        (told.home / name).write_text("x")
    listen(told, Fault.FULL_DISK, at=2)
    (told.home / "first").write_text("1")
    for name in ("second", "third"):
        with pytest.raises(OSError, match="No space left") as caught:
            (told.home / name).write_text("2")
        assert caught.value.errno == errno.ENOSPC
        assert caught.value.filename == str(told.home / name)
    (told.home / "old").unlink()
    (told.home / "other").rename(told.home / "renamed")
    assert sorted(path.name for path in told.home.iterdir()) == ["first", "renamed"]


def test_libvirt_says_in_its_own_way_that_the_disk_is_full(told: Told) -> None:
    calls: list[str] = []
    module = make_libvirt(calls)
    told.arrange(Fault.FULL_DISK, at=1).wrap_libvirt(module)
    domain = module.virDomain()
    domain.suspend()
    with pytest.raises(module.libvirtError, match="No space left"):
        domain.saveFlags("memory", None, 2)
    domain.resume()
    assert calls == ["virDomain.suspend", "virDomain.resume"]


def test_libvirtd_is_restarted_before_the_step_which_then_is_made(told: Told) -> None:
    calls: list[str] = []
    module = make_libvirt(calls)
    told.arrange(Fault.RESTART, at=2).wrap_libvirt(module)
    domain = module.virDomain()
    for _ in range(3):
        domain.suspend()
    assert told.restarts == [2]
    assert len(calls) == 3


def test_a_seed_that_a_killed_command_was_writing_goes_with_the_next_one(tmp_path: Path) -> None:
    """It has private keys in it, and nothing else would ever remove it."""
    seed = tmp_path / "trio_compute1.seed.img"
    half = tmp_path / ".trio_compute1.seed.img.x7k2"
    other = tmp_path / ".trio_compute10.seed.img.x7k2"
    for path in (half, other):
        path.write_text("half a key")
    disks.put_seed(seed, b"whole")
    assert seed.read_bytes() == b"whole"
    assert not half.exists()
    assert other.exists()
