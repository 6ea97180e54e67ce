"""The one probe that times all peers alike: when sshd says its name on each address."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence

from stacklab.errors import LabError
from stacklab.tools.network import knock
from stacklab.tools.network.knock import Door, Knock

_POLL_S = 0.1
_PIECE_S = 0.2  # between two looks at what else may have happened; Ctrl-C ends each


class Probe:
    """Knocks at port 22 of some addresses, from outside of whatever brings them up.

    TCP has to connect, and the other side has to send its SSH banner: no key is needed.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        *,
        knock: Callable[[str], Knock] = knock.knock,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._addresses = tuple(addresses)
        self._knock = knock
        self._clock = clock

    def refuse_answers(self) -> None:
        """Raise LabError if an address answers before anything was started: who would be timed?"""
        already = [address for address in self._addresses if self._is_open(address)]
        if already:
            raise LabError(
                f"{', '.join(already)} answers before the nodes are started",
                hint="./invoke lab.status: end what has these addresses",
            )

    def wait(
        self,
        *,
        limit_s: float,
        why_stop: Callable[[], str] = lambda: "",
        saying: Callable[[str], None] = lambda _text: None,
    ) -> Mapping[str, float]:
        """Return after how many seconds each address answered, once all do.

        `why_stop` is asked several times a second; any result but "" ends the wait with that
        LabError. Raises LabError, naming the addresses and what their ports did, after `limit_s`.
        """
        watch = _Watch(self._addresses, self._knock, self._clock)
        try:
            while not watch.have_all_answered.wait(_PIECE_S):
                why = why_stop()
                if why:
                    raise LabError(why)
                if self._clock() - watch.started > limit_s:
                    raise LabError(f"no ssh within {limit_s:.0f} s: {watch.describe_silent()}")
                saying(f"waiting for ssh on {watch.describe_silent()}, {limit_s:.0f} s at most")
        finally:
            watch.is_over.set()
        return watch.answered

    def _is_open(self, address: str) -> bool:
        return self._knock(address).door is Door.OPEN


class _Watch:
    """A thread per address: one that is silent must not delay the look at another one."""

    def __init__(
        self,
        addresses: Sequence[str],
        knock: Callable[[str], Knock],
        clock: Callable[[], float],
    ) -> None:
        self._knock = knock
        self._clock = clock
        self._lock = threading.Lock()
        self._silent = dict.fromkeys(addresses, "not tried yet")
        self.answered: dict[str, float] = {}
        self.have_all_answered = threading.Event()
        self.is_over = threading.Event()
        self.started = clock()
        for address in addresses:
            # A daemon: nobody waits for a knock that is under way.
            threading.Thread(target=self._follow, args=(address,), daemon=True).start()

    def describe_silent(self) -> str:
        """Return the addresses that do not answer yet, each with what its port did last."""
        with self._lock:
            return ", ".join(f"{address} ({said})" for address, said in self._silent.items())

    def _follow(self, address: str) -> None:
        while not self.is_over.is_set():
            answer = self._knock(address)
            with self._lock:
                if answer.door is Door.OPEN:
                    self.answered[address] = self._clock() - self.started
                    del self._silent[address]
                    if not self._silent:
                        self.have_all_answered.set()
                    return
                self._silent[address] = answer.said
            self.is_over.wait(_POLL_S)
