"""Output that is bounded, and streams."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacklab.process import runner
from tests.shims.process.commands import RUNNER, assert_gone, pid_in, sh


def test_of_an_endless_output_the_beginning_is_kept_and_the_rest_is_counted() -> None:
    result = RUNNER.run(sh("yes | head -c 5000000; echo err >&2", most_bytes=1000))
    assert (result.stdout, result.left_out) == ("y\n" * 500, 5_000_000 - 1000)
    assert result.stderr == "err\n(4999000 bytes of its output were left out)\n"
    assert RUNNER.run(sh("echo out")).left_out == 0


def test_of_an_endless_stderr_the_end_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_KEPT_MAX", 1000)
    result = RUNNER.run(sh("yes | head -c 5000000 >&2; printf end >&2"))
    assert len(result.stderr) == 1000
    assert result.stderr.endswith("y\nend")


def test_a_stream_is_handed_out_line_by_line_as_it_came(tmp_path: Path) -> None:
    out: list[bytes] = []
    err: list[bytes] = []
    heard = tmp_path / "heard"

    def take(line: bytes) -> None:
        out.append(line)
        heard.touch()

    # It goes on only once somebody has its first line.
    script = (
        rf"printf 'a\377\r\n'; echo bad >&2; while [ ! -e {heard} ]; do sleep 0.05; done; "
        r"printf 'b\n\nlast'; exit 3"
    )
    command = sh(script, ok_codes=(3,), timeout_s=60)
    result = RUNNER.stream(command, out=take, err=err.append)
    assert out == [b"a\xff\r\n", b"b\n", b"\n", b"last"]
    assert err == [b"bad\n"]
    assert (result.exit_code, result.stdout, result.stderr) == (3, "", "")


def test_a_line_without_end_is_cut_and_the_next_one_is_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner, "_KEPT_MAX", 10)
    out: list[bytes] = []
    script = "yes | tr -d '\\n' | head -c 5000000; echo; echo next"
    RUNNER.stream(sh(script), out=out.append, err=out.append)
    assert out == [b"yyyyyyyyyy (cut off here)\n", b"next\n"]


def test_what_cannot_be_printed_any_more_ends_a_stream(tmp_path: Path) -> None:
    def stub_raises(line: bytes) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        RUNNER.stream(sh(f"echo $$ >{tmp_path}/pid; yes"), out=stub_raises, err=lambda line: None)
    assert_gone(pid_in(tmp_path / "pid"))
