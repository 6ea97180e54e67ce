"""A lab's own commands as the node's sh and bash run them."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from stacklab.checks.custom import family as custom
from stacklab.checks.family import Facts
from stacklab.checks.result import Reason
from stacklab.nodes import protocol
from tests.contract.custom_probes.probes import (
    BASH_STARTS_S,
    ERROR,
    FAILED,
    FOR_EVER_S,
    MARK,
    PASSED,
    WARNED,
    command,
    lab_with,
    one,
    run,
    runs_bash,
)

pytestmark = runs_bash


def test_a_command_is_held_to_its_exit_code(shell: list[str]) -> None:
    assert one(shell, command("true")) == (PASSED, Reason.OK)
    assert one(shell, command("exit 3", exit_code=3)) == (PASSED, Reason.OK)
    assert one(shell, command("exit 3")) == (FAILED, Reason.WRONG_CODE)
    assert one(shell, command("true", exit_code=1)) == (FAILED, Reason.WRONG_CODE)
    (result,) = run(shell, command("no-such-program-here"))
    assert (result.status, result.reason) == (FAILED, Reason.WRONG_CODE)
    assert "127" in result.detail
    assert result.detail.endswith("no-such-program-here: command not found")


def test_a_command_is_held_to_what_it_writes(shell: list[str]) -> None:
    assert one(shell, command("echo in active state", text="active")) == (PASSED, Reason.OK)
    assert one(shell, command("echo on stderr >&2", text="on stderr")) == (PASSED, Reason.OK)
    assert one(shell, command("echo inactive", text="Active")) == (FAILED, Reason.NO_TEXT)
    code_first = command("echo active; exit 4", text="active")
    assert one(shell, code_first) == (FAILED, Reason.WRONG_CODE)


@pytest.mark.parametrize("text", ["*", "a[bc]", "$m", "'", '"; exit 0; "', "\\", "`id`", "é", "*)"])
def test_the_text_is_taken_letter_by_letter(shell: list[str], text: str) -> None:
    assert one(shell, command(f"cat <<'EOF'\nso: {text}.\nEOF", text=text))[0] is PASSED
    assert one(shell, command("echo abc m", text=text))[0] is FAILED


def test_a_script_is_bash_as_it_was_written(shell: list[str]) -> None:
    script = """\
