from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import pytest

from stacklab.progress import Progress, Timing


@dataclass
class FakeListener:
    """Writes down what it is told, and whether two told it something at once."""

    events: list[tuple[object, ...]] = field(default_factory=list)
    was_pressed: bool = False
    _busy: bool = False

    def started(self, row: str, stage: str) -> None:
        self._note("started", row, stage)

    def said(self, row: str, text: str) -> None:
        self._note("said", row, text)

    def noted(self, row: str, text: str) -> None:
        self._note("noted", row, text)

    def ended(self, row: str, stage: str, elapsed_s: float, error: BaseException | None) -> None:
        assert elapsed_s >= 0
        self._note("ended", row, stage, error)

    def _note(self, *event: object) -> None:
        self.was_pressed |= self._busy
        self._busy = True
        time.sleep(0.001)
        self.events.append(event)
        self._busy = False


def test_a_stage_is_told_and_timed() -> None:
    listener = FakeListener()
    progress = Progress(listener)
    with progress.stage("compute1", "boot"):
        progress.say("compute1", "waiting for ssh")
        time.sleep(0.02)
    assert listener.events == [
        ("started", "compute1", "boot"),
        ("said", "compute1", "waiting for ssh"),
        ("ended", "compute1", "boot", None),
    ]
    (timing,) = progress.timings
    assert (timing.row, timing.stage) == ("compute1", "boot")
    assert 0.02 <= timing.elapsed_s < 5


@pytest.mark.parametrize(
    "error", [ValueError("no"), KeyboardInterrupt()], ids=["fails", "interrupted"]
)
def test_a_stage_that_ends_early_is_told_with_its_error_and_raises_it(error: BaseException) -> None:
    listener = FakeListener()
    progress = Progress(listener)
    with pytest.raises(type(error)), progress.stage("host", "networks"):
        raise error
    assert listener.events[-1] == ("ended", "host", "networks", error)
    assert [timing.stage for timing in progress.timings] == ["networks"]


def test_nobody_needs_to_listen() -> None:
    progress = Progress()
    progress.say("host", "nothing")
    with progress.stage("host", "nothing"):
        pass
    assert len(progress.timings) == 1


def test_stages_are_kept_in_the_order_of_ending() -> None:
    progress = Progress()
    with progress.stage("host", "outer"), progress.stage("host", "inner"):
        pass
    assert [timing.stage for timing in progress.timings] == ["inner", "outer"]
    assert isinstance(progress.timings[0], Timing)


def test_many_threads_are_told_one_at_a_time() -> None:
    listener = FakeListener()
    progress = Progress(listener)

    def work(row: str) -> None:
        for _ in range(5):
            with progress.stage(row, "stage"):
                progress.say(row, "text")

    threads = [threading.Thread(target=work, args=(f"node{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not listener.was_pressed
    assert len(listener.events) == 4 * 5 * 3
    assert len(progress.timings) == 20


def test_a_note_reaches_the_listener_and_needs_none() -> None:
    listener = FakeListener()
    Progress(listener).note("host", "TCG")
    Progress().note("host", "TCG")
    assert ("noted", "host", "TCG") in listener.events
