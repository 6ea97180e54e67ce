"""Send signals to processes, end them, and name the signal that ended one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from types import FrameType

GRACE_S = 5.0  # from one signal to the next, harder one


def stop_process(process: subprocess.Popen[bytes], *, group: bool) -> None:
    """End a process that we started, and its children: SIGINT first, SIGKILL last.

    An interactive process shares our group (it needs the terminal), so it is signalled alone.
    A second Ctrl-C cuts the grace short.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            send_signal(process, number, group=group)
            process.wait(GRACE_S)
            break
    if group:
        # Children that outlived their parent. Daemons have left the group by setsid.
        send_signal(process, signal.SIGKILL, group=True)


def send_signal(process: subprocess.Popen[bytes], number: signal.Signals, *, group: bool) -> None:
    """Signal a process that we started, or its whole group."""
    if not group:
        process.send_signal(number)
        return
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return
    except PermissionError:
        # A child of sudo: only root may signal it.
        name = number.name.removeprefix("SIG")
        argv = ("sudo", "-n", "kill", f"-{name}", "--", f"-{process.pid}")
        subprocess.run(argv, check=False, stdin=subprocess.DEVNULL, capture_output=True)


def ending(code: int) -> str:
    """Return in words how a process ended, by its exit code."""
    if code >= 0:
        return f"ended with {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:  # most real-time signals lack a name
        return f"was ended by signal {-code}"


@contextlib.contextmanager
def interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back until the end of the block, and raise it there.

    While a process is being started nobody could end it: it runs, and its Popen is not known
    yet. Not done with a signal mask, which the process would inherit.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # KeyboardInterrupt is raised in the main thread only
        return
    came: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    usual = signal.getsignal(signal.SIGINT)
    if not callable(usual):
        yield  # ignored, or left to the kernel: nothing is raised
        return
    signal.signal(signal.SIGINT, remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
    if came:
        usual(signal.SIGINT, None)
