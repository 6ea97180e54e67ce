"""Stages of the fake installer that take their time; appended to its files.py in a copy."""

from __future__ import annotations

from dataclasses import replace

from stacklab.model.lab import Lab
from stacklab.stages.stage import MINUTE_S, Stage, Step, name_at

LINES = 40
_COUNT = "for i in $(seq {lines}); do echo line $i of {what}; sleep 0.5; done; echo {what} >>~/ran"


def _count(node: str, what: str, lines: int) -> Step:
    return Step(node=node, title=what, command=_COUNT.format(lines=lines, what=what))


def _fetch(node: str) -> Stage:
    """Wait for as long as a test wants, fill the log if it wants that, then ask the APT mirror."""
    apt = "apt-get -q -o Acquire::Retries=0 -o Acquire::http::Timeout=5 --error-on=any update"
    commands = (
        ("hold", "while [ -e /run/hold ]; do sleep 0.2; done"),
        ("talk", "[ ! -e /run/talk ] || { head -c 3000000 /dev/zero | tr '\\0' x | fold; false; }"),
        ("update", apt),
    )
    steps = [
        Step(node=node, title=title, command=command, user="root") for title, command in commands
    ]
    return Stage(
        name=name_at("fetch", node),
        steps=tuple(steps),
        limit_s=5 * MINUTE_S,
        hint="the mirror is gone",
    )


def stages(lab: Lab) -> tuple[Stage, ...]:
    """The controller in two steps, then the compute, which fetches something in the end."""
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
    return (control, join, replace(_fetch(second), after=(join.name,)))
