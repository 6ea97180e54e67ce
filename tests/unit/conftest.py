"""Unit tests never touch the machine: whoever tries is stopped, even inside `except Exception`."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from types import ModuleType
from typing import NoReturn

import libvirt
import pytest


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


@pytest.fixture
def still_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wall clock stands still.

    Else a node's clock seems late by what a busy machine does between its line and its hearing.
    """
    monkeypatch.setattr(time, "time", lambda: 1_795_170_600.0)  # 2026-11-20 10:30 UTC
