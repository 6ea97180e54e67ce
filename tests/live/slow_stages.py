"""Stages of the fake installer that take their time; appended to its files.py in a copy."""

from __future__ import annotations

from stacklab.model.lab import Lab
from stacklab.stages.stage import MINUTE_S, Stage, Step, name_at

LINES = 40
_COUNT = "for i in $(seq {lines}); do echo line $i of {what}; sleep 0.5; done; echo {what} >>~/ran"


def _count(node: str, what: str, lines: int) -> Step:
    return Step(node=node, title=what, command=_COUNT.format(lines=lines, what=what))


def stages(lab: Lab) -> tuple[Stage, ...]:
    """The controller in two steps, then the compute."""
    first, second = lab.nodes[0].name, lab.nodes[1].name
    control = Stage(
        name=name_at("control", first),
        steps=(_count(first, "short", 2), _count(first, "long", LINES)),
        limit_s=5 * MINUTE_S,
    )
    join = Stage(
        name=name_at("join", second),
        steps=(_count(second, "join", 2),),
        limit_s=5 * MINUTE_S,
        after=(control.name,),
    )
    return (control, join)
