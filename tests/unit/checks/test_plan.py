"""What holds of the checks of every lab, whatever its spec.

Each is one of its own, and each gets one result.
"""

from __future__ import annotations

import collections
import dataclasses
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from stacklab import spec
from stacklab.checks import plan
from stacklab.checks.asking.mesh import Mesh
from stacklab.checks.result import (
    HOST,
    CheckKind,
    CheckResult,
    CheckStatus,
    Layer,
    Reason,
    Selection,
)
from stacklab.dev.simulated import outside as outside_simulated
from stacklab.dev.simulated import simulate
from stacklab.model.lab import Lab
from stacklab.model.state import NodeState
from stacklab.paths import HostPaths
from stacklab.paths.project import PROJECT

FILES = sorted((*PROJECT.glob("labs/*.yaml"), *PROJECT.glob("tests/specs/good/*.yaml")))
NETWORKS = ("mgmt", "data", "far", "lan")
# Neither blank, which is no command, nor with format characters, which a spec refuses.
TEXTS = st.text(
    st.characters(blacklist_categories=("Cs", "Cc", "Cf")), min_size=1, max_size=12
).filter(str.strip)


@st.composite
def labs(draw: st.DrawFn) -> Lab:
    """A lab of a drawn spec.

    Networks of every mode, counted nodes, impairments, checks of its own.
    """
    lines = ["image: debian-12", "networks:"]
    modes = {
        "mgmt": draw(st.sampled_from(["nat", "isolated"])),
        "data": draw(st.sampled_from(["nat", "isolated"])),
    }
    modes |= {"far": "isolated", "lan": "bridged"}
    for number, (name, mode) in enumerate(modes.items()):
        lines += [
            f"  {name}:",
            f"    cidr: 10.9{number}.0.0/{draw(st.sampled_from([24, 27]))}",
            f"    mode: {mode}",
        ]
        lines += [f"    mtu: {draw(st.sampled_from([576, 1500, 9000]))}"]
        lines += ["    bridge: br0"] * (mode == "bridged") + ["    host: false"] * (name == "far")
        if name != "mgmt":
            lines.append(f"    loss: {draw(st.sampled_from(['0%', '1%', '60%', '100%']))}")
        lines.append(f"    delay: {draw(st.sampled_from(['0ms', '20ms', '2s']))}")
        if draw(st.booleans()):
            lines.append("    rate: 32kbit")
    lines.append("nodes:")
    for name in draw(st.lists(st.sampled_from(["a", "b-b", "z9"]), min_size=1, unique=True)):
        lines += [f"  {name}:", f"    count: {draw(st.integers(1, 3))}", "    nics:"]
        own = draw(st.lists(st.sampled_from(NETWORKS[1:]), unique=True))
        lines += [f"      - network: {network}" for network in ("mgmt", *own)]
    customs = draw(st.lists(TEXTS, max_size=6, unique=True))
    lines += ["checks:", "  custom:"] if customs else []
    for number, text in enumerate(customs):
        quoted = "'" + text.replace("'", "''") + "'"
        kind = draw(st.sampled_from([f"command: {quoted}", "port: 22", "http: http://a1:80/"]))
        lines += [f"    - name: own {number}", f"      {kind}"]
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "drawn.yaml")
        path.write_text("\n".join(lines) + "\n")
        return spec.load(path)


LABS = st.one_of(labs(), st.sampled_from(FILES).map(spec.load))


def checked(lab: Lab, spoil: simulate.Spoil | None = None) -> tuple[CheckResult, ...]:
    mesh = Mesh(
        families=plan.FAMILIES,
        lab=dataclasses.replace(lab, checks=dataclasses.replace(lab.checks, retries=0)),
        paths=HostPaths(Path("/nowhere")).lab(lab.name),
        runner=simulate.SimulatedNodes(lab, spoil) if spoil else simulate.SimulatedNodes(lab),
        gather=lambda own: outside_simulated.facts(lab),
        states=lambda: {node.name: NodeState.RUNNING for node in lab.nodes},
        judge_host=lambda own: [
            CheckResult(check=c, status=CheckStatus.PASSED, reason=Reason.OK, detail="")
            for c in own
        ],
    )
    return mesh.check()


@given(LABS)
@settings(deadline=None, max_examples=60)
def test_no_two_checks_are_one(lab: Lab) -> None:
    """Two equal ones would share a result, and two of one title a line in every report."""
    checks = plan.expected(lab)
    for each in (checks, [check.title for check in checks]):
        assert [name for name, count in collections.Counter(each).items() if count > 1] == []


@given(LABS)
@settings(deadline=None, max_examples=40)
def test_a_healthy_lab_has_an_answer_to_every_check_and_all_pass(lab: Lab) -> None:
    results = checked(lab)
    assert [result.check for result in results] == list(plan.expected(lab))
    assert [
        (r.check.title, r.detail)
        for r in results
        if r.status in (CheckStatus.FAILED, CheckStatus.ERROR)
    ] == []


@given(LABS, st.sampled_from([0, 1, 124, 127]))
@settings(deadline=None, max_examples=40)
def test_what_says_nothing_passes_nothing(lab: Lab, code: int) -> None:
    """Each check can do otherwise than pass, and does where its part ended without a word."""
    results = checked(lab, lambda _node, _tag, _lines, _code: ([], code))
    kinds = (CheckKind.STATE, CheckKind.LOGIN, CheckKind.HOST_APART)
    passed = [
        r.check.title
        for r in results
        if r.status is CheckStatus.PASSED and r.check.kind not in kinds
    ]
    assert passed == []


@given(LABS, st.data())
@settings(deadline=None, max_examples=40)
def test_a_selection_has_what_it_wants_and_no_more_than_the_logins_beside(
    lab: Lab, data: st.DataObject
) -> None:
    # Named, so that those on request are among them.
    every = plan.expected(lab, Selection(layers=frozenset(Layer)))
    selection = Selection(
        layers=data.draw(st.frozensets(st.sampled_from(list(Layer)), max_size=3)),
        nodes=data.draw(
            st.frozensets(st.sampled_from([node.name for node in lab.nodes]), max_size=2)
        ),
        networks=data.draw(
            st.frozensets(st.sampled_from([network.name for network in lab.networks]), max_size=2)
        ),
    )
    found = plan.expected(lab, selection)
    wanted = [check for check in every if selection.wants(check)]
    assert [check for check in every if check in set(found)] == list(found)
    assert set(wanted) <= set(found)
    beside = set(found) - set(wanted)
    assert {check.kind for check in beside} <= {CheckKind.LOGIN}
    assert {check.node for check in beside} <= {check.node for check in wanted}
    logins = {check.node for check in found if check.kind is CheckKind.LOGIN}
    assert {check.node for check in found} - {HOST} == logins
