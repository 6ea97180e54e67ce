from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacklab.checks.pairs import verdicts
from stacklab.checks.result import CheckKind, CheckStatus
from tests.unit.checks.pairs.said import CHECKS, HEALTHY, MARK, OF_CONTROLLER, judged, line


def test_an_answer_cut_anywhere_never_fails_a_check_nor_passes_them_all() -> None:
    whole = len(HEALTHY) - len(f"{MARK} end\n")
    for length in range(len(HEALTHY)):
        statuses = {result.status for result in judged(HEALTHY[:length]).values()}
        assert CheckStatus.FAILED not in statuses, length
        # the last part's end may be missing, and all that it had to say is there
        assert length >= whole - 100 or CheckStatus.ERROR in statuses, length


def test_a_size_that_was_to_be_tried_again_is_no_failure() -> None:
    text = HEALTHY.replace("10.20.0.12 : 0.6", "10.20.0.12 : -").replace(
        "10.10.0.12 : 0.6", "10.10.0.12 : -"
    )
    text = text[: text.index(line("ping", "= 0"))]
    for network in ("net0", "net1"):
        assert judged(text)[CheckKind.MTU, "compute1", network].status is CheckStatus.ERROR


@settings(deadline=None)  # a loaded machine is no bug
@given(st.text())
def test_garbage_is_an_error_and_never_raises(text: str) -> None:
    assert {result.status for result in judged(text).values()} == {CheckStatus.ERROR}


PIECES = [
    *HEALTHY.splitlines(keepends=True),
    MARK,
    " ",
    "\n",
    "fping",
    "255",
    "\0",
    line("names", "codes 1 1 99999\n"),
]


@settings(deadline=None)  # a loaded machine is no bug
@given(st.lists(st.sampled_from(PIECES)))
def test_shuffled_pieces_of_an_answer_never_raise(pieces: list[str]) -> None:
    assert len(judged("".join(pieces))) == len(OF_CONTROLLER)


@settings(deadline=None)  # a loaded machine is no bug
@given(
    st.sampled_from(["ping", "source", "names", "logins"]),
    st.text(alphabet=st.characters(codec="utf-8")),
)
def test_no_word_in_a_part_makes_the_judge_raise(tag: str, text: str) -> None:
    lines = "".join(f"{line(tag, each)}\n" for each in text.splitlines())
    judged(f"{MARK} begin\n{lines}{line(tag, '= 0')}\n{MARK} end\n")


@pytest.mark.parametrize("kind", sorted({check.kind for check in CHECKS}))
def test_every_check_says_what_to_type_again(kind: CheckKind) -> None:
    check = next(check for check in CHECKS if check.kind is kind)
    typed = verdicts.command_line(check)
    assert check.address in typed or check.target in typed
    assert "\n" not in typed
