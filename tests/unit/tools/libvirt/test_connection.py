"""libvirt that hangs, in its own process: what never returns is one of its functions."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import libvirt
import pytest

from stacklab.tools.libvirt import connection as libvirt_connection
from stacklab.tools.libvirt.connection import NoAnswer, why_unreachable
from stacklab.tools.libvirt.domains import Libvirt

UUID = "00000000-0000-4000-8000-000000000000"


class Hanging:
    """A connection whose every call waits for `freed`."""

    def __init__(self) -> None:
        self.freed = threading.Event()
        self.is_closed = False

    def lookupByUUIDString(self, _uuid: str) -> None:
        self.freed.wait()

    def setKeepAlive(self, interval: int, count: int) -> None:
        assert interval * count < 60

    def isAlive(self) -> bool:
        return True

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hanging]:
    made = Hanging()
    monkeypatch.setattr(libvirt, "open", lambda _uri: made)
    monkeypatch.setattr(libvirt_connection._EVENTS, "start", lambda: None)
    yield made
    made.freed.set()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libvirt_connection, "LOOK_S", 0.2)


def test_a_call_that_never_returns_is_an_error_and_the_connection_counts_as_dead(
    hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libvirt_connection, "_CLOSE_S", 60)
    connection = Libvirt()
    assert not connection.is_dead
    with pytest.raises(NoAnswer, match=r"takes connections but does not answer within 0 s"):
        connection.answered(hanging.freed.wait, 0.2)
    assert connection.is_dead
    started = time.monotonic()
    with pytest.raises(NoAnswer):
        connection.state(UUID)
    connection.close()
    took_s = time.monotonic() - started
    assert took_s < libvirt_connection.LOOK_S, "nobody waits for it again, nor for its end"
    assert not hanging.is_closed


def test_what_was_interrupted_is_not_used_again(hanging: Hanging) -> None:
    connection = Libvirt()

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        connection.answered(interrupt, 5)
    assert connection.is_dead


def test_a_connection_that_is_held_is_let_go_when_it_is_closed(hanging: Hanging) -> None:
    connection = Libvirt()
    assert hanging in libvirt_connection._EVENTS._held
    connection.close()
    assert hanging.is_closed
    assert hanging not in libvirt_connection._EVENTS._held


def test_asking_whether_it_answers_is_bounded(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    freed = threading.Event()
    monkeypatch.setattr(libvirt, "open", lambda _uri: freed.wait())
    with pytest.raises(NoAnswer) as caught:
        why_unreachable()
    assert "libvirtd" in str(caught.value.hint)
    freed.set()


def test_opening_it_is_bounded(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    freed = threading.Event()
    monkeypatch.setattr(libvirt, "open", lambda _uri: freed.wait())
    monkeypatch.setattr(libvirt_connection._EVENTS, "start", lambda: None)
    with pytest.raises(NoAnswer):
        Libvirt()
    freed.set()


@pytest.mark.parametrize(
    ("reading", "writing", "why"),
    [
        ("", "", None),
        # auth_unix_rw is none, and auth_unix_ro is polkit, which does not run.
        ("no system bus", "", None),
        ("", "no polkit agent", "no polkit agent"),
        ("no such file", "no such file", "no such file"),
        ("no system bus", "authentication failed", "no system bus"),
    ],
)
def test_who_may_write_need_not_be_let_in_to_read(
    reading: str, writing: str, why: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opening(problem: str) -> Callable[[str], SimpleNamespace]:
        def open_(_uri: str) -> SimpleNamespace:
            if problem:
                raise libvirt.libvirtError(problem)
            return SimpleNamespace(close=lambda: None)

        return open_

    monkeypatch.setattr(libvirt, "openReadOnly", opening(reading))
    monkeypatch.setattr(libvirt, "open", opening(writing))
    assert why_unreachable() == why
