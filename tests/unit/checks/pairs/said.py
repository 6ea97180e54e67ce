"""A healthy node's answer about its peers, and ways to spoil it."""

from __future__ import annotations

from collections.abc import Sequence

from stacklab.checks.family import Facts
from stacklab.checks.pairs import family as pairs
from stacklab.checks.result import Check, CheckKind, CheckResult, CheckStatus, Reason
from stacklab.dev.simulated import simulate
from stacklab.model.lab import Lab
from stacklab.nodes import protocol
from stacklab.process import Command
from tests.unit.checks.fake_lab import make_lab

LAB = make_lab()


CHECKS = tuple(pairs.expected(LAB))


FACTS = Facts()


MARK = "stacklab-0123"


OF_CONTROLLER = tuple(check for check in CHECKS if check.node == "controller")


Key = tuple[CheckKind, str, str]


def script(checks: Sequence[Check], lab: Lab = LAB) -> str:
    node = lab.node(checks[0].node)
    return protocol.render(tuple(pairs.parts(lab, node, checks, FACTS)), MARK)


def healthy(checks: Sequence[Check], lab: Lab = LAB) -> str:
    argv = ("ssh", "--", checks[0].node, "sh -s")
    command = Command(argv=argv, stdin=script(checks, lab).encode())
    return "".join(f"{line}\n" for line in simulate.answer(lab, command))


HEALTHY = "a banner\n" + healthy(OF_CONTROLLER)


def judged(
    text: str, checks: Sequence[Check] = OF_CONTROLLER, lab: Lab = LAB
) -> dict[Key, CheckResult]:
    results = list(pairs.judge(lab, checks, protocol.read(text, MARK), FACTS))
    assert [result.check for result in results] == list(checks)
    return {
        (result.check.kind, result.check.target, result.check.network): result for result in results
    }


def spoilt(old: str, new: str, text: str = HEALTHY) -> dict[Key, CheckResult]:
    assert f"{old}\n" in text, text
    return judged(text.replace(f"{old}\n", f"{new}\n" if new else ""))


def line(tag: str, text: str) -> str:
    return f"{MARK} pairs.{tag} {text}"


def bad(results: dict[Key, CheckResult]) -> dict[Key, tuple[CheckStatus, Reason]]:
    return {
        key: (r.status, r.reason)
        for key, r in results.items()
        if r.status is not CheckStatus.PASSED
    }
