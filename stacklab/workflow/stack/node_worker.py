"""The engine's worker: each step is a unit of `nodes.units` on its node."""

from __future__ import annotations

import math
import shlex
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from stacklab.errors import LabError
from stacklab.foreign import printable
from stacklab.nodes import session
from stacklab.nodes.protocol import Part
from stacklab.nodes.unit_status import UnitPhase, UnitStatus
from stacklab.nodes.units import NodeUnreached, Units
from stacklab.paths import LabPaths
from stacklab.process.command import Conversing
from stacklab.stages.worker import NodeLost, Work, WorkPhase

PATIENCE_S = 300.0  # without a connection to a node: it may be booting under TCG
_AGAIN_S = 2.0
_TEST_LIMIT_S = 120.0
_LOOK_LIMIT_S = 30.0
_LATE_S = 120.0  # after its limit a step's work is ended by its node, which may be slow
_PHASES = {
    UnitPhase.ABSENT: WorkPhase.ABSENT,
    UnitPhase.RUNNING: WorkPhase.RUNNING,
    UnitPhase.ENDED: WorkPhase.ENDED,
    UnitPhase.REBOOTED: WorkPhase.GONE,
    UnitPhase.LOST: WorkPhase.GONE,
}
_BOOTED = ("running", "degraded")
# Some job of the boot hangs, while all that we need has started long ago.
_LONGEST_STARTING_S = 60.0
_INTERRUPTED = "interrupted"
_T = TypeVar("_T")


class NodeWorkers:
    """The workers of a lab's stages; see stages.worker.Workers."""

    def __init__(
        self, runner: Conversing, paths: LabPaths, *, patience_s: float = PATIENCE_S
    ) -> None:
        self._runner = runner
        self._paths = paths
        self._patience_s = patience_s
        self._stopping = threading.Event()

    def of_stage(self, said: Callable[[str], None]) -> NodeWorker:
        """See Workers."""
        return NodeWorker(
            self._runner,
            self._paths,
            said=said,
            patience_s=self._patience_s,
            stopping=self._stopping,
        )

    def stop_waiting(self) -> None:
        """See Workers."""
        self._stopping.set()


