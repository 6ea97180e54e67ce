from __future__ import annotations

import signal
import threading
import time
from types import FrameType

import pytest

from stacklab.tools import bounded


@pytest.fixture
def stuck() -> threading.Event:
    """What a call waits for that never returns; set at the end, so that no thread is left."""
    return threading.Event()


def test_what_a_call_returns_is_returned() -> None:
    assert bounded.call(lambda: 5, limit_s=5) == 5


def test_what_a_call_raises_is_raised() -> None:
    with pytest.raises(KeyError, match="gone"):
        bounded.call(lambda: {}["gone"], limit_s=5)


def test_a_call_that_never_returns_ends_at_its_limit(stuck: threading.Event) -> None:
    started = time.monotonic()
    with pytest.raises(bounded.OverLimit):
        bounded.call(stuck.wait, limit_s=0.3)
    assert 0.3 <= time.monotonic() - started < 5
    stuck.set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_signal_ends_the_wait(
    stuck: threading.Event, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(number, stop)
    threading.Timer(0.2, signal.raise_signal, (number,)).start()
    started = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            bounded.call(stuck.wait, limit_s=30)
    finally:
        signal.signal(number, before)
        stuck.set()
    assert time.monotonic() - started < 5


def test_together_they_are_at_work_at_once() -> None:
    five = threading.Barrier(5, timeout=60)  # breaks unless all of them are inside at once
    bounded.together([five.wait] * 5)


def test_of_several_all_end_before_the_first_error_is_raised() -> None:
    ended: list[str] = []

    def fail() -> None:
        raise ValueError("first")

    def work() -> None:
        time.sleep(0.2)
        ended.append("slow")

    with pytest.raises(ValueError, match="first"):
        bounded.together([fail, work])
    assert ended == ["slow"]


def test_nothing_to_do_is_done_at_once() -> None:
    bounded.together([])
