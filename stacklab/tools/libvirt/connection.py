"""A connection to libvirtd whose every call has a bound.

This holds also against a libvirtd that accepts connections and never answers: each call
runs in a thread of its own (see stacklab.tools.bounded).
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

import libvirt

from stacklab.errors import ProviderError
from stacklab.tools import bounded
from stacklab.tools.libvirt import daemon as libvirtd

URI = "qemu:///system"

# For what libvirtd answers from its own memory.
LOOK_S = 10.0
# For what it asks of QEMU: under load, or emulated, QEMU takes tens of seconds to start or
# to let go, and libvirt itself waits up to 40 s for one that does not die.
WORK_S = 60.0
_CLOSE_S = 2.0
# libvirtd is asked for a sign of life every so many seconds, so many times.
_KEEPALIVE = (5, 3)

# libvirt prints every error to stderr besides raising it.
libvirt.registerErrorHandler(lambda _context, _error: None, None)

_P = ParamSpec("_P")
_T = TypeVar("_T")
_C = TypeVar("_C", bound="Connection")


class NoAnswer(ProviderError):
    """A libvirtd that takes connections but does not answer."""

    def __init__(self, limit_s: float) -> None:
        super().__init__(
            f"libvirtd takes connections but does not answer within {limit_s:.0f} s",
            hint=libvirtd.how_to_restart(),
        )


def within(
    limit_s: float,
) -> Callable[[Callable[Concatenate[_C, _P], _T]], Callable[Concatenate[_C, _P], _T]]:
    """Bound a method of a connection: it raises NoAnswer after `limit_s`, then always at once."""

    def decorate(
        method: Callable[Concatenate[_C, _P], _T],
    ) -> Callable[Concatenate[_C, _P], _T]:
        @functools.wraps(method)
        def wrapper(self: _C, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
            return self.answered(lambda: method(self, *args, **kwargs), limit_s)

        return wrapper

    return decorate


class Connection:
    """A connection to the system's libvirtd; raises ProviderError, with what to type next."""

    def __init__(self, uri: str | None = None) -> None:
        self._is_abandoned = False
        try:
            self._connection: Any = self.answered(lambda: _open_connection(uri or URI), LOOK_S)
        except libvirt.libvirtError as error:
            raise ProviderError(
                f"libvirtd can't be reached: {error}", hint="./invoke doctor"
            ) from error

    @property
    def is_dead(self) -> bool:
        """Return True once a call went unanswered or the connection broke: open another one."""
        if self._is_abandoned:
            return True
        try:
            # Does not ask libvirtd: the client keeps this itself.
            return not self._connection.isAlive()
        except libvirt.libvirtError:
            return True  # it was closed

    def close(self) -> None:
        """End the connection; one without an answer is left to the end of the process."""
        if self._is_abandoned:
            return
        with contextlib.suppress(NoAnswer):
            self.answered(lambda: _close_connection(self._connection), _CLOSE_S)

    def answered(self, function: Callable[[], _T], limit_s: float) -> _T:
        """Return what the function returns; raises NoAnswer when it takes too long."""
        if self._is_abandoned:
            raise NoAnswer(limit_s)
        try:
            return bounded.call(function, limit_s=limit_s, name="libvirt")
        except bounded.OverLimit as error:
            self._is_abandoned = True
            raise NoAnswer(limit_s) from error
        except (KeyboardInterrupt, SystemExit):
            # The call may still be under way, and its answer would be taken for the next one's.
            self._is_abandoned = True
            raise


def why_unreachable(uri: str | None = None) -> str | None:
    """Return what libvirtd, or its socket, says instead of connecting; None when it answers.

    Raises NoAnswer when it takes the connection and says nothing.
    """

    def try_to_open() -> str | None:
        try:
            libvirt.open(uri or URI).close()
        except libvirt.libvirtError as error:
            return _why_not_even_to_read(uri or URI) or str(error)
        return None

    try:
        return bounded.call(try_to_open, limit_s=LOOK_S, name="libvirt")
    except bounded.OverLimit as error:
        raise NoAnswer(LOOK_S) from error


def _why_not_even_to_read(uri: str) -> str | None:
    """Return why libvirtd can't even be read from, which says more; None where it can.

    Its socket for readers may be closed to somebody who may write: each has settings of its own.
    """
    try:
        libvirt.openReadOnly(uri).close()
    except libvirt.libvirtError as error:
        return str(error)
    return None


# --- the connections of this process


class _EventLoop:
    """libvirt's event loop, which keepalive needs, in a thread that lives as long as we do.

    That thread also holds every open connection. Else Python would end the last of them
    when it forgets it, or at its exit, and libvirt would wait there for an answer.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: list[libvirt.virConnect] = []
        self._is_running = False

    def start(self) -> None:
        """Run the loop, once; has to come before the first connection."""
        with self._lock:
            if self._is_running:
                return
            libvirt.virEventRegisterDefaultImpl()
            # The list is an argument: so the thread itself keeps what is in it alive.
            thread = threading.Thread(
                target=self._run_loop,
                args=(self._held,),
                name="libvirt events",
                daemon=True,
            )
            thread.start()
            self._is_running = True

    @staticmethod
    def _run_loop(_held: list[libvirt.virConnect]) -> None:
        with contextlib.suppress(libvirt.libvirtError):
            while True:
                libvirt.virEventRunDefaultImpl()

    def hold(self, connection: libvirt.virConnect) -> None:
        """Keep a connection from being ended by Python."""
        self._held.append(connection)

    def release(self, connection: libvirt.virConnect) -> None:
        """Forget a connection that is closed."""
        self._held[:] = [held for held in self._held if held is not connection]


_EVENTS = _EventLoop()


def _open_connection(uri: str) -> libvirt.virConnect:
    _EVENTS.start()
    connection = libvirt.open(uri)
    _EVENTS.hold(connection)
    with contextlib.suppress(libvirt.libvirtError):  # not every driver has it
        connection.setKeepAlive(*_KEEPALIVE)
    return connection


def _close_connection(connection: libvirt.virConnect) -> None:
    connection.close()
    _EVENTS.release(connection)
