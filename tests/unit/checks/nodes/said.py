"""Answers of a node about itself, and what the family makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stacklab.checks.family import Facts
from stacklab.checks.nodes import family as nodes
from stacklab.checks.result import CheckKind, CheckResult, CheckStatus, Reason
from stacklab.dev.simulated import nodes as nodes_simulated
from stacklab.model.lab import Lab
from stacklab.nodes.protocol import Answer, Said
from tests.unit.checks.fake_lab import make_lab

LAB = make_lab()


NODE = LAB.node("controller")


NOW = 1_800_000_000.0


PASSED, WARNED, FAILED, ERROR = (
    CheckStatus.PASSED,
    CheckStatus.WARNED,
    CheckStatus.FAILED,
    CheckStatus.ERROR,
)


MAC0, MAC1 = (nic.mac for nic in NODE.nics)


# text that a healthy node says -> what this one says instead
Changes = Mapping[str, str]


def lines_of(lab: Lab = LAB, changes: Changes | None = None) -> list[str]:
    """What the controller says; every change must change something."""
    text = "\n".join(nodes_simulated.look(lab, lab.node("controller"), ""))
    for old, new in (changes or {}).items():
        assert old in text, old
        text = text.replace(old, new)
    return text.splitlines()


def answer_of(lines: Sequence[str], code: int | None = 0, **more: Said) -> Answer:
    said = {"nodes.look": Said(lines=tuple(lines), code=code, heard_at=NOW)}
    return Answer(is_begun=True, is_complete=code is not None, said=said | more)


def judged(answer: Answer, lab: Lab = LAB) -> dict[tuple[CheckKind, str], CheckResult]:
    checks = [check for check in nodes.expected(lab) if check.node == "controller"]
    return {(r.check.kind, r.check.device): r for r in nodes.judge(lab, checks, answer, Facts())}


def said(
    kind: CheckKind, changes: Changes, device: str = "", lab: Lab = LAB
) -> tuple[CheckStatus, Reason]:
    result = judged(answer_of(lines_of(lab, changes)), lab)[kind, device]
    assert bool(result.command) == (result.status is not PASSED), (
        "a failure says what to type again, a pass nothing"
    )
    assert bool(result.output) <= (result.status is not PASSED), "a pass keeps no output"
    return result.status, result.reason


def nic(changes: Changes, device: str = "eth1") -> tuple[CheckStatus, Reason]:
    return said(CheckKind.NIC, changes, device)