class NodeWorker:
    """Leaves steps on nodes as units; see stages.worker.Worker for its methods."""

    def __init__(
        self,
        runner: Conversing,
        paths: LabPaths,
        *,
        said: Callable[[str], None],
        patience_s: float,
        stopping: threading.Event,
    ) -> None:
        self._runner = runner
        self._paths = paths
        self._said = said
        self._patience_s = patience_s
        self._stopping = stopping

    def is_done(self, node: str, command: str, *, user: str) -> bool:
        """See Worker."""
        # By sudo also for `stack`: a shared connection may be older than the user's last group.
        login = f"sudo -n -H -u {shlex.quote(user)} {_login_shell(command)}"
        # timeout(1) as root: it ends what sudo runs.
        test = f"sudo -n timeout -k 5 {_TEST_LIMIT_S:g} {login}"
        code, _ = self._ask(node, "stack.done", test, _TEST_LIMIT_S)
        return code == 0

    def look(self, node: str, name: str) -> Work:
        """See Worker."""
        return _work(self._patiently(node, lambda: self._units(node).status(name)))

    def start(self, node: str, name: str, command: str, *, user: str, limit_s: float) -> None:
        """See Worker."""
        script = f"exec {_login_shell(command)}\n"

        def start() -> UnitStatus:
            return self._units(node).start(name, script, user=user, limit_s=limit_s)

        self._patiently(node, start)

    def forget(self, node: str, name: str) -> None:
        """See Worker."""
        self._patiently(node, lambda: self._units(node).forget(name))

    def follow(
        self,
        node: str,
        name: str,
        *,
        heard: Callable[[bytes], object],
        limit_s: float = math.inf,
    ) -> Work:
        """See Worker."""
        self._refuse_when_stopping()
        began = time.monotonic()

        def waiting(why: str, waited_s: float) -> None:
            self._said(_not_reached(node, why, waited_s))

        attached = self._units(node).follow(
            name,
            heard=heard,
            patience_s=self._patience_s,
            # The node ends its work by itself; one that does not is not waited for.
            limit_s=limit_s + _LATE_S,
            why_stop=self._why_stop,
            waiting=waiting,
        )
        if attached.status is not None and attached.is_over:
            return _work(attached.status)
        self._refuse_when_stopping()
        followed_s = time.monotonic() - began
        if followed_s >= limit_s + _LATE_S:
            return Work(phase=WorkPhase.ENDED, is_over_limit=True)
        if attached.is_broken:
            raise LabError(
                f"{node} does not keep to the protocol: {attached.why}",
                hint=f"./invoke lab.check {self._paths.name}",
            )
        raise NodeLost(_not_reached(node, attached.why, self._patience_s))

    def wait_for_boot(self, node: str) -> None:
        """See Worker."""
        began = time.monotonic()
        while True:
            _, words = self._ask(node, "stack.booted", "systemctl is-system-running", _LOOK_LIMIT_S)
            state = words.strip()
            waited_s = time.monotonic() - began
            if state in _BOOTED or (state == "starting" and waited_s > _LONGEST_STARTING_S):
                return
            self._wait_again(node, f"it is {printable(state[:40])}", began)

    def _units(self, node: str) -> Units:
        return Units(self._runner, self._paths, node)

    def _ask(self, node: str, tag: str, shell: str, limit_s: float) -> tuple[int, str]:
        """Run a piece of shell on a node, and return its exit code and what it wrote."""

        def ask() -> tuple[int, str]:
            part = Part(tag=tag, shell=shell, limit_s=limit_s)
            reply = session.ask(
                self._runner,
                self._paths,
                node,
                [part],
                limit_s=limit_s + _LOOK_LIMIT_S,
                why_stop=self._why_stop,
            )
            said = reply.answer.of(tag)
            if said.code is not None:
                return said.code, said.text
            raise NodeUnreached(
                f"{node} can't be asked: {printable(reply.missing(tag))}",
                hint=f"./invoke lab.check {self._paths.name}",
                is_passing=reply.may_pass,
            )

        return self._patiently(node, ask)

    def _patiently(self, node: str, ask: Callable[[], _T]) -> _T:
        """Ask a node, and again while it can't be reached; raises NodeLost in the end."""
        began = time.monotonic()
        while True:
            self._refuse_when_stopping()
            try:
                return ask()
            except NodeUnreached as error:
                self._refuse_when_stopping()
                if not error.is_passing:
                    raise
                why = error.message
            self._wait_again(node, why, began)

    def _wait_again(self, node: str, why: str, since: float) -> None:
        """Wait a little; raises NodeLost when that has been done for too long."""
        self._refuse_when_stopping()
        waited_s = time.monotonic() - since
        if waited_s > self._patience_s:
            raise NodeLost(_not_reached(node, why, waited_s))
        self._said(_not_reached(node, why, waited_s))
        self._stopping.wait(_AGAIN_S)

    def _why_stop(self) -> str:
        return _INTERRUPTED if self._stopping.is_set() else ""

    def _refuse_when_stopping(self) -> None:
        if self._stopping.is_set():
            raise NodeLost(_INTERRUPTED)


def _not_reached(node: str, why: str, waited_s: float) -> str:
    return f"{node} not reached for {waited_s:.0f} s: {why}"


def _login_shell(command: str) -> str:
    """Return the call of a shell that has what a person has who logged in: proxies, PATH."""
    line = f"cd && {{ {command}\n}}"
    return f"/bin/bash -lc {shlex.quote(line)}"


def _work(status: UnitStatus) -> Work:
    return Work(
        phase=_PHASES[status.phase],
        exit_code=status.exit_code,
        signal=status.signal,
        is_over_limit=status.reason == "timeout",
        left_out=status.left_out,
        is_disk_full=status.is_disk_full,
    )
