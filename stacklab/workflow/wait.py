"""Wait until nodes answer, telling for what, for no longer than agreed, and why not if not."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence

from stacklab.errors import NodeNotReady
from stacklab.model import Lab, Node
from stacklab.paths import LabPaths
from stacklab.progress import Progress
from stacklab.providers.base import Provider
from stacklab.providers.vagrant_libvirt import tail
from stacklab.record import LabRecord
from stacklab.tools.libvirt import DomainState

_POLL_S = 0.25
_LOOK_EVERY_S = 2.0
_CONNECT_S = 1.0
_PORT = 22
_PANIC = "Kernel panic - not syncing"


class Waiter:
    """Waits for all of a lab's nodes at once, each in a thread of its own."""

    def __init__(
        self, lab: Lab, paths: LabPaths, record: LabRecord, provider: Provider, progress: Progress
    ) -> None:
        self._lab = lab
        self._paths = paths
        self._record = record
        self._provider = provider
        self._progress = progress
        self._failed: dict[str, BaseException] = {}
        self._threads: list[threading.Thread] = []

    def start(self, nodes: Sequence[Node]) -> None:
        """Begin to wait, so that the clock shows each node's own time."""
        for node in nodes:
            # Daemons: Ctrl-C must not wait for a node that never boots.
            thread = threading.Thread(target=self._one, args=(node,), name=f"wait {node.name}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def finish(self) -> None:
        """Return when all answer; raises NodeNotReady naming each that does not, with evidence."""
        for thread in self._threads:
            while thread.is_alive():
                thread.join(0.2)  # in pieces: a plain join would keep Ctrl-C waiting
        if not self._failed:
            return
        unexpected = [error for error in self._failed.values() if not isinstance(error, NodeNotReady)]
        if unexpected:
            raise unexpected[0]
        message = "\n".join(str(error) for _, error in sorted(self._failed.items()))
        name = self._lab.name
        raise NodeNotReady(message, hint=f"./invoke lab.console {name}, then ./invoke lab.rebuild {name}")

    def _one(self, node: Node) -> None:
        try:
            with self._progress.stage(node.name, "boot"):
                self._wait(node)
        except BaseException as error:  # kept for finish(), where somebody can see it
            self._failed[node.name] = error

    def _wait(self, node: Node) -> None:
        address = str(node.access.address.ip)
        limit = self._lab.checks.boot_timeout_s
        started = time.monotonic()
        looked = started
        said = "no connection yet"
        while True:
            is_ready, said = banner(address)
            if is_ready:
                return
            now = time.monotonic()
            if now - started > limit:
                raise self._not_ready(node, f"does not answer on {address}:{_PORT} after {limit:.0f} s ({said})")
            if now - looked > _LOOK_EVERY_S:
                looked = now
                state = self._provider.status(self._record).get(node.name, DomainState.ABSENT)
                if state in (DomainState.OFF, DomainState.CRASHED, DomainState.ABSENT):
                    raise self._not_ready(node, f"is {state} while it should boot")
                lines = tail(self._paths.console(node.name))
                if any(_PANIC in line for line in lines):
                    raise self._not_ready(node, "will never answer: its kernel panicked")
                last = (lines or ("",))[-1].strip()
                waited = f"{now - started:.0f} of {limit:.0f} s"
                self._progress.say(node.name, f"waiting for ssh on {address}, {waited}; console: {last[:60]}")
            time.sleep(_POLL_S)

    def _not_ready(self, node: Node, what: str) -> NodeNotReady:
        evidence = self._provider.evidence(self._paths, self._record, node)
        return NodeNotReady(f"node {node.name} {what}\n{evidence}")


def banner(address: str, port: int = _PORT) -> tuple[bool, str]:
    """Whether sshd says its name, and what happened else."""
    try:
        with socket.create_connection((address, port), timeout=_CONNECT_S) as connection:
            connection.settimeout(5.0)
            return connection.recv(8).startswith(b"SSH-"), "something else than sshd answers"
    except OSError as error:
        return False, str(error)
