"""The journal: what it tells after any crash, and that it only grows."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacklab.stages.journal import Event, History, How, Journal, Line


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "stack" / "journal.jsonl")


def whole(journal: Journal) -> bytes:
    return journal._path.read_bytes()


def write_attempt(journal: Journal, stage: str, how: How | None, *, node: str = "a") -> None:
    journal.write(Line(event=Event.BEGAN, at=1.0, stage=stage, digest="d1"))
    journal.write(
        Line(event=Event.STEP, at=2.0, stage=stage, step=1, title="t", node=node, unit="u")
    )
    if how is None:
        return
    journal.write(Line(event=Event.STEP_DONE, at=3.0, stage=stage, step=1))
    journal.write(Line(event=Event.ENDED, at=4.0, stage=stage, how=how, elapsed_s=3.0, why="w"))


def test_a_journal_that_is_not_there_tells_nothing(journal: Journal) -> None:
    assert journal.read() == History()


def test_it_tells_what_the_last_attempt_was(journal: Journal) -> None:
    journal.write(Line(event=Event.RUN, at=0.0, stages=("s", "later")))
    write_attempt(journal, "s", How.FAILED)
    write_attempt(journal, "s", How.DONE)
    history = journal.read()
    assert history.stages == ("s", "later")
    assert history.state("later") is None
    state = history.state("s")
    assert state is not None
    assert (state.how, state.elapsed_s, state.word, state.is_done) == (How.DONE, 3.0, "done", True)
    assert state.last_step is not None
    assert (state.last_step.node, state.last_step.unit, state.last_step.is_done) == ("a", "u", True)
    assert state.done_at_line == 8


def test_wherever_its_last_line_was_torn_it_is_read_and_the_next_line_is_whole(
    journal: Journal,
) -> None:
    write_attempt(journal, "s", How.DONE)
    text = whole(journal)
    start = text.rindex(b"{")
    for end in range(start, len(text)):
        journal._path.write_bytes(text[:end])
        state = journal.read().state("s")
        assert state is not None
        # Without its newline alone the line is whole all the same.
        assert state.is_done is (end == len(text) - 1)
        journal.write(Line(event=Event.ENDED, at=5.0, stage="s", how=How.FAILED))
        state = journal.read().state("s")
        assert state is not None
        assert state.how is How.FAILED


def test_what_another_version_wrote_is_passed_over(journal: Journal) -> None:
    write_attempt(journal, "s", How.DONE)
    with journal._path.open("ab") as file:
        file.write(b'{"event": "polished", "at": 1}\n[]\nnull\n{"event": "ended", "at": 1}\n\xff\n')
        file.write(b'{"event": "ended", "at": 1, "stage": "s", "how": "done", "colour": 1}\n')
    state = journal.read().state("s")
    assert state is not None
    assert state.is_done


def test_it_only_grows_and_is_private(journal: Journal) -> None:
    write_attempt(journal, "s", How.DONE)
    before = whole(journal)
    journal.note_new_nodes(["a"])
    assert whole(journal).startswith(before)
    assert journal._path.stat().st_mode & 0o777 == 0o600
    assert journal._path.parent.stat().st_mode & 0o777 == 0o700


def test_an_attempt_that_goes_on_runs(journal: Journal) -> None:
    write_attempt(journal, "s", How.INTERRUPTED)
    state = journal.read().state("s")
    assert state is not None
    assert (state.word, state.is_unfinished) == ("interrupted", True)
    journal.write(Line(event=Event.RESUMED, at=5.0, stage="s"))
    state = journal.read().state("s")
    assert state is not None
    assert (state.word, state.is_unfinished) == ("running", True)


def test_a_node_that_is_made_anew_has_lost_its_stages(journal: Journal) -> None:
    journal.note_new_nodes(["a"])  # nothing was ever done: nothing to write
    assert not journal._path.exists()
    write_attempt(journal, "of-a", How.DONE)
    write_attempt(journal, "of-b", How.DONE, node="b")
    journal.note_new_nodes(["a"])
    history = journal.read()
    assert history.state("of-a") is None
    assert history.state("of-b") is not None


def test_what_a_node_said_can_t_forge_anything(journal: Journal) -> None:
    journal.write(Line(event=Event.BEGAN, at=1.0, stage="s", digest="d"))
    why = 'no\x1b[2J\n{"event": "ended", "stage": "s", "how": "done"}'
    journal.write(Line(event=Event.ENDED, at=1.0, stage="s", how=How.FAILED, why=why))
    state = journal.read().state("s")
    assert state is not None
    assert state.how is How.FAILED
    assert "\x1b" not in state.why
