"""Runs of the mesh against simulated nodes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from stacklab.checks import plan
from stacklab.checks.asking import patience
from stacklab.checks.asking.lookout import States
from stacklab.checks.asking.mesh import CheckEvent, Mesh
from stacklab.checks.family import AboutState, Facts, about_state
from stacklab.checks.result import Check, CheckResult, Layer, Selection
from stacklab.model.checks import CheckPolicy
from stacklab.model.lab import Lab
from stacklab.model.state import NodeState
from stacklab.paths import HostPaths
from stacklab.process import Conversing
from tests.unit.checks.fake_lab import make_lab

LAB = make_lab()
PATHS = HostPaths(Path("/var/lib/stacklab")).lab("trio")
RUNNING = NodeState.RUNNING
BASE = Selection(layers=frozenset({Layer.NODES, Layer.PAIRS}))


class FakeSleep:
    """A clock that goes on only while somebody sleeps: how long a try takes counts for nothing."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.waits.append(seconds)

    def monotonic(self) -> float:
        """Return what time.monotonic would."""
        return sum(self.waits)


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """What the mesh asks of whoever runs it, where a test has its own."""

    on_event: Callable[[CheckEvent], None] = lambda event: None
    judge_host: Callable[[Sequence[Check]], Iterable[CheckResult]] = lambda checks: ()
    as_expected: Callable[[CheckResult], CheckResult] = lambda result: result
    gather: Callable[[Sequence[Check]], Facts] = lambda checks: Facts()
    about_state: AboutState = about_state


def check(
    lab: Lab,
    runner: Conversing,
    *,
    selection: Selection = BASE,
    policy: CheckPolicy | None = None,
    wait_s: float | None = None,
    states: Callable[[], States] | None = None,
    sleep: FakeSleep | None = None,
    hooks: Hooks | None = None,
) -> tuple[CheckResult, ...]:
    """The checks of nodes and pairs of a lab whose domains run."""
    running = {node.name: RUNNING for node in lab.nodes}
    hooks = hooks or Hooks()
    mesh = Mesh(
        families=plan.FAMILIES,
        lab=lab,
        paths=PATHS,
        runner=runner,
        states=states or (lambda: running),
        about_state=hooks.about_state,
        sleep=sleep or time.sleep,
        on_event=hooks.on_event,
        judge_host=hooks.judge_host,
        as_expected=hooks.as_expected,
        gather=hooks.gather,
    )
    with pytest.MonkeyPatch.context() as patch:
        if sleep is not None:
            patch.setattr(patience, "time", SimpleNamespace(monotonic=sleep.monotonic))
        return mesh.check(plan.expected(lab, selection), policy=policy, wait_s=wait_s)
