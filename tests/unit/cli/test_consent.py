"""Whoever types lab.up on a terminal is asked before a node is interrupted."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from stacklab.cli import consent
from stacklab.errors import LabError
from stacklab.workflow.lab.changes.refusing import Consent, SpecChanged
from stacklab.workflow.lab.plan import changes_of
from tests.unit.workflow.fake_host import FakeHost, host
from tests.unit.workflow.lab.changing import GROWN, LAB, MORE_MEMORY, SHRUNK, disk_info

__all__ = ["host"]


class Terminal:
    """A person at a terminal, who reads and answers."""

    def __init__(self, patch: pytest.MonkeyPatch, host: FakeHost) -> None:
        self.questions: list[str] = []
        self.answer = "y"
        self.is_there = True
        patch.setattr(consent, "_is_terminal", lambda: self.is_there)
        patch.setattr(builtins, "input", self._ask)

        @contextmanager
        def session() -> Iterator[object]:
            yield host.context

        patch.setattr(consent, "session", session)

    def _ask(self, question: str) -> str:
        self.questions.append(question)
        return self.answer


@pytest.fixture
def terminal(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    host.runner.on("qemu-img", "info", answer=disk_info)
    host.up()
    return Terminal(monkeypatch, host)


def test_what_is_new_is_shown_and_not_asked_about(
    terminal: Terminal, capsys: pytest.CaptureFixture[str]
) -> None:
    assert consent.ask(GROWN, None, removes=False, agrees=False) == Consent()
    assert "compute3" in capsys.readouterr().out
    assert consent.ask(LAB, None, removes=False, agrees=False) == Consent()
    assert capsys.readouterr().out == ""
    assert terminal.questions == []


def test_yes_is_for_what_was_shown(
    terminal: Terminal, host: FakeHost, capsys: pytest.CaptureFixture[str]
) -> None:
    given = consent.ask(MORE_MEMORY, None, removes=False, agrees=False)
    assert terminal.questions == ["Reboot compute1? [y/N] "]
    assert "memory 1GiB -> 2GiB" in capsys.readouterr().out
    assert given == Consent(to=changes_of(host.context, MORE_MEMORY))
    host.up(MORE_MEMORY, consent=given)
    assert host.ups[1:] == [("compute1",)]
    with pytest.raises(SpecChanged):
        host.up(SHRUNK, consent=given)


@pytest.mark.parametrize("answer", ["", "n", "what?"])
def test_all_else_is_no(terminal: Terminal, answer: str) -> None:
    terminal.answer = answer
    with pytest.raises(LabError, match="nothing was changed"):
        consent.ask(MORE_MEMORY, None, removes=False, agrees=False)


def test_what_would_be_refused_in_any_case_is_not_asked_about(terminal: Terminal) -> None:
    with pytest.raises(SpecChanged, match="lacks nodes that exist: compute2"):
        consent.ask(SHRUNK, None, removes=False, agrees=False)
    assert terminal.questions == []
    given = consent.ask(SHRUNK, None, removes=True, agrees=False)
    assert given.removes
    assert terminal.questions == ["Remove compute2? [y/N] "]


def test_whoever_has_agreed_and_who_cannot_answer_is_not_asked(terminal: Terminal) -> None:
    given = consent.ask(MORE_MEMORY, None, removes=False, agrees=True)
    assert given == Consent(to_all=True)
    terminal.is_there = False
    assert consent.ask(MORE_MEMORY, None, removes=False, agrees=False) == Consent()
    assert terminal.questions == []
