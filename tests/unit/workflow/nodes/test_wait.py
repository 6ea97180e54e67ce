from __future__ import annotations

import dataclasses
import re
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from stacklab.errors import NodeNotReady, ProviderError
from stacklab.model.lab import Lab, Node
from stacklab.model.state import NodeState
from stacklab.paths import HostPaths, LabPaths
from stacklab.progress import Progress
from stacklab.providers import registry
from stacklab.providers.node_view import NodeEvidence
from stacklab.record import LabRecord
from stacklab.tools.network import knock
from stacklab.tools.network.knock import Door, Knock
from stacklab.workflow.nodes import wait
from stacklab.workflow.nodes.wait import Waiter
from tests.unit.checks.fake_lab import make_lab
from tests.unit.providers.libvirt.fake_libvirt import FakeListener


class FakeProvider:
    """Says what it is told to of its nodes."""

    name = "fake"

    def __init__(self, **states: NodeState) -> None:
        self.states = {"controller": NodeState.RUNNING, "compute1": NodeState.RUNNING} | states
        self.fails: BaseException | None = None
        self.resets: list[str] = []
        self.on_reset: Callable[[], None] = lambda: None
        self.cause = ""

    def status(self, record: LabRecord) -> Mapping[str, NodeState]:
        if self.fails:
            raise self.fails
        return self.states

    def reset(self, record: LabRecord, node: str) -> None:
        self.resets.append(node)
        self.on_reset()

    def looker(self, paths: LabPaths, record: LabRecord) -> FakeProvider:
        return self

    def state_command(self, record: LabRecord, node: str) -> str:
        return ""

    def evidence(self, node: Node) -> NodeEvidence:
        return NodeEvidence(cause=self.cause, lines=(f"evidence of {node.name}",))


