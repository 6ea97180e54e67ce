"""Unit tests never touch the machine: whoever tries is stopped, even inside `except Exception`."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from types import ModuleType
from typing import NoReturn

import libvirt
import pytest

from tests.unit import golden_words


class TouchedTheMachine(BaseException):
    """A unit test started a process, opened a connection or called libvirt."""


@pytest.fixture(autouse=True)
def untouched_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def guard(owner: ModuleType | type, name: str) -> None:
        def stop(*args: object, **_kwargs: object) -> NoReturn:
            raise TouchedTheMachine(
                f"{name} was called with {args[-1:]}; use fake_runner, or move it to tests/shims"
            )

        monkeypatch.setattr(owner, name, stop)

    guard(
        subprocess.Popen, "__init__"
    )  # not the name: `from subprocess import Popen` is caught too
    for name in ("system", "fork", "forkpty", "posix_spawn", "posix_spawnp", "execv", "execve"):
        guard(os, name)
    for name in ("connect", "connect_ex"):
        guard(socket.socket, name)
    for name in ("open", "openAuth", "openReadOnly"):
        guard(libvirt, name)


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No power cut happens in a test, and a busy disk makes each fsync take long."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


@pytest.fixture
def still_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wall clock stands still.

    Else a node's clock seems late by what a busy machine does between its line and its hearing.
    """
    monkeypatch.setattr(time, "time", lambda: 1_795_170_600.0)  # 2026-11-20 10:30 UTC


# --- the golden words; see golden_words.py


@pytest.hookimpl(tryfirst=True)  # before -k and -m deselect any
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not any("::" in arg for arg in config.args):
        golden_words.note_collected(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    module = golden_words.module_of(item)
    if module is None:
        return (yield)
    with golden_words.recorded() as lines:
        result = yield
    test = golden_words.test_of(item)
    golden_words.seen.setdefault(module, {}).setdefault(test, set()).update(lines)
    if not item.config.getoption("--update-golden"):
        golden = golden_words.read(module).get(test, frozenset())
        new, gone = sorted(lines - golden), sorted(golden - lines)
        where = f"the golden words of {module} (--update-golden)"
        assert not new, f"not in {where}: {new}"
        assert not gone, f"no longer said, but in {where}: {gone}"
    return result


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.getoption("--update-golden"):
        golden_words.update()
