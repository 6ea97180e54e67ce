"""Whatever our streams are: no traceback, no hang, and the exit code that says how it went."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from stacklab.paths.project import PROJECT

Done = subprocess.CompletedProcess[str]
# One of each way to print: rich's table, print(), raw text, and invoke's own.
COMMANDS = ("lab.list", "lab.list --json", "completion bash", "-l", "--help lab.up")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rendering makes passwords, which the user's own labs must not get from a test."""
    monkeypatch.setenv("STACKLAB_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("STACKLAB_LABS", raising=False)


def sh(redirection: str, words: str = "lab.list", **more: str) -> Done:
    """Run `invoke WORDS REDIRECTION` by bash; what it printed is kept as far as it arrives."""
    line = f"{shlex.quote(sys.executable)} -m invoke {words} {redirection}"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=PROJECT,
        env={**os.environ, "NO_COLOR": "1", **more},
        capture_output=True,
        text=True,
        errors="surrogateescape",
        check=False,
        timeout=60,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert "Exception ignored" not in done.stderr, done.stderr
    return done


@pytest.mark.parametrize("words", COMMANDS)
def test_a_reader_that_goes_is_the_exit_code_of_sigpipe(words: str) -> None:
    # `true` has ended long before Python writes its first byte.
    assert sh("| true", words).returncode == 141


@pytest.mark.parametrize("words", COMMANDS)
def test_a_full_disk_behind_stdout_is_said_to_be_just_that(words: str) -> None:
    done = sh("> /dev/full", words)
    assert done.returncode == 9
    assert "stdout can't be written: No space left on device" in done.stderr
    assert "image.prune" not in done.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_closed_streams_are_as_good_as_dev_null(closed: str) -> None:
    assert sh(closed).returncode == 0
    assert sh(closed, "lab.show nosuchlab").returncode == 2


def test_a_full_disk_behind_stderr_leaves_the_exit_code_alone() -> None:
    assert sh("2> /dev/full", "lab.show nosuchlab").returncode == 2
    assert sh("2> /dev/full", "lab.shw").returncode == 1


@pytest.fixture
def labs(tmp_path: Path) -> Path:
    """A directory with a lab whose description not every terminal can show."""
    text = (PROJECT / "labs" / "mini-2node.yaml").read_text()
    text = text.replace("Two nodes on one network", "Laborübung ☃")
    (tmp_path / "snow.yaml").write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("encoding", "shown"), [("ascii", "Labor?bung ?"), ("latin-1", "Labor\udcfcbung ?")]
)
def test_letters_that_the_encoding_lacks_are_replaced(
    labs: Path, encoding: str, shown: str
) -> None:
    for words in ("lab.list", f"lab.show {labs}/snow.yaml"):
        done = sh("", words, PYTHONIOENCODING=encoding, STACKLAB_LABS=str(labs))
        assert done.returncode == 0
        assert shown in done.stdout


def test_a_fifo_in_place_of_a_lab_is_not_waited_for(labs: Path) -> None:
    os.mkfifo(labs / "pipe.yaml")
    for words in (f"lab.validate {labs}/pipe.yaml", f"lab.show {labs}/pipe.yaml"):
        done = sh("", words)
        assert done.returncode == 2
        assert "pipe.yaml:1:1: cannot be read: it is not a regular file" in done.stderr
    assert "lab.validate" not in sh("", f"lab.show {labs}/none.yaml").stderr
    assert sh("", "lab.list", STACKLAB_LABS=str(labs)).returncode == 0


@pytest.mark.parametrize("words", ["lab.graph mini-2node", "answers.render devstack-aio"])
def test_a_file_to_write_that_is_full_is_not_said_to_be_in_a_wrong_place(words: str) -> None:
    done = sh("", f"{words} --out /dev/full")
    assert done.returncode in (1, 9)
    assert done.stderr.startswith("/dev/full: ")
    assert Path("/dev/full").is_char_device()


def test_a_fifo_to_write_that_nobody_reads_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    done = sh("", f"lab.graph mini-2node --out {tmp_path}/pipe")
    assert done.returncode == 1
    assert "nobody reads from this pipe" in done.stderr
    assert "start what reads it first" in done.stderr