class Waiting:
    """Two nodes; `ready` says when a node's sshd answers, by address."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lab = self.patient(10)
        self.paths = HostPaths(root).lab("trio")
        self.provider = FakeProvider()
        self.listener = FakeListener()
        self.refused: set[str] = set()
        self.looks = 0
        monkeypatch.setattr(wait, "banner", self.banner)
        monkeypatch.setattr(wait, "_POLL_S", 0.01)
        monkeypatch.setattr(wait, "_LOOK_EVERY_S", 0.02)

    def patient(self, limit_s: float) -> Lab:
        lab = make_lab(nodes=("controller", "compute1"))
        return dataclasses.replace(
            lab, checks=dataclasses.replace(lab.checks, boot_timeout_s=limit_s)
        )

    def banner(self, address: str) -> tuple[bool, str]:
        self.looks += 1
        return address not in self.refused, "Connection refused"

    def run(self) -> None:
        kept = registry.new_record(self.lab, self.paths, image="x", passed_over={}, now=0)
        waiter = Waiter(self.lab, self.paths, kept, self.provider, Progress(self.listener))  # type: ignore[arg-type]
        waiter.start(self.lab.nodes)
        waiter.finish()


CONTROLLER, COMPUTE = "10.10.0.11", "10.10.0.12"


@pytest.fixture
def waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Waiting:
    return Waiting(tmp_path, monkeypatch)


def test_nodes_that_answer_are_not_waited_for(waiting: Waiting) -> None:
    waiting.run()
    assert waiting.looks == 2
    assert sorted(waiting.listener.heard) == [
        ("compute1", "boot"),
        ("compute1", "boot ended"),
        ("controller", "boot"),
        ("controller", "boot ended"),
    ]


def test_a_node_that_takes_its_time_is_waited_for_and_told_of(waiting: Waiting) -> None:
    waiting.refused = {COMPUTE}
    console = waiting.paths.console("compute1")
    console.parent.mkdir(parents=True)
    console.write_text("[  1.0] Mounting root\n")
    threading.Timer(0.3, waiting.refused.clear).start()
    waiting.run()
    told = [text for row, text in waiting.listener.heard if row == "compute1" and "waiting" in text]
    assert told
    pattern = r"waiting for ssh on 10\.10\.0\.12, \d of 10 s; console: \[  1\.0\] Mounting root"
    assert re.fullmatch(pattern, told[0])


def test_waiting_ends_with_its_evidence(waiting: Waiting) -> None:
    waiting.lab = waiting.patient(0.1)
    waiting.refused = {COMPUTE}
    with pytest.raises(NodeNotReady) as caught:
        waiting.run()
    for fact in ("compute1", "10.10.0.12:22", "Connection refused"):
        assert fact in caught.value.message.splitlines()[0]
    assert caught.value.message.endswith("\n  evidence of compute1")
    assert caught.value.hint == "./invoke lab.console trio, then ./invoke lab.rebuild trio"


def test_the_evidence_tells_no_secret(waiting: Waiting) -> None:
    waiting.lab = waiting.patient(0.1)
    waiting.refused = {COMPUTE}
    waiting.paths.secrets.parent.mkdir(parents=True)
    waiting.paths.secrets.write_text('{"admin_password": "evidence"}')
    with pytest.raises(NodeNotReady, match=r"\*{8} of compute1"):
        waiting.run()


def test_the_likeliest_cause_stands_above_the_evidence(waiting: Waiting) -> None:
    waiting.lab = waiting.patient(0.1)
    waiting.refused = {COMPUTE}
    waiting.provider.cause = "compute1 never sent a packet on eth0: its network did not come up"
    with pytest.raises(NodeNotReady) as caught:
        waiting.run()
    assert caught.value.message.splitlines()[1:] == [
        "  likely cause: compute1 never sent a packet on eth0: its network did not come up",
        "  evidence of compute1",
    ]


def test_a_node_that_does_not_run_is_told_so_while_it_is_waited_for(waiting: Waiting) -> None:
    waiting.refused = {COMPUTE}
    waiting.provider = FakeProvider(compute1=NodeState.PAUSED)
    threading.Timer(0.3, waiting.refused.clear).start()
    waiting.run()
    told = [text for row, text in waiting.listener.heard if row == "compute1" and "waiting" in text]
    assert told
    assert re.match(
        r"waiting for ssh on 10\.10\.0\.12, \d of 10 s; it is paused; console: ", told[0]
    )


@pytest.mark.parametrize("state", [NodeState.OFF, NodeState.CRASHED, NodeState.ABSENT])
def test_a_node_that_goes_off_is_told_long_before_its_time_is_up(
    waiting: Waiting, state: NodeState
) -> None:
    waiting.refused = {COMPUTE}
    waiting.provider = FakeProvider(compute1=state)
    waiting.lab = waiting.patient(600)
    started = time.monotonic()
    with pytest.raises(
        NodeNotReady, match=f"node compute1 is {state} while it should boot\n  evidence of compute1"
    ):
        waiting.run()
    assert time.monotonic() - started < 300


def test_several_failures_are_reported_once_each_in_order_of_name(waiting: Waiting) -> None:
    waiting.refused = {CONTROLLER, COMPUTE}
    waiting.provider = FakeProvider(controller=NodeState.OFF, compute1=NodeState.CRASHED)
    with pytest.raises(NodeNotReady) as caught:
        waiting.run()
    assert [line for line in caught.value.message.splitlines() if line.startswith("node")] == [
        "node compute1 is crashed while it should boot",
        "node controller is off while it should boot",
    ]


def test_a_libvirtd_that_goes_away_meanwhile_is_not_taken_for_a_node_s_fault(
    waiting: Waiting,
) -> None:
    waiting.refused = {COMPUTE}
    waiting.provider.fails = ProviderError("libvirtd: end of file")
    with pytest.raises(ProviderError, match="end of file") as caught:
        waiting.run()
    assert caught.type is ProviderError


def test_one_slow_node_does_not_hide_when_the_other_was_ready(waiting: Waiting) -> None:
    waiting.refused = {COMPUTE}
    threading.Timer(0.2, waiting.refused.clear).start()
    waiting.run()
    heard = waiting.listener.heard
    assert heard.index(("controller", "boot ended")) < heard.index(("compute1", "boot ended"))


@pytest.mark.parametrize(
    ("door", "is_ready"), [(Door.OPEN, True), (Door.SILENT, False), (Door.OTHER, False)]
)
def test_only_an_sshd_s_own_name_counts(
    monkeypatch: pytest.MonkeyPatch, door: Door, is_ready: bool
) -> None:
    monkeypatch.setattr(knock, "knock", lambda _address, _port: Knock(door=door, said="words"))
    assert wait.banner("10.0.0.1") == (is_ready, "words")


PANIC = "[    0.008000] ---[ end Kernel panic - not syncing: IO-APIC + timer doesn't work! ]---\n"
LOCKUP = (
    "[   28.1] watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [swapper/0:1]\n"
    "[   28.1]  </TASK>\n"
)


def say(waiting: Waiting, text: str) -> None:
    console = waiting.paths.console("compute1")
    console.parent.mkdir(parents=True, exist_ok=True)
    with console.open("a") as stream:
        stream.write(text)


def test_a_kernel_that_panics_at_every_boot_is_told_long_before_its_time_is_up(
    waiting: Waiting,
) -> None:
    waiting.refused = {COMPUTE}
    waiting.provider.on_reset = lambda: say(waiting, PANIC)
    say(waiting, PANIC)
    waiting.lab = waiting.patient(600)
    started = time.monotonic()
    with pytest.raises(
        NodeNotReady,
        match=r"compute1 .* panicked\n  evidence of compute1",
    ):
        waiting.run()
    assert time.monotonic() - started < 300
    assert waiting.provider.resets == ["compute1", "compute1"]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (PANIC, "its kernel panicked"),
        (
            LOCKUP + LOCKUP,
            "its kernel hangs ([   28.1] watchdog: BUG: soft lockup - CPU#0 stuck for 26s!"
            " [swapper/0:1])",
        ),
        ("[ 9.1] rcu: INFO: rcu_preempt self-detected stall on CPU\n" * 2, "its kernel hangs"),
    ],
)
def test_a_kernel_that_hangs_is_reset_and_boots_the_next_time(
    waiting: Waiting, said: str, why: str
) -> None:
    waiting.refused = {COMPUTE}
    waiting.provider.on_reset = waiting.refused.clear
    say(waiting, said)
    waiting.run()
    assert waiting.provider.resets == ["compute1"]
    told = [
        text for row, text in waiting.listener.heard if row == "compute1" and "resetting" in text
    ]
    assert len(told) == 1
    assert told[0].startswith(why)
    assert told[0].endswith(": resetting it, 1 of 2")


def test_one_lockup_may_pass(waiting: Waiting) -> None:
    waiting.refused = {COMPUTE}
    say(waiting, LOCKUP)
    threading.Timer(0.2, waiting.refused.clear).start()
    waiting.run()
    assert waiting.provider.resets == []


def test_a_kernel_that_falls_silent_is_reset_but_userspace_may_take_its_time(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wait, "_SILENT_S", 0.1)
    waiting.refused = {COMPUTE}
    waiting.provider.on_reset = lambda: (say(waiting, "[  OK  ] Started foo\n"), None)[1]
    say(waiting, "[    1.279131] integrity: Platform Keyring initialized\n")
    threading.Timer(0.8, waiting.refused.clear).start()
    waiting.run()
    assert waiting.provider.resets == ["compute1"]
