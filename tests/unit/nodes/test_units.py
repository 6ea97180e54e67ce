"""Units, against nodes that are not there; tests/live/test_units.py has the real ones."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacklab.errors import CommandFailed
from stacklab.nodes import unit_scripts, unit_status, units
from stacklab.nodes.unit_status import UnitPhase, UnitStatus
from stacklab.nodes.units import Units
from stacklab.paths import HostPaths
from stacklab.process import Command, Result
from tests.conftest import FakeRunner
from tests.unit.nodes import fake_session

PATHS = HostPaths(Path("/var/lib/stacklab")).lab("trio")
BOOT = "cb57dd8f-c32e-478d-bf17-b03e57186654"
OTHER_BOOT = "11111111-c32e-478d-bf17-b03e57186654"
SCRIPT = "echo hello"
DIGEST = unit_scripts.digest(SCRIPT)
BEGUN = f"begun {BOOT} 1795849562.5"


def status_of(*lines: str) -> UnitStatus:
    return unit_status.parse_status([f"boot {BOOT}", f"digest {DIGEST}", *lines])


@pytest.mark.parametrize(
    ("lines", "phase"),
    [
        ([], UnitPhase.ABSENT),
        (["active active"], UnitPhase.RUNNING),
        (["active active", BEGUN], UnitPhase.RUNNING),
        (["active deactivating", BEGUN], UnitPhase.RUNNING),
        (["active inactive", BEGUN, "ended exited 0 success 1.5 running"], UnitPhase.ENDED),
        (["active inactive", BEGUN, "ended killed KILL signal 1.5 running"], UnitPhase.ENDED),
        (["active inactive", BEGUN, "ended killed TERM success 1.5 stopping"], UnitPhase.REBOOTED),
        (["active inactive", BEGUN, "ended exited 143 x 1.5 unknown"], UnitPhase.REBOOTED),
        (["active inactive", BEGUN, "ended exited 0 success 1.5 stopping"], UnitPhase.ENDED),
        (["active inactive", f"begun {OTHER_BOOT} 1.5"], UnitPhase.REBOOTED),
        (["active inactive", BEGUN], UnitPhase.LOST),
    ],
)
def test_what_became_of_a_unit(lines: list[str], phase: UnitPhase) -> None:
    assert status_of(*lines).phase is phase


def test_a_result_has_its_code_or_its_signal_and_its_times() -> None:
    ended = status_of(BEGUN, "ended exited 7 exit-code 1795849570.25 running", "size 12")
    assert (ended.exit_code, ended.signal, ended.reason, ended.is_ok) == (7, "", "exit-code", False)
    assert (ended.started_at, ended.ended_at, ended.size) == (1795849562.5, 1795849570.25, 12)
    killed = status_of(BEGUN, "ended killed KILL signal 1.5 running", "left-out 99")
    assert (killed.exit_code, killed.signal, killed.left_out) == (None, "KILL", 99)
    assert status_of(BEGUN, "ended exited 0 success 1.5 running").is_ok


@settings(deadline=None)  # a loaded machine is no bug
@given(
    st.lists(
        st.sampled_from(["active", "boot", "begun", "ended", "size", "left-out", "digest"]).flatmap(
            lambda key: st.text().map(lambda text: f"{key} {text}")
        )
    )
)
def test_whatever_a_node_tells_of_a_unit_is_a_status(lines: list[str]) -> None:
    status = unit_status.parse_status(lines)
    assert isinstance(status.phase, UnitPhase)
    for word in (status.signal, status.reason, status.digest):
        assert "\x1b" not in word


def test_a_node_that_hangs_while_its_connection_stands_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [1000.0]
    monkeypatch.setattr(units.time, "monotonic", lambda: now[0])
    hearing = units._OutputHearer("M", 0, lambda data: None)
    now[0] += 100
    hearing.hear("M still", 0.0)
    now[0] += 100
    assert hearing.why_stop() == ""
    now[0] += 100
    assert hearing.is_silent
    assert "hangs" in hearing.why_stop()


def test_a_node_that_sends_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "MOST_BYTES", 10)
    heard = bytearray()
    hearing = units._OutputHearer("M", 0, heard.extend)
    for at in (0, 6):
        hearing.hear(f"M chunk {at}", 0.0)
        hearing.hear(base64.b64encode(b"sixsix").decode(), 0.0)
    assert hearing.why_stop() == "it sends more output than it can have kept"
    assert bytes(heard) == b"sixsix"


@pytest.mark.parametrize("line", ["chatter " * 100, "M still"])
def test_a_node_that_chatters_without_end_is_cut_off(
    line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(units, "_MOST_CHATTER", 10_000)
    hearing = units._OutputHearer("M", 0, lambda data: None)
    lines = 0
    while not hearing.why_stop():
        hearing.hear(line, 0.0)
        lines += 1
        assert lines < 10_000
    assert hearing.is_broken
    assert hearing.why_stop() == "it sends without end, and it is not output"


def test_chatter_is_not_a_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(units.time, "monotonic", lambda: now[0])
    hearing = units._OutputHearer("M", 0, lambda data: None)
    for _ in range(3):
        now[0] += 50
        hearing.hear("a message to all users", 0.0)
    assert hearing.is_silent


# --- what is sent


def node(runner: FakeRunner) -> Units:
    return Units(runner, PATHS, "node1")


def sent(command: Command) -> str:
    shell = fake_session.parts_of(command)["units"]
    head, *text = shell.splitlines()
    assert head == "base64 -d <<'END-OF-DATA' | sudo -n sh -s"
    return base64.b64decode("".join(text[:-1])).decode()


def test_a_start_is_idempotent_by_name_and_refuses_other_work(fake_runner: FakeRunner) -> None:
    said = f"active active\nboot {BOOT}\ndigest {DIGEST}\n{BEGUN}\nsize 3"
    fake_runner.on("ssh", answer=fake_session.answering({"units": said}))
    assert node(fake_runner).start("work", SCRIPT, limit_s=60).phase is UnitPhase.RUNNING
    text = sent(fake_runner.commands[0])
    assert "\nRuntimeMaxSec=60\n" in text
    assert base64.b64encode(SCRIPT.encode()).decode() in text
    with pytest.raises(CommandFailed, match="node1 has another script under the name work"):
        node(fake_runner).start("work", "echo other")


def test_a_node_that_can_t_do_it_is_told_with_its_words(fake_runner: FakeRunner) -> None:
    said = ("Failed to start\x1b[2J transient unit\n::error::forged", 1)
    fake_runner.on("ssh", answer=fake_session.answering({"units": said}))
    with pytest.raises(CommandFailed) as caught:
        node(fake_runner).start("work", SCRIPT)
    assert caught.value.message == (
        "node1 can't start work: Failed to start transient unit\n    : :error::forged"
    )
    fake_runner.on("ssh", answer=Result(exit_code=255, stderr="Connection refused"))
    with pytest.raises(CommandFailed, match="node1 can't ask for work: refused"):
        node(fake_runner).status("work")


@pytest.mark.parametrize("name", ["", "a b", "../x", "A", "-x", "x" * 50, "a;b"])
def test_a_name_that_would_break_a_script_is_refused(fake_runner: FakeRunner, name: str) -> None:
    for ask in (node(fake_runner).status, node(fake_runner).stop, node(fake_runner).forget):
        with pytest.raises(AssertionError):
            ask(name)
    with pytest.raises(AssertionError):
        node(fake_runner).attach(name, heard=len)
    assert fake_runner.commands == []


@pytest.mark.parametrize(
    "text",
    [
        unit_scripts.start("a", SCRIPT, user="stack", limit_s=5, most_bytes=9),
        unit_scripts.status("a"),
        unit_scripts.stop("a"),
        unit_scripts.forget("a"),
        unit_scripts.attach("a", "M", 7),
        unit_scripts._REST,
        unit_scripts._OVER,
    ],
)
def test_the_scripts_are_shell(text: str) -> None:
    assert not re.search(r"\{[a-z]+\}", text.replace("${", "")), "a field that nobody filled"


# --- attaching


class FakeFollowed(FakeRunner):
    """A node whose unit writes `output`; each session is cut after so many lines."""

    def __init__(self, output: bytes, *, cuts: list[int], chunk: int = 5000) -> None:
        super().__init__()
        self.output = output
        self.cuts = cuts
        self.chunk = chunk
        self.offsets: list[int] = []

    def lines(self, marker: str, offset: int) -> list[str]:
        found = [f"{marker} begin"]
        for at in range(offset, len(self.output), self.chunk):
            piece = self.output[at : at + self.chunk]
            text = base64.b64encode(piece).decode()
            found.append(f"{marker} chunk {at}")
            found += [text[cut : cut + 3000] for cut in range(0, len(text), 3000)]
            found.append(f"{marker} at {at + len(piece)}")
        found += [f"{marker} still", f"{marker} status boot {BOOT}", f"{marker} status {BEGUN}"]
        found += [f"{marker} status ended exited 3 exit-code 1.5 running", f"{marker} end"]
        return found

    def converse(
        self,
        command: Command,
        *,
        heard: Callable[[str, float], None],
        why_stop: Callable[[], str] = lambda: "",
    ) -> Result:
        assert command.argv[-1] == "sudo -n sh -s"
        match = re.search(r"at=(\d+) ", fake_session.script_of(command))
        assert match
        self.offsets.append(int(match[1]))
        lines = self.lines(fake_session.marker_of(command), int(match[1]))
        cut = self.cuts.pop(0) if self.cuts else len(lines)
        for line in ["a banner", *lines[:cut]]:
            heard(line, 0.0)
            if why_stop():
                raise CommandFailed(f"following: ssh was ended: {why_stop()}\n  ssh")
        if cut < len(lines):
            raise CommandFailed(
                "following: ssh ended with 255\n  ssh\n  | Connection reset by peer"
            )
        return Result(exit_code=0)


OUTPUT = bytes(range(256)) * 100


@pytest.mark.parametrize("cut", range(0, 33, 4))
def test_whereever_a_connection_is_cut_no_byte_is_lost_or_repeated(
    cut: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(units, "_AGAIN_S", 0.0)
    runner = FakeFollowed(OUTPUT, cuts=[cut, 3, 1])
    heard = bytearray()
    attached = node(runner).follow("work", heard=heard.extend)
    assert bytes(heard) == OUTPUT
    assert attached.offset == len(OUTPUT)
    assert attached.status is not None
    assert (attached.status.phase, attached.status.exit_code) == (UnitPhase.ENDED, 3)


def test_an_attachment_that_is_cut_tells_how_far_it_came_and_why() -> None:
    runner = FakeFollowed(OUTPUT, cuts=[3])
    attached = node(runner).attach("work", heard=len)
    assert (attached.offset, attached.status, attached.why) == (2250, None, "connection closed")


def test_whoever_follows_gives_up_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "_AGAIN_S", 0.01)
    attached = node(FakeFollowed(OUTPUT, cuts=[1] * 1000)).follow("work", heard=len, patience_s=0.1)
    assert (attached.status, attached.why) == (None, "connection closed")


class FakeChatterer(FakeFollowed):
    """A node that breaks the protocol in each attachment."""

    def lines(self, marker: str, offset: int) -> list[str]:
        return [f"{marker} begin", f"{marker} chunk {offset + 7}"]


def test_a_node_that_breaks_the_protocol_again_and_again_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(units, "_AGAIN_S", 0.0)
    runner = FakeChatterer(OUTPUT, cuts=[])
    attached = node(runner).follow("work", heard=len)
    assert (attached.is_over, attached.is_broken) == (False, True)
    assert attached.why == "its output goes on at byte 7, not 0"
    assert len(runner.offsets) == 3


class FakeEndless(FakeFollowed):
    """A node whose work is never over; each attachment takes a minute and writes a byte."""

    def __init__(self, now: list[float]) -> None:
        super().__init__(b"", cuts=[])
        self.now = now

    def lines(self, marker: str, offset: int) -> list[str]:
        self.now[0] += 60
        data = base64.b64encode(b"x").decode()
        return [f"{marker} begin", f"{marker} chunk {offset}", data, f"{marker} at {offset + 1}"]


def test_work_that_its_node_never_ends_is_followed_until_its_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [1000.0]
    monkeypatch.setattr(units.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(units, "_AGAIN_S", 0.0)
    told: list[float] = []
    attached = node(FakeEndless(now)).follow(
        "work", heard=len, limit_s=600, waiting=lambda _why, waited_s: told.append(waited_s)
    )
    assert not attached.is_over
    assert now[0] == 1600.0
    assert told == [0.0] * 9


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (["M chunk 7"], "its output goes on at byte 7, not 0"),
        (["M chunk 0", "QUJD", "M chunk 0", "QUJD"], "its output goes on at byte 0, not 3"),
        (["M chunk 0", "QUJD", "M at 9"], "its output goes on at byte 9, not 3"),
        (["M chunk 0", "Q" * 3001], "its output is not base64"),
        (["M chunk 0", "\x1b[2J"], "its output is not base64"),
        (["M chunk \x1b[2J0"], "its output goes on at byte 0, not 0"),
        (["M chunk 0", "\u0661"], "its output is not base64"),
    ],
)
def test_a_node_that_does_not_keep_to_the_protocol_is_told_so(lines: list[str], why: str) -> None:
    hearing = units._OutputHearer("M", 0, lambda data: None)
    for line in ["M begin", *lines, "M end"]:
        hearing.hear(line, 0.0)
    assert hearing.why_stop() == why
    assert not hearing.is_complete


def test_output_outside_of_a_chunk_counts_for_nothing() -> None:
    heard = bytearray()
    hearing = units._OutputHearer("M", 0, heard.extend)
    for line in ["QUJD", "M chunk 0", "QUJD", "M at 3", "QUJD", "M status size 3", "QUJD", "M end"]:
        hearing.hear(line, 0.0)
    assert (bytes(heard), hearing.offset, hearing.is_complete) == (b"ABC", 3, True)


def test_what_the_caller_can_t_take_ends_the_session() -> None:
    def stub_full(data: bytes) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        node(FakeFollowed(OUTPUT, cuts=[])).follow("work", heard=stub_full)
