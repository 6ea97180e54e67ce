"""Runs of the mesh against simulated nodes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from stacklab.checks import plan
from stacklab.checks.family import AboutState, Facts, about_state
from stacklab.checks.lookout import States
from stacklab.checks.mesh import CheckEvent, Mesh
from stacklab.checks.result import (
    Check,
    CheckResult,
    Layer,
    Selection,
)
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


def check(
    lab: Lab,
    runner: Conversing,
    *,
    selection: Selection = BASE,
    policy: CheckPolicy | None = None,
    wait_s: float | None = None,
    states: Callable[[], States] | None = None,
    sleep: Callable[[float], None] = time.sleep,
    on_event: Callable[[CheckEvent], None] = lambda event: None,
    judge_host: Callable[[Sequence[Check]], Iterable[CheckResult]] = lambda checks: (),
    as_expected: Callable[[CheckResult], CheckResult] = lambda result: result,
    gather: Callable[[Sequence[Check]], Facts] = lambda checks: Facts(),
    about_state: AboutState = about_state,
) -> tuple[CheckResult, ...]:
    """The checks of nodes and pairs of a lab whose domains run."""
    running = {node.name: RUNNING for node in lab.nodes}
    mesh = Mesh(
        families=plan.FAMILIES,
        lab=lab,
        paths=PATHS,
        runner=runner,
        states=states or (lambda: running),
        about_state=about_state,
        sleep=sleep,
        on_event=on_event,
        judge_host=judge_host,
        as_expected=as_expected,
        gather=gather,
    )
    return mesh.check(plan.expected(lab, selection), policy=policy, wait_s=wait_s)


class FakeSleep:
    def __init__(self) -> None:
        self.waits: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.waits.append(seconds)