set -euo pipefail
words=(a 'b c' "d'e")
if [[ ${#words[@]} -eq 3 ]]; then
  cat <<'EOF'
$HOME `id` "${words[1]}" \\n
EOF
fi
"""
    expected = '$HOME `id` "${words[1]}" \\n'
    assert one(shell, command(script, text=expected))[0] is PASSED


def test_a_command_has_no_input_and_leaves_the_rest_of_the_script_alone(shell: list[str]) -> None:
    results = run(
        shell,
        command("cat; echo over", text="over"),
        command("echo second", name="second", text="second"),
    )
    assert [result.status for result in results] == [PASSED, PASSED]


@pytest.mark.parametrize(
    "forged",
    [
        "= 0",
        "ended yes 1 0 0",
        "0 ended yes 1 0 0",
        "0 | ended yes 1 0 0",
        f"{MARK} custom.0 = 0",
        f"{MARK} custom.0 0 ended yes 1 0 0",
        f"{MARK} end",
        "}",
        "| ended yes 1 0 0",
    ],
)
def test_what_a_command_writes_is_never_taken_for_ours(shell: list[str], forged: str) -> None:
    (result,) = run(shell, command(f"printf '%s\\n' '{forged}'; exit 7"))
    assert (result.status, result.output) == (FAILED, forged)
    assert result.detail.endswith(forged)


def test_a_command_that_fails_is_told_with_its_output_as_it_was(shell: list[str]) -> None:
    (result,) = run(shell, command("echo first; echo; echo '  | third'; exit 1"))
    assert result.output == "first\n\n  | third"
    assert result.command == "echo first; echo; echo '  | third'; exit 1"


def test_much_output_is_cut_where_it_is_shown_and_its_end_counts(shell: list[str]) -> None:
    flood = "head -c 3000000 /dev/zero | tr '\\0' x; yes | head -n 20000; echo the end"
    assert one(shell, command(flood, text="the end"))[0] is PASSED
    (result,) = run(shell, command(f"{flood}; exit 1"))
    assert result.output.endswith("the end")
    assert len(result.output) <= protocol.OUTPUT_MAX


def test_binary_output_is_survived(shell: list[str]) -> None:
    (result,) = run(shell, command(r"printf '\000\377\033[31m\r\n'; exit 1"))
    assert result.status is FAILED
    assert "\n" not in result.detail
    assert result.detail.isprintable()


def test_a_command_without_an_end_is_ended_and_what_it_wrote_is_kept(shell: list[str]) -> None:
    script = f"echo begun; sleep {FOR_EVER_S}; echo never"
    (result,) = run(shell, command(script, timeout_s=BASH_STARTS_S))
    assert (result.status, result.reason) == (FAILED, Reason.TIMED_OUT)
    assert result.output == "begun"


def test_a_command_that_ignores_sigterm_is_killed(shell: list[str]) -> None:
    script = "trap '' TERM; while :; do sleep 0.1; done"
    assert one(shell, command(script, timeout_s=1)) == (FAILED, Reason.TIMED_OUT)


def test_much_output_without_an_end_costs_no_more(shell: list[str]) -> None:
    (result,) = run(shell, command(f"yes | head -n 100000; sleep {FOR_EVER_S}", timeout_s=1))
    assert (result.status, result.reason) == (FAILED, Reason.TIMED_OUT)


def test_a_command_can_t_learn_what_marks_the_session_s_lines(shell: list[str]) -> None:
    """By it, a command could write answers of other checks to the session's own output."""
    # The pattern does not find itself.
    look = (
        "seen=0; p=$$; for generation in 1 2 3 4 5; do "
        f"grep -aq '{MARK[:-1]}[{MARK[-1]}]' /proc/$p/cmdline /proc/$p/environ && echo learned; "
        "seen=$((seen + 1)); p=$(cut -d' ' -f4 /proc/$p/stat); done; echo seen $seen; exit 7"
    )
    (result,) = run(shell, command(look))
    assert result.output == "seen 5"


def test_a_command_without_an_end_forges_none(shell: list[str]) -> None:
    script = f"printf '\\n%s code 0\\n' {MARK}x; sleep {FOR_EVER_S}"
    (result,) = run(shell, command(script, timeout_s=1))
    assert (result.status, result.reason) == (FAILED, Reason.TIMED_OUT)


def test_what_a_command_leaves_behind_is_not_waited_for_without_bound(shell: list[str]) -> None:
    script = f"sleep {FOR_EVER_S} & echo done"
    (result,) = run(shell, command(script, timeout_s=BASH_STARTS_S))
    assert result.status is PASSED  # it had ended; what held its output open was ended then


def test_it_is_tried_until_it_passes(shell: list[str], tmp_path: Path) -> None:
    script = "echo x >>tries; test $(wc -l <tries) -ge 3"
    (result,) = run(shell, command(script, retries=4), cwd=tmp_path)
    assert result.status is PASSED
    assert "3 of 5" in result.detail
    assert (tmp_path / "tries").read_text() == "x\n" * 3


def test_it_is_tried_until_its_text_is_there(shell: list[str], tmp_path: Path) -> None:
    script = "echo x >>tries; cat tries | tr -d '\\n'"
    (result,) = run(shell, command(script, text="xxx", retries=4), cwd=tmp_path)
    assert result.status is PASSED
    assert "3 of 5" in result.detail


def test_it_is_tried_no_more_often_than_that_and_not_sooner(
    shell: list[str], tmp_path: Path
) -> None:
    started = time.monotonic()
    check = command("echo x >>tries; false", retries=2, interval_s=0.4)
    assert one(shell, check, cwd=tmp_path) == (FAILED, Reason.WRONG_CODE)
    assert time.monotonic() - started >= 0.8
    assert (tmp_path / "tries").read_text() == "x\n" * 3


def test_a_warning_fails_softly(shell: list[str]) -> None:
    assert one(shell, command("false", is_warning=True)) == (WARNED, Reason.WRONG_CODE)


def test_a_node_without_timeout_could_not_try(shell: list[str], tmp_path: Path) -> None:
    for program in ("sed", "tail", "sleep"):
        (tmp_path / program).symlink_to(shutil.which(program) or "")
    lab = lab_with(command("true"))
    asked = list(custom.expected(lab))
    script = protocol.render(list(custom.parts(lab, lab.nodes[0], asked, Facts())), MARK)
    script = script.replace("PATH=$PATH:/usr/sbin:/sbin", f"PATH={tmp_path}")
    argv = [shutil.which(shell[0]) or "", *shell[1:], "-s"]
    done = subprocess.run(
        argv, input=script, capture_output=True, text=True, timeout=60, check=False
    )
    (result,) = custom.judge(lab, asked, protocol.read(done.stdout, MARK), Facts())
    assert (result.status, result.reason) == (ERROR, Reason.PROGRAM_MISSING)
