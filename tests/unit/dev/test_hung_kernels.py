"""A live test of VMs is run once more only if a console tells of a kernel that hung meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live.hung_kernels import Consoles

LOCKUP = "[  380.947178] watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [bash:1442]\n"


@pytest.fixture
def console(tmp_path: Path) -> Path:
    path = tmp_path / "labs" / "lab" / "logs" / "node1.console.log"
    path.parent.mkdir(parents=True)
    path.write_text("[    0.000000] Linux version 6.1\n")
    return path


@pytest.mark.parametrize(
    "line",
    [
        LOCKUP,
        "[   40.2] rcu: INFO: rcu_preempt self-detected stall on CPU\n",
        "[    1.2] Kernel panic - not syncing: IO-APIC + timer doesn't work!\n",
    ],
)
def test_a_hang_is_told_if_it_came_after_the_test_began(
    tmp_path: Path, console: Path, line: str
) -> None:
    consoles = Consoles(tmp_path)
    consoles.begin()
    assert not consoles.tell_of_a_hang()
    with console.open("a") as stream:
        stream.write(line)
    assert consoles.tell_of_a_hang()
    consoles.begin()
    assert not consoles.tell_of_a_hang(), "the next test did not see it"


def test_a_node_that_was_made_again_has_a_console_of_its_own(tmp_path: Path, console: Path) -> None:
    console.write_text(LOCKUP)
    consoles = Consoles(tmp_path)
    consoles.begin()
    again = console.with_name("again")
    again.write_text(LOCKUP)
    again.rename(console)
    assert consoles.tell_of_a_hang()


def test_a_node_that_lab_up_reset_had_hung(tmp_path: Path, console: Path) -> None:
    consoles = Consoles(tmp_path)
    consoles.read("controller: its kernel hangs (nothing on the console for 90 s): resetting it")
    assert consoles.tell_of_a_hang()
    consoles.begin()
    consoles.read("controller: waiting for ssh")
    assert not consoles.tell_of_a_hang()


def test_a_lab_that_is_gone_hung_nowhere(tmp_path: Path, console: Path) -> None:
    consoles = Consoles(tmp_path)
    consoles.begin()
    console.unlink()
    assert not consoles.tell_of_a_hang()
