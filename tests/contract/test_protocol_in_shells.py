"""The script that a node is sent, as its own sh runs it.

Whatever the parts write, and whoever listens.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from stacklab import spec
from stacklab.checks import plan
from stacklab.checks.custom import family as custom
from stacklab.checks.family import Facts
from stacklab.checks.pairs import read as pairs_read
from stacklab.checks.pairs import shell as pairs_shell
from stacklab.dev.simulated import outside as outside_simulated
from stacklab.nodes import protocol
from stacklab.nodes.protocol import Part
from stacklab.paths.project import PROJECT
from tests.contract.custom_probes.probes import command, lab_with

MARK = "stacklab-contract"
SHELLS = [shell for shell in (["dash"], ["bash", "--posix"]) if shutil.which(shell[0])]
FILES = sorted((*PROJECT.glob("labs/*.yaml"), *PROJECT.glob("tests/specs/good/*.yaml")))


@pytest.fixture(params=SHELLS, ids=lambda shell: shell[0])
def shell(request: pytest.FixtureRequest) -> list[str]:
    found: list[str] = request.param
    return found


def test_long_lines_of_parts_side_by_side_stay_apart(shell: list[str]) -> None:
    """They did not: bash writes 4096 bytes at a time, and lost another part's end in between."""
    long = "i=0; l=$(printf '%020000d' 7); while [ $i -lt 100 ]; do echo $l; i=$((i + 1)); done"
    short = "i=0; while [ $i -lt 1000 ]; do echo line $i; i=$((i + 1)); done"
    parts = [Part(tag="a", shell=long), Part(tag="b", shell=short), Part(tag="c", shell=long)]
    script = protocol.render(parts, MARK).encode()
    done = subprocess.run(
        [*shell, "-s"], input=script, capture_output=True, timeout=60, check=False
    )
    answer = protocol.read(done.stdout.decode(), MARK)
    assert answer.of("b").lines == tuple(f"line {number}" for number in range(1000))
    for tag in ("a", "c"):
        assert answer.of(tag).code == 0
        assert len(answer.of(tag).lines) == 100
        assert len(set(answer.of(tag).lines)) == 1


def test_a_check_of_a_lab_s_own_ends_soon_after_its_session(
    shell: list[str], tmp_path: Path
) -> None:
    """It did not: a node went on trying, for an hour or more, what nobody waited for any longer."""
    counter = tmp_path / "tries"
    lab = lab_with(command(f"echo >>{counter}; false", retries=99, interval_s=0.1))
    parts = list(custom.parts(lab, lab.nodes[0], list(custom.expected(lab)), Facts()))
    with subprocess.Popen(
        [*shell, "-s"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        assert run.stdin
        assert run.stdout
        run.stdin.write(protocol.render(parts, MARK).encode())
        run.stdin.close()
        while not counter.is_file():
            time.sleep(0.01)
        run.stdout.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(30)
        tries = counter.stat().st_size
        assert tries < 40
        time.sleep(0.5)
        assert counter.stat().st_size == tries


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_nodes_are_sent_is_a_script(shell: list[str], path: Path) -> None:
    """One part that is none would take all others along."""
    lab = spec.load(path)
    facts, checks = outside_simulated.facts(lab), plan.expected(lab)
    for node in lab.nodes:
        own = [check for check in checks if check.node == node.name]
        script = protocol.render(plan.FAMILIES.parts(lab, node, own, facts), MARK).encode()
        done = subprocess.run(
            [*shell, "-n"], input=script, capture_output=True, timeout=60, check=False
        )
        assert (done.returncode, done.stderr) == (0, b"")


def test_a_peer_whose_profile_has_much_to_say_is_reached_all_the_same(
    shell: list[str], tmp_path: Path
) -> None:
    told = "printf '%020000d\\n' 7; echo reached 10.10.0.11 40000 10.10.0.12 22"
    for name, body in (("ssh", told), ("fping", "exit 0")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    script = protocol.render(
        [pairs_shell.login_part([("compute1", "10.10.0.12")], [], 0.0)], MARK
    ).encode()
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(
        [*shell, "-s"], input=script, capture_output=True, timeout=60, check=False, env=environment
    )
    said = protocol.read(done.stdout.decode(), MARK).of(pairs_shell.LOGINS)
    assert pairs_read.LoginAnswers.read(said.lines).reached("compute1") == "10.10.0.12"
