"""./invoke on a machine that has every package: the venv, its arguments, and who makes it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.shims.wrapper_world import World


def test_the_arguments_reach_the_venvs_invoke_untouched(world: World) -> None:
    done = world.invoke("lab.exec", "a lab", "--", "ls *")
    assert done.returncode == 0, done.stderr
    assert (
        done.stdout
        == f"invoke in {world.root}: --search-root {world.checkout} lab.exec a lab -- ls *\n"
    )


def test_it_stays_in_the_directory_that_it_was_called_in(world: World, tmp_path: Path) -> None:
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    assert (
        f"invoke in {elsewhere}: --search-root {world.checkout}"
        in world.invoke("x", cwd=elsewhere).stdout
    )


def test_requirements_are_installed_with_hashes_and_build_tools_first(world: World) -> None:
    world.invoke()
    build, everything, itself = world.calls_of("pip")
    assert "--require-hashes -r" in build
    assert build.endswith("build.txt")
    assert "--require-hashes --no-build-isolation -r" in everything
    assert everything.endswith("all.txt")
    assert itself.endswith(f"--no-deps --no-build-isolation --editable {world.checkout}"), (
        "for its pytest plug-in"
    )


def test_the_second_start_does_nothing_but_start(world: World) -> None:
    world.invoke()
    calls = world.calls
    started = time.monotonic()
    again = world.invoke("x")
    print(f"second start: {(time.monotonic() - started) * 1000:.0f} ms")
    assert (again.returncode, again.stderr, world.calls) == (0, "", calls)


def test_changed_requirements_make_the_venv_anew(world: World) -> None:
    world.invoke()
    (world.checkout / "requirements/all.txt").write_text("rich==15.0.1\n")
    world.invoke()
    assert len(world.calls_of("venv")) == 2


@pytest.mark.parametrize("harm", ["bin/invoke", "bin/python"])
def test_a_broken_venv_is_noticed_and_made_anew(world: World, harm: str) -> None:
    world.invoke()
    (world.checkout / ".venv" / harm).unlink()
    assert world.invoke().returncode == 0
    assert len(world.calls_of("venv")) == 2


def test_a_moved_checkout_makes_its_venv_anew(world: World) -> None:
    world.invoke()
    moved = world.root / "moved"
    world.checkout.rename(moved)
    done = subprocess.run(
        [str(moved / "invoke")], env=world.environment, capture_output=True, text=True, check=False
    )
    assert f"--search-root {moved}" in done.stdout
    assert len(world.calls_of("venv")) == 2


@pytest.mark.parametrize(
    "name",
    ["blank behind ", " blank before", "two\nlines", "newline behind\n", "tab\t", "it's", "-x"],
)
def test_any_directory_has_its_venv_made_once(world: World, name: str) -> None:
    moved = world.root / name
    world.checkout.rename(moved)
    for _ in range(2):
        argv = [str(moved / "invoke"), "x"]
        done = subprocess.run(
            argv, env=world.environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.stdout == f"invoke in {Path.cwd()}: --search-root {moved} x\n", done.stderr
    assert sum(call.startswith("venv ") for call in world.calls) == 1


def test_a_killed_set_up_is_done_again(world: World) -> None:
    world.note("venv-hangs")
    cut = subprocess.Popen(
        [str(world.checkout / "invoke")],
        env=world.environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not (world.root / "venv-started").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(cut.pid, signal.SIGKILL)
    cut.wait()
    (world.root / "venv-hangs").unlink()
    assert world.invoke("x").returncode == 0
    assert len(world.calls_of("venv")) == 2


def test_two_at_once_set_up_once(world: World) -> None:
    world.note("pip-slow")
    both = [
        subprocess.Popen(
            [str(world.checkout / "invoke"), "x"],
            env=world.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    told = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("waiting for it" in err for _, err in told) == 1
    assert len(world.calls_of("venv")) == 1


def test_a_failing_pip_shows_the_logs_end_and_the_next_step(world: World) -> None:
    world.note("pip-fails")
    done = world.invoke("x")
    assert done.returncode == 3
    assert "  | hashes do not match" in done.stderr
    assert done.stderr.count("  | ") == 15
    assert f"log: {world.checkout}/reports/setup.log" in done.stderr
    assert "next: look at the log" in done.stderr
    (world.root / "pip-fails").unlink()
    assert world.invoke("x").returncode == 0
