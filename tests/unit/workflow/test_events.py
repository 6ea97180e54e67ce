from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from stacklab.errors import HostError
from stacklab.paths import HostPaths, LabPaths
from stacklab.progress import Progress
from stacklab.workflow import events
from tests.unit.providers.libvirt.fake_libvirt import FakeListener


@pytest.fixture
def paths(tmp_path: Path) -> LabPaths:
    found = HostPaths(tmp_path).lab("trio")
    found.root.mkdir(parents=True)
    found.record.touch()
    return found


def told(paths: LabPaths) -> list[str]:
    """The events without their times and processes, which are checked."""
    lines = paths.events.read_text().splitlines()
    heads = [re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \[\d+\] |    ", line) for line in lines]
    assert all(heads), lines
    return [
        re.sub(r"\d+\.\d s", "N s", line[len(head[0]) :])
        for line, head in zip(lines, heads, strict=True)
        if head
    ]


def test_a_command_s_stages_and_notes_are_written_and_handed_on(paths: LabPaths) -> None:
    listener = FakeListener()
    with events.recorded(paths, "lab.up trio", listener) as log:
        progress = Progress(log)
        with progress.stage("host", "vagrant"):
            progress.say("host", "too often to be kept")
        progress.note("compute1", "its kernel panicked: resetting it, 1 of 2")
    assert told(paths) == [
        "lab.up trio begins",
        "host: vagrant",
        "host: vagrant done in N s",
        "compute1: its kernel panicked: resetting it, 1 of 2",
        "lab.up trio done in N s",
    ]
    assert [text for _, text in listener.heard] == [
        "vagrant",
        "too often to be kept",
        "vagrant ended",
        "its kernel panicked: resetting it, 1 of 2",
    ]


def test_how_a_command_failed_is_written_and_raised_on(paths: LabPaths) -> None:
    with (
        pytest.raises(HostError),
        events.recorded(paths, "lab.up trio", None) as log,
        Progress(log).stage("h", "s"),
    ):
        raise HostError("no room\n  more of it", hint="df -h")
    assert told(paths)[-2:] == ["lab.up trio failed after N s: no room", "  more of it"]
    assert told(paths)[2] == "h: s failed after N s: no room"
    with pytest.raises(KeyboardInterrupt), events.recorded(paths, "lab.check trio", None):
        raise KeyboardInterrupt
    assert told(paths)[-1] == "lab.check trio failed after N s: KeyboardInterrupt"


def test_what_happened_before_there_was_a_lab_is_written_once_there_is_one(paths: LabPaths) -> None:
    paths.record.unlink()
    with events.recorded(paths, "lab.up trio", None) as log:
        log.noted("host", "accelerator: TCG")
        assert not paths.logs.exists(), "a lab that never comes to be leaves nothing"
        paths.record.touch()
    assert told(paths) == [
        "lab.up trio begins",
        "host: accelerator: TCG",
        "lab.up trio done in N s",
    ]


def test_a_lab_that_was_destroyed_does_not_come_back_as_a_log(paths: LabPaths) -> None:
    with events.recorded(paths, "lab.destroy trio", None):
        shutil.rmtree(paths.root)
    assert not paths.root.exists()


def test_a_log_that_cannot_be_written_fails_no_command(paths: LabPaths) -> None:
    paths.logs.write_text("no directory")
    with events.recorded(paths, "lab.up trio", None):
        pass


def test_a_long_log_is_put_aside_once(paths: LabPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_MOST_BYTES", 100)
    for number in range(5):
        with events.recorded(paths, f"lab.check {number}", None):
            pass
    sizes = {path.name: path.stat().st_size for path in paths.logs.iterdir()}
    assert set(sizes) == {"events.log", "events.log.1"}
    assert max(sizes.values()) < 250
    assert told(paths)[-1] == "lab.check 4 done in N s"
    assert paths.events.stat().st_mode & 0o777 == 0o600


def test_what_a_node_said_forges_no_event_and_moves_no_cursor(paths: LabPaths) -> None:
    odd = "said \x1b[2J\x1b]0;t\x07\r2026-01-01T00:00:00Z [1] forged\x85\u2028\u202ex\ttab\nnext"
    log = events.EventLog(paths)
    log.noted("compute1", odd)
    with pytest.raises(HostError), events.recorded(paths, "lab.up trio", None):
        raise HostError(odd)
    text = paths.events.read_text()
    assert all(c.isprintable() or c == "\n" for c in text)
    assert text.count("\n") == len(text.splitlines()) == len(told(paths))
    assert sum(not line.startswith("    ") for line in text.splitlines()) == 3
    assert "forged" in text


def test_an_endless_message_is_cut(paths: LabPaths) -> None:
    log = events.EventLog(paths)
    log.write("x" * 10_000_000)
    assert paths.events.stat().st_size < 20_000


def test_a_link_that_somebody_planted_is_not_written_through(
    paths: LabPaths, tmp_path: Path
) -> None:
    (tmp_path / "passwd").write_text("root\n")
    paths.logs.mkdir()
    paths.events.symlink_to(tmp_path / "passwd")
    with events.recorded(paths, "lab.check trio", None):
        pass
    assert (tmp_path / "passwd").read_text() == "root\n"


@pytest.mark.parametrize(
    ("title", "is_written"),
    [
        ("lab.up trio", True),
        ("lab.reap", False),
        ("image.build trio", False),
        ("lab.up ..", False),
        ("", False),
    ],
)
def test_a_session_s_title_tells_whose_log_it_belongs_to(
    paths: LabPaths, title: str, is_written: bool
) -> None:
    listener = FakeListener()
    with events.for_title(paths.host, title, listener) as log:
        assert log is not None
        log.noted("host", "text")
    assert paths.events.exists() is is_written
    assert listener.heard == [("host", "text")]
