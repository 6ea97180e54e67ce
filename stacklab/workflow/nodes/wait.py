"""Wait until nodes answer, within their boot time; show progress, and explain a failure."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stacklab.errors import NodeNotReady
from stacklab.model.lab import Lab, Node
from stacklab.model.state import NodeState
from stacklab.paths import LabPaths
from stacklab.progress import Progress
from stacklab.providers.contract import Evidence, Provider, Resets
from stacklab.record import LabRecord
from stacklab.tools.console import tail
from stacklab.tools.network import knock
from stacklab.tools.network.knock import Door
from stacklab.workflow import masking

_POLL_S = 0.25
_LOOK_EVERY_S = 2.0
_PORT = knock.PORT
# An emulated CPU, starved by a busy host, now and then hangs a kernel that boots the next time.
_RESETS = 2
_SILENT_S = 90.0
_CONSOLE_LINES = 200
_PANIC = "Kernel panic - not syncing"
_LOCKUP = re.compile(r"soft lockup - CPU#\d+ stuck|rcu\w* (self-)?detected stall")
_OF_KERNEL = re.compile(r"\[ *\d+\.\d+\] ")


@dataclass
class _Boot:
    """One start of a node: when it began, where its console log begins, its last line so far."""

    started: float
    console_start: int = 0
    last: str = ""
    last_at: float = 0.0

    def why_hopeless(self, lines: Sequence[str], now: float) -> str:
        """Return why the kernel will never get to sshd, by its console; "" while it may."""
        last = lines[-1].strip() if lines else ""
        if last != self.last:
            self.last = last
            self.last_at = now
        if any(_PANIC in line for line in lines):
            return "its kernel panicked"
        lockups = [line for line in lines if _LOCKUP.search(line)]
        if len(lockups) >= 2:  # one can be the host's fault alone, and pass
            return f"its kernel hangs ({lockups[-1].strip()[:100]})"
        # Only behind a line of the kernel's: user space may be silent for minutes and be well.
        if _OF_KERNEL.match(last) and now - self.last_at > _SILENT_S:
            return f"its kernel hangs (nothing on the console for {_SILENT_S:.0f} s)"
        return ""


class Waiter:
    """Waits for all of a lab's nodes at once, each in a thread of its own."""

    def __init__(
        self,
        lab: Lab,
        paths: LabPaths,
        record: LabRecord,
        provider: Provider,
        progress: Progress,
        title: str = "boot",
    ) -> None:
        self._lab = lab
        self._title = title
        self._paths = paths
        self._record = record
        self._provider = provider
        self._progress = progress
        self._failed: dict[str, BaseException] = {}
        self._threads: list[threading.Thread] = []

    def start(self, nodes: Sequence[Node]) -> None:
        """Start waiting, so that the clock shows each node's own time."""
        for node in nodes:
            # Daemons: Ctrl-C must not wait for a node that never boots.
            thread = threading.Thread(
                target=self._wait_for_node,
                args=(node,),
                name=f"wait {node.name}",
                daemon=True,
            )
            thread.start()
            self._threads.append(thread)

    def finish(self) -> None:
        """Return when all answer; raises NodeNotReady naming each that does not, with evidence."""
        for thread in self._threads:
            while thread.is_alive():
                thread.join(0.2)  # in pieces: a plain join would keep Ctrl-C waiting
        if not self._failed:
            return
        for error in self._failed.values():
            if not isinstance(error, NodeNotReady):
                raise error  # libvirtd's, or a bug: it says more than nodes that do not answer
        message = "\n".join(str(error) for _, error in sorted(self._failed.items()))
        name = self._lab.name
        raise NodeNotReady(
            message, hint=f"./invoke lab.console {name}, then ./invoke lab.rebuild {name}"
        )

    def _wait_for_node(self, node: Node) -> None:
        try:
            with self._progress.stage(node.name, self._title):
                self._wait_or_reset(node)
        except BaseException as error:  # raised by finish(), in the main thread
            self._failed[node.name] = error

    def _wait_or_reset(self, node: Node) -> None:
        console = self._paths.console(node.name)
        begin = 0
        resets = _RESETS if isinstance(self._provider, Resets) else 0
        for left in range(resets, -1, -1):
            why = self._wait_for_boot(node, _Boot(started=time.monotonic(), console_start=begin))
            if not why:
                return
            if left == 0 or not isinstance(self._provider, Resets):
                raise self._not_ready(node, f"will never answer: {why}")
            number = resets - left + 1
            self._progress.note(node.name, f"{why}: resetting it, {number} of {resets}")
            # What the console shows of this boot must not condemn the next one.
            begin = _console_size(console)
            self._provider.reset(self._record, node.name)

    def _wait_for_boot(self, node: Node, boot: _Boot) -> str:
        """Wait for sshd; returns "" when it answers, or why it never will."""
        address = str(node.access.address.ip)
        limit = self._lab.checks.boot_timeout_s
        looked = boot.last_at = boot.started
        while True:
            is_ready, reason = banner(address)
            if is_ready:
                return ""
            now = time.monotonic()
            if now - boot.started > limit:
                raise self._not_ready(
                    node, f"does not answer on {address}:{_PORT} after {limit:.0f} s ({reason})"
                )
            # Seldom: it asks the provider and reads the console, while a knock is cheap.
            if now - looked > _LOOK_EVERY_S:
                looked = now
                why = self._look_at(node, boot, now)
                if why:
                    return why
            time.sleep(_POLL_S)

    def _look_at(self, node: Node, boot: _Boot, now: float) -> str:
        """Look at a node that boots, and show its progress; returns why it will never answer."""
        state = self._provider.status(self._record).get(node.name, NodeState.ABSENT)
        if state in (NodeState.OFF, NodeState.CRASHED, NodeState.ABSENT):
            raise self._not_ready(node, f"is {state} while it should boot")
        console = self._paths.console(node.name)
        lines = tail(console, _CONSOLE_LINES, start=boot.console_start)
        why = boot.why_hopeless(lines, now)
        if why:
            return why
        waited = f"{now - boot.started:.0f} of {self._lab.checks.boot_timeout_s:.0f} s"
        odd = "" if state is NodeState.RUNNING else f" it is {state};"
        self._progress.say(
            node.name,
            f"waiting for ssh on {node.access.address.ip}, {waited};{odd} "
            f"console: {boot.last[:60]}",
        )
        return ""

    def _not_ready(self, node: Node, what: str) -> NodeNotReady:
        self._progress.say(node.name, "looking for the cause")
        text = f"node {node.name} {what}"
        if isinstance(self._provider, Evidence):
            evidence = self._provider.looker(self._paths, self._record).evidence(node)
            if evidence.cause:
                text += f"\n  likely cause: {evidence.cause}"
            text += f"\n{evidence}"
        # A console may show what a login prompt or cloud-init printed.
        return NodeNotReady(masking.text(self._paths, text))


def _console_size(console: Path) -> int:
    """Return how much a console log holds so far."""
    try:
        return console.stat().st_size
    except OSError:
        return 0


def banner(address: str, port: int = _PORT) -> tuple[bool, str]:
    """Return True if sshd sends its version; and what the port did, in words."""
    answer = knock.knock(address, port)
    return answer.door is Door.OPEN, answer.said
