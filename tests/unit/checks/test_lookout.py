from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from stacklab.checks.asking import lookout
from stacklab.checks.asking.lookout import Lookout, States
from stacklab.model.state import NodeState

RUNNING = {"one": NodeState.RUNNING}


def wait_for(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_state_is_that_of_the_last_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookout, "_LOOK_EVERY_S", 0.01)
    states = dict(RUNNING)
    with Lookout(lambda: states) as looking:
        looking.renew()
        assert (looking.state("one"), looking.why_not("one")) == (NodeState.RUNNING, "")
        states["one"] = NodeState.PAUSED
        wait_for(lambda: looking.why_not("one") == "the node is paused")
        assert looking.state("nobody") is None
        assert looking.why_not("nobody") == ""


def test_a_look_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookout, "_LOOK_EVERY_S", 60)
    looks: list[float] = []

    def look() -> States:
        looks.append(time.monotonic())
        return RUNNING

    with Lookout(look) as looking:
        for _ in range(3):
            looking.renew()
        assert len(looks) >= 3


def test_who_does_not_tell_any_more_tells_nothing() -> None:
    states = dict(RUNNING)
    with Lookout(lambda: states) as looking:
        looking.renew()
        states.clear()
        looking.renew()
        assert looking.state("one") is None
        assert looking.why_not("one") == ""


def test_a_look_that_hangs_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookout, "_PATIENCE_S", 0.1)
    hangs, is_over = threading.Event(), threading.Event()

    def stub_hang() -> States:
        if hangs.is_set():
            is_over.wait(120)
        return RUNNING

    began = time.monotonic()
    with Lookout(stub_hang) as looking:
        looking.renew()
        hangs.set()
        looking.renew()
        wait_for(lambda: looking.state("one") is None)
    assert time.monotonic() - began < 60
    is_over.set()


def test_a_bug_in_a_look_is_raised_where_it_is_seen() -> None:
    def stub_bug() -> States:
        raise ZeroDivisionError

    with Lookout(stub_bug) as looking, pytest.raises(ZeroDivisionError):
        looking.renew()


def test_the_thread_ends_with_it() -> None:
    with Lookout(lambda: RUNNING) as looking:
        looking.renew()
    assert "lookout" not in {thread.name for thread in threading.enumerate()}
