from __future__ import annotations

import dataclasses

import pytest

from stacklab import installers
from stacklab.installers import rendering
from stacklab.installers.contract import Kit
from stacklab.model.lab import Lab
from stacklab.model.stack import NO_MIRRORS, Installer
from stacklab.nodes import units
from stacklab.stages.stage import MINUTE_S, Stage, Step, name_at
from stacklab.workflow.stack import inputs, node_worker, stack
from tests.unit.workflow.fake_host import FakeHost, host
from tests.unit.workflow.stack.unit_nodes import UnitNodes

__all__ = ["host"]


SYSTEMS = {"debian-12": "ubuntu-14.04"}


def fake_stages(lab: Lab) -> tuple[Stage, ...]:
    """The controller in two steps, then each compute."""
    first = lab.controller.name
    control = Stage(
        name=name_at("control", first),
        steps=(
            Step(node=first, title="install", command="install it", user="root"),
            Step(node=first, title="start", command="start it", done="it runs"),
        ),
        limit_s=10 * MINUTE_S,
        hint="look at it",
    )
    computes = [
        Stage(
            name=name_at("join", node.name),
            steps=(Step(node=node.name, title="join", command=f"join {node.name}"),),
            limit_s=10 * MINUTE_S,
            after=(control.name,),
            hint="look there",
        )
        for node in lab.nodes
        if node.name != first
    ]
    return (control, *computes)


@pytest.fixture
def kit(monkeypatch: pytest.MonkeyPatch) -> Kit:
    """The kit of the lab's installer, with stages of ours."""
    real = installers.kit_of(Installer.CONTRAIL)
    assert real is not None
    made = dataclasses.replace(real, stages=fake_stages)
    for module in (installers, rendering):
        monkeypatch.setattr(module, "kit_of", lambda _word: made)
    return made


@pytest.fixture
def nodes(host: FakeHost, kit: Kit, monkeypatch: pytest.MonkeyPatch) -> UnitNodes:
    """Nodes that run units."""
    made = UnitNodes(succeeds={"it runs"})
    # `start it` has a test that succeeds from the beginning, unless a test changes that.
    host.runner.on("ssh", answer=made.answer)
    monkeypatch.setattr(inputs, "host_mirrors", lambda _runner: NO_MIRRORS)
    # The host has one image, whatever system a release wants.
    monkeypatch.setattr(stack, "image_name", lambda key: SYSTEMS.get(key[:9], key[:7]))
    monkeypatch.setattr(node_worker, "_AGAIN_S", 0.001)
    monkeypatch.setattr(units, "_AGAIN_S", 0.001)
    return made
