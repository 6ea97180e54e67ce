"""The seam for a stack's own checks, with a stack that has some."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from stacklab.checks import plan
from stacklab.checks.asking.mesh import Mesh
from stacklab.checks.cloud import family as cloud
from stacklab.checks.family import Facts, Family
from stacklab.checks.result import (
    Check,
    CheckKind,
    CheckResult,
    CheckStatus,
    Layer,
    Reason,
    Selection,
)
from stacklab.model.lab import Lab, Node
from stacklab.model.stack import Installer
from stacklab.nodes.protocol import Answer, Part, render
from stacklab.paths import HostPaths
from stacklab.process import Command, Result
from tests.unit.checks.fake_lab import FakeRunner, make_lab

LAB = dataclasses.replace(
    make_lab(), stack=dataclasses.replace(make_lab().stack, installer=Installer.DEVSTACK)
)
SERVICES = ("nova-api", "nova-compute")


class FakeStack:
    """Services on the controller, and a server that each compute must show."""

    def expected(self, lab: Lab) -> Iterator[Check]:
        for name in SERVICES:
            yield Check(kind=CheckKind.SERVICE, node=lab.controller.name, subject=name)
        for node in lab.computes:
            yield Check(
                kind=CheckKind.CLOUD,
                node=lab.controller.name,
                target=node.name,
                subject="hypervisor",
            )

    def parts(self, lab: Lab, node: Node, checks: Sequence[Check], facts: Facts) -> Iterator[Part]:
        if any(check.kind is CheckKind.SERVICE for check in checks):
            yield Part(tag="cloud.services", shell="fake-services")
        if any(check.kind is CheckKind.CLOUD for check in checks):
            yield Part(tag="cloud.hypervisors", shell="fake-hypervisors")

    def judge(
        self, lab: Lab, checks: Sequence[Check], answer: Answer, facts: Facts
    ) -> Iterator[CheckResult]:
        for check in checks:
            tag, word = "cloud.hypervisors", check.target
            if check.kind is CheckKind.SERVICE:
                tag, word = "cloud.services", check.subject
            is_there = word in answer.of(tag).lines
            yield CheckResult(
                check=check,
                status=CheckStatus.PASSED if is_there else CheckStatus.FAILED,
                reason=Reason.OK if is_there else Reason.NO_ANSWER,
                detail="registered" if is_there else "not registered",
            )


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> FakeStack:
    found = FakeStack()
    family = Family(
        layers=(Layer.SERVICES, Layer.CLOUD),
        # Looked up when they are called: a test may replace one.
        expected=lambda lab: found.expected(lab),
        parts=lambda *args: found.parts(*args),
        judge=lambda *args: found.judge(*args),
    )
    monkeypatch.setitem(cloud.CLOUDS, Installer.DEVSTACK, family)
    return found


def fake_answer(command: Command) -> Result:
    """The controller runs both services, and knows one hypervisor."""
    script = (command.stdin or b"").decode()
    m = script.partition("m=")[2].partition("\n")[0]
    said = {"cloud.services": SERVICES, "cloud.hypervisors": ("compute1",)}
    lines = [f"{m} begin"]
    for tag, words in said.items():
        if f"tagged {tag} " in script:
            lines += [*(f"{m} {tag} {word}" for word in words), f"{m} {tag} = 0"]
    return Result(exit_code=0, stdout="\n".join([*lines, f"{m} end", ""]))


def check(lab: Lab, runner: FakeRunner, *layers: Layer) -> dict[str, CheckStatus]:
    mesh = Mesh(
        families=plan.FAMILIES,
        lab=lab,
        paths=HostPaths(Path("/nowhere")).lab("trio"),
        runner=runner,
        sleep=lambda seconds: None,
    )
    results = mesh.check(plan.expected(lab, Selection(layers=frozenset(layers))))
    return {
        result.check.title: result.status
        for result in results
        if result.check.kind is not CheckKind.LOGIN
    }


def test_a_stack_whose_kit_names_no_units_has_nothing_to_check() -> None:
    assert dict(cloud.CLOUDS) == {}
    assert list(cloud.expected(LAB)) == []
    assert list(cloud.parts(LAB, LAB.nodes[0], [], Facts())) == []
    assert list(cloud.judge(LAB, [], Answer(), Facts())) == []


@pytest.mark.usefixtures("stack")
def test_a_stacks_checks_are_the_labs_that_install_it() -> None:
    titles = [check.title for check in plan.expected(LAB) if check.kind in cloud.KINDS]
    assert titles == [
        "controller: service nova-api",
        "controller: service nova-compute",
        "controller -> compute1: cloud hypervisor",
        "controller -> compute2: cloud hypervisor",
    ]
    assert not [check for check in plan.expected(make_lab()) if check.kind in cloud.KINDS]


@pytest.mark.usefixtures("stack")
def test_they_run_in_the_nodes_one_session_and_are_judged_under_both_layers() -> None:
    runner = FakeRunner(fake_answer)
    assert check(LAB, runner, Layer.SERVICES, Layer.CLOUD) == {
        "controller: service nova-api": CheckStatus.PASSED,
        "controller: service nova-compute": CheckStatus.PASSED,
        "controller -> compute1: cloud hypervisor": CheckStatus.PASSED,
        "controller -> compute2: cloud hypervisor": CheckStatus.FAILED,
    }
    scripts = [(command.stdin or b"").decode() for command in runner.commands]
    assert all("fake-hypervisors" in script for script in scripts)
    assert ["fake-services" in script for script in scripts] == [
        True,
        *[False] * (len(scripts) - 1),
    ]


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize(
    ("layer", "kind", "shell"),
    [
        (Layer.SERVICES, CheckKind.SERVICE, "fake-services"),
        (Layer.CLOUD, CheckKind.CLOUD, "fake-hypervisors"),
    ],
)
def test_one_layer_asks_for_its_own_alone(layer: Layer, kind: CheckKind, shell: str) -> None:
    checks = [
        check
        for check in plan.expected(LAB, Selection(layers=frozenset({layer})))
        if check.kind is not CheckKind.LOGIN
    ]
    assert {check.kind for check in checks} == {kind}
    script = render(plan.FAMILIES.parts(LAB, LAB.nodes[0], checks, Facts()), "m")
    assert [word for word in ("fake-services", "fake-hypervisors") if word in script] == [shell]


def test_another_layers_kind_is_a_bug_of_the_stack(
    stack: FakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        stack, "expected", lambda lab: [Check(kind=CheckKind.PING, node="controller")]
    )
    with pytest.raises(AssertionError, match="ping"):
        list(cloud.expected(LAB))


def test_another_familys_tag_is_a_bug_of_the_stack(
    stack: FakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "parts", lambda *given: [Part(tag="nodes.nics", shell="true")])
    with pytest.raises(AssertionError, match=r"nodes\.nics"):
        list(cloud.parts(LAB, LAB.nodes[0], [], Facts()))
