"""A stage, its steps, and the order that stages depend on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from stacklab.errors import LabError

MINUTE_S = 60.0
HOUR_S = 60 * MINUTE_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing to do on a node; `command` is one line of bash."""

    node: str
    title: str
    command: str
    user: str = "stack"  # or root
    done: str = ""  # a command that succeeds when nothing is left to do; "": always run the step


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Steps that belong together, with what a person or an engine must know to run them.

    The steps run in their order. Stages run in the order in which they are listed;
    `after` names those that this one really needs, so that others may run beside it.
    """

    name: str  # unique in a lab; `name_at` makes it
    steps: tuple[Step, ...]
    limit_s: float  # for all of its steps together; beyond it, something hangs
    after: tuple[str, ...] = ()
    done: str = ""  # a command that succeeds on the last node when the whole stage is done
    hint: str = ""  # what a failure usually means, or where to look

    @property
    def nodes(self) -> tuple[str, ...]:
        """Return the nodes that the stage touches, in the order of its steps."""
        return tuple(dict.fromkeys(step.node for step in self.steps))


def name_at(phase: str, node: str) -> str:
    """Return the name of a stage that runs on one node: run@compute1."""
    return f"{phase}@{node}"


def with_steps(stages: Iterable[Stage]) -> tuple[Stage, ...]:
    """Leave out stages that have no steps, and forget that others wait for them.

    A stage that waited for an empty one waits for what that one waited for.
    """
    waits: dict[str, tuple[str, ...]] = {}  # an empty stage -> what it waits for
    with_work: list[Stage] = []
    for stage in stages:
        # Two empty stages may have waited for the same one: once is enough.
        after = tuple(dict.fromkeys(_skip_empty(stage.after, waits)))
        if not stage.steps:
            waits[stage.name] = after
            continue
        with_work.append(replace(stage, after=after))
    return tuple(with_work)


def _skip_empty(names: Iterable[str], waits: dict[str, tuple[str, ...]]) -> Iterator[str]:
    """Yield the names, with what an empty stage waits for in its place."""
    for name in names:
        yield from waits.get(name, (name,))


def steps_of(stages: Iterable[Stage]) -> tuple[Step, ...]:
    """Return all steps of all stages, in order: what `answers.steps` shows."""
    steps: list[Step] = []
    for stage in stages:
        steps += stage.steps
    return tuple(steps)


def check_order(stages: Sequence[Stage]) -> None:
    """Raise LabError unless names are unique and each `after` names an earlier stage."""
    seen: set[str] = set()
    for stage in stages:
        if stage.name in seen:
            raise LabError(f"two stages are called {stage.name}")
        unknown = [name for name in stage.after if name not in seen]
        if unknown:
            raise LabError(f"stage {stage.name} waits for {', '.join(unknown)}, not listed before")
        seen.add(stage.name)
