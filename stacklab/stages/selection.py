"""Which stages have to run, and why: from the journal, and from what was asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from stacklab.errors import LabError
from stacklab.stages.journal import History, How, StageState
from stacklab.stages.stage import Stage
from stacklab.words import suggest


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSelection:
    """What was asked for, as sets of stages' names."""

    passed: frozenset[str] = frozenset()  # before --from: taken as done, whatever they are
    again: frozenset[str] = frozenset()  # --from, and what waits for it: run even if done
    left: frozenset[str] = frozenset()  # behind --to: not started

    def leaves_out(self, stage: str) -> bool:
        """Return True for a stage that is not even looked at."""
        return stage in self.passed or stage in self.left


def select(stages: Sequence[Stage], *, first: str = "", last: str = "") -> StageSelection:
    """Return the selection for --from and --to; raises LabError for a name that is unknown.

    `first` and `last` count in the order in which the stages are listed.
    """
    names = [stage.name for stage in stages]
    for option, word in (("--from", first), ("--to", last)):
        if word and word not in names:
            raise LabError(
                f"{option}: no stage {word!r} ({suggest(word, names, label='stages')})",
                hint="./invoke lab.stack LAB --plan",
            )
    if first and last and names.index(first) > names.index(last):
        raise LabError(
            f"--from {first} comes after --to {last}: nothing would run",
            hint="./invoke lab.stack LAB --plan",
        )
    passed = names[: names.index(first)] if first else []
    left = names[names.index(last) + 1 :] if last else []
    again = waiting_for(stages, first) if first else set()
    return StageSelection(passed=frozenset(passed), again=frozenset(again), left=frozenset(left))


def waiting_for(stages: Sequence[Stage], name: str) -> set[str]:
    """Return a stage's name, and the names of all that wait for it, directly or not."""
    found = {name}
    # One pass is enough: a stage is listed behind those that it waits for.
    for stage in stages:
        if found.intersection(stage.after):
            found.add(stage.name)
    return found


def input_digest(stage: Stage, answers: Mapping[str, str]) -> str:
    """Hash what a stage works with: its commands, and the answer files of its nodes.

    `answers` has the digest of each node's files. A title may change without consequences.
    """
    whole = hashlib.sha256()
    parts = []
    for step in stage.steps:
        parts += [step.node, step.user, step.command]
    for node in stage.nodes:
        parts += [node, answers.get(node, "")]
    for part in parts:
        data = part.encode()
        # With its length before it, no part can be taken for the end of the one before.
        whole.update(len(data).to_bytes(8, "big") + data)
    return whole.hexdigest()[:32]


def can_go_on(state: StageState | None, digest: str) -> bool:
    """Return True if there is an unfinished attempt with the same inputs."""
    return state is not None and state.is_unfinished and state.digest == digest


def makes_others_run(state: StageState | None, digest: str) -> bool:
    """Return True if what waits for a stage has to run again when this stage runs."""
    is_for_new_nodes = state is not None and state.is_for_new_nodes
    return not (is_for_new_nodes and can_go_on(state, digest))


def why_run(
    stage: Stage, history: History, digest: str, *, selection: StageSelection, ran: Collection[str]
) -> str:
    """Return why a stage has to run, as far as the journal tells; "" if it is done.

    `ran` has the stages that ran, or would run, before it in this run. What waits for a stage
    that ran again has to run again.
    """
    state = history.state(stage.name)
    if state is None:
        return "never ran"
    if can_go_on(state, digest):
        return state.why if state.is_for_new_nodes else "goes on where it was left"
    if state.how is How.FAILED:
        return "failed before"
    if state.digest != digest:
        return "its commands or answer files changed"
    if stage.name in selection.again:
        return "asked for by --from"
    for name in stage.after:
        before = history.state(name)
        is_later = before is not None and before.done_at_line > state.done_at_line
        if name in ran or is_later:
            return f"{name} ran again"
    return ""
