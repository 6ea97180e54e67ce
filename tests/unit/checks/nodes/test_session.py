from __future__ import annotations

import pytest

from stacklab.checks.family import Facts
from stacklab.checks.nodes import family as nodes
from stacklab.checks.result import Check, CheckKind, CheckStatus, Reason
from stacklab.nodes.protocol import Answer, Said
from tests.unit.checks.nodes.said import ERROR, FAILED, LAB, PASSED

# user, host name


def one(kind: CheckKind, tag: str, *lines: str, code: int | None = 0) -> tuple[CheckStatus, Reason]:
    answer = Answer(is_begun=True, said={tag: Said(lines=lines, code=code)})
    (result,) = nodes.judge(LAB, [Check(kind=kind, node="controller")], answer, Facts())
    return result.status, result.reason


@pytest.mark.parametrize(
    ("lines", "status", "reason"),
    [
        (("stack", "sudo 0"), PASSED, Reason.OK),
        (("root", "sudo 0"), FAILED, Reason.WRONG_USER),
        (
            ("stack", "sudo: a password is required", "sudo 1"),
            FAILED,
            Reason.NO_SUDO,
        ),
        (("stack", "sudo 1"), FAILED, Reason.NO_SUDO),
        (
            ("stack", "timeout: failed to run command 'sudo'", "sudo 127"),
            FAILED,
            Reason.NO_SUDO,
        ),
        (("stack", "sudo 124"), FAILED, Reason.NO_SUDO),
        ((), FAILED, Reason.WRONG_USER),
    ],
)
def test_the_user(lines: tuple[str, ...], status: CheckStatus, reason: Reason) -> None:
    assert one(CheckKind.USER, "nodes.user", *lines) == (status, reason)


def test_sudo_may_complain_of_a_name_that_does_not_resolve_and_work_all_the_same() -> None:
    said = ("stack", "sudo: unable to resolve host controller: Name or service not known", "sudo 0")
    assert one(CheckKind.USER, "nodes.user", *said)[0] is PASSED


def test_a_user_that_was_cut_off_is_an_error() -> None:
    assert one(CheckKind.USER, "nodes.user", "stack", code=None)[0] is ERROR


@pytest.mark.parametrize(
    ("name", "status"),
    [("controller", PASSED), ("controller.example.org", PASSED), ("debian", FAILED)],
)
def test_the_host_name(name: str, status: CheckStatus) -> None:
    assert one(CheckKind.HOSTNAME, "nodes.hostname", name)[0] is status
