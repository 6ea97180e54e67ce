"""lab.stack on a lab that is up: units on its nodes, answers, refusals, the plan."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from stacklab import locks, record, spec
from stacklab.checks import plan
from stacklab.checks.result import CheckResult, Layer, Selection
from stacklab.errors import AlreadyRunning, LabError, StageFailed
from stacklab.installers import rendering
from stacklab.installers.contract import Kit
from stacklab.model.lab import Lab
from stacklab.model.stack import NO_INSTALLER
from stacklab.model.state import NodeState
from stacklab.paths import LabPaths
from stacklab.paths.project import LABS
from stacklab.stages.journal import Journal
from stacklab.stages.stage import MINUTE_S
from stacklab.workflow import context as contexts
from stacklab.workflow.check import checking
from stacklab.workflow.debug import places
from stacklab.workflow.lab import status as lab_status
from stacklab.workflow.lab import up as bringing
from stacklab.workflow.stack import following, node_worker, stack
from tests.unit.checks.fake_lab import make_lab
from tests.unit.installers.contrail.labs import make_lab as make_contrail
from tests.unit.workflow.fake_host import FakeHost
from tests.unit.workflow.stack.unit_nodes import OTHER_BOOT, UnitNodes

LAB = "contrail-3node"
STAGES = ("control@controller", "join@compute1", "join@compute2")


@pytest.fixture
def lab() -> Lab:
    return make_contrail()


@pytest.fixture
def up(host: FakeHost, nodes: UnitNodes, lab: Lab) -> FakeHost:
    host.up(lab)
    return host


def hows(host: FakeHost, lab: Lab, **options: str) -> dict[str, str]:
    results = stack.run(host.context, lab, **options)
    return {one.stage.name: "before" if one.was_done else str(one.how) for one in results}


def titles(nodes: UnitNodes) -> list[str]:
    """What was started, without the shell around it."""
    return [
        f"{node}: {script.partition('{ ')[2].splitlines()[0]}" for node, script in nodes.started
    ]


def test_a_lab_s_stages_run_as_units_on_its_nodes(up: FakeHost, nodes: UnitNodes, lab: Lab) -> None:
    assert hows(up, lab) == dict.fromkeys(STAGES, "done")
    assert titles(nodes)[0] == "controller: install it"
    assert sorted(titles(nodes)[1:]) == ["compute1: join compute1", "compute2: join compute2"]
    assert all("sudo -n -H -u stack /bin/bash -lc" in shell for _, shell in nodes.tests)
    assert hows(up, lab) == dict.fromkeys(STAGES, "before")
    logs = up.lab(LAB).stack_logs
    assert sorted(path.name for path in logs.iterdir()) == [f"{name}.log" for name in STAGES]
    (whole,) = map(lab_status.as_dict, lab_status.status(up.context, LAB))
    told = json.loads(json.dumps(whole))["stages"]
    assert [(one["name"], one["state"]) for one in told] == [(name, "done") for name in STAGES]


@pytest.mark.parametrize(("is_hooked", "is_calmed"), [(True, False), (False, True)])
def test_kolla_is_not_run_over_containers_that_are_debugged(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch, *, is_hooked: bool, is_calmed: bool
) -> None:
    kolla = spec.load(LABS / "kolla-3node.yaml")
    asked = SimpleNamespace(
        name="nova_api", node="controller", is_hooked=is_hooked, is_calmed=is_calmed
    )
    monkeypatch.setattr(stack, "list_services", lambda *_words: (asked,))
    paths = host.context.host.lab(kolla.name)
    # Nobody has debugged here: no node is asked.
    stack._refuse_debugged(host.context, kolla, paths)
    places.root(paths).mkdir(parents=True)
    with pytest.raises(LabError, match="nova_api on controller") as caught:
        stack._refuse_debugged(host.context, kolla, paths)
    assert caught.value.hint == "./invoke debug.detach kolla-3node"
    monkeypatch.setattr(stack, "list_services", lambda *_words: ())
    stack._refuse_debugged(host.context, kolla, paths)


def test_all_that_it_keeps_is_private_and_without_secrets(
    up: FakeHost, nodes: UnitNodes, lab: Lab
) -> None:
    secret = json.loads(up.lab(LAB).secrets.read_text())["admin_password"]
    nodes.outputs = {"join": f"the password is {secret}\n".encode()}
    stack.run(up.context, lab)
    for path in up.lab(LAB).stack.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0
        assert path.is_dir() or secret not in path.read_text()
    assert "********" in stack.log_of(up.lab(LAB), "join@compute1").read_text()


def test_a_stage_that_fails_says_what_to_look_at_and_what_to_type(
    up: FakeHost, nodes: UnitNodes, lab: Lab
) -> None:
    nodes.ends = {"join compute1": "exited 3 exit-code 2.5 running"}
    nodes.outputs = {"join-compute1": b"ERROR: no rabbit\nbye\n"}
    with pytest.raises(StageFailed) as caught:
        stack.run(up.context, lab)
    assert caught.value.message.splitlines() == [
        "stage join@compute1 failed at step 1 of 1 on compute1: join: exit code 3",
        "    ERROR: no rabbit",
        "    bye",
        f"  log: {up.lab(LAB).stack_logs}/join@compute1.log",
        "  usual cause: look there",
    ]
    nodes.ends = {}
    assert hows(up, lab)["join@compute1"] == "done"


def test_a_limit_that_is_over_is_told(up: FakeHost, nodes: UnitNodes, lab: Lab) -> None:
    nodes.ends = {"install": "killed TERM timeout 2.5 running"}
    with pytest.raises(StageFailed, match="over its limit of 10 minutes: something hangs"):
        stack.run(up.context, lab)


def test_a_node_that_reboots_in_the_middle_runs_its_step_again(
    up: FakeHost, nodes: UnitNodes, lab: Lab
) -> None:
    def reboot(node: str, name: str) -> None:
        unit = nodes.units[node, name]
        if len(nodes.started) == 1:
            unit.ended, unit.boot = "", OTHER_BOOT

    nodes.before_attach = reboot
    nodes.is_booted = ["stopping", "starting", "running"]
    assert set(hows(up, lab).values()) == {"done"}
    assert titles(nodes)[:2] == ["controller: install it"] * 2
    assert nodes.is_booted == ["running"]


def test_a_node_that_can_t_be_reached_for_a_while_is_waited_for(
    up: FakeHost, nodes: UnitNodes, lab: Lab
) -> None:
    nodes.unreached = ["Connection refused", "Connection timed out", "No route to host"]
    assert set(hows(up, lab).values()) == {"done"}


def test_a_node_that_breaks_the_protocol_fails_its_stage_at_once(
    up: FakeHost, nodes: UnitNodes, lab: Lab
) -> None:
    nodes.breaks = {"control"}
    with pytest.raises(StageFailed, match="controller does not keep to the protocol: its output"):
        stack.run(up.context, lab)


def test_work_that_its_node_does_not_end_is_over_its_limit(
    up: FakeHost, nodes: UnitNodes, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes.ends = {"install": ""}  # it runs, for ever
    monkeypatch.setattr(node_worker, "_LATE_S", -10 * MINUTE_S)
    with pytest.raises(StageFailed, match="over its limit of 10 minutes: something hangs"):
        stack.run(up.context, lab)


def test_a_node_that_refuses_is_not_waited_for(up: FakeHost, nodes: UnitNodes, lab: Lab) -> None:
    nodes.unreached = ["Permission denied (publickey)"] * 9
    with pytest.raises(StageFailed, match="permission denied"):
        stack.run(up.context, lab)


# --- answers


def test_answers_that_changed_are_placed_and_their_stages_run_again(
    up: FakeHost, nodes: UnitNodes, lab: Lab
) -> None:
    stack.run(up.context, lab)
    before = record.read(up.lab(LAB))
    nodes.started.clear()
    changed = make_contrail("R3.0")
    assert hows(up, changed) == dict.fromkeys(STAGES, "done")
    after = record.read(up.lab(LAB))
    assert before is not None
    assert after is not None
    assert [one.answers for one in before.nodes] != [one.answers for one in after.nodes]
    assert hows(up, changed) == dict.fromkeys(STAGES, "before")


def test_a_node_that_was_made_anew_runs_its_stages_again(
    up: FakeHost, nodes: UnitNodes, lab: Lab
) -> None:
    stack.run(up.context, lab)
    node = record.read(up.lab(LAB)).nodes[1]  # type: ignore[union-attr]
    half = dataclasses.replace(node, is_created=False)
    record.write(up.lab(LAB), record.read(up.lab(LAB)).with_node(half))  # type: ignore[union-attr]
    up.up(lab)
    assert [one.stage.name for one in stack.plan(up.context, lab) if one.why] == ["join@compute1"]


# --- the plan, and what is refused


def test_the_plan_says_what_would_run_and_changes_nothing(
    up: FakeHost, nodes: UnitNodes, lab: Lab
) -> None:
    def everything() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in up.root.rglob("*") if path.is_file()}

    before = everything()
    planned = stack.plan(up.context, lab)
    assert [(one.stage.name, one.why) for one in planned] == [
        (name, "never ran") for name in STAGES
    ]
    assert everything() == before
    stack.run(up.context, lab, last="control@controller")
    before = everything()
    planned = stack.plan(up.context, lab, last="join@compute1")
    assert [(one.why, one.is_left) for one in planned] == [
        ("", False),
        ("never ran", False),
        ("", True),
    ]
    planned = stack.plan(up.context, make_contrail("R3.0"), first="join@compute1")
    assert [(one.why, one.is_passed) for one in planned] == [
        ("", True),
        ("never ran", False),
        ("never ran", False),
    ]
    assert everything() == before
    assert nodes.started[1:] == []


def test_two_at_once_are_refused_and_following_is_not(
    up: FakeHost, nodes: UnitNodes, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contexts, "_WAIT_FOR_LOCK_S", 0.0)
    with locks.held(up.lab(LAB).lock, "the other"):
        with pytest.raises(AlreadyRunning) as caught:
            stack.run(up.context, lab)
        assert str(caught.value.hint).startswith(f"./invoke lab.stack {LAB} --follow shows")
        assert len(stack.plan(up.context, lab)) == 3
    assert nodes.started == []


def test_a_lab_that_is_not_up_has_no_installer_or_a_node_that_is_off_is_refused(
    host: FakeHost, nodes: UnitNodes, lab: Lab, kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LabError, match="lab contrail-3node is not up"):
        stack.run(host.context, lab)
    host.up(lab)
    plain = dataclasses.replace(lab, stack=dataclasses.replace(lab.stack, installer=NO_INSTALLER))
    monkeypatch.setattr(rendering, "kit_of", lambda _word: None)
    with pytest.raises(LabError, match="has no installer"):
        stack.run(host.context, plain)
    monkeypatch.setattr(rendering, "kit_of", lambda _word: kit)
    uuid = record.read(host.lab(LAB)).nodes[1].handle["uuid"]  # type: ignore[union-attr]
    host.libvirt.states[uuid] = NodeState.OFF
    with pytest.raises(LabError, match="compute1 is off") as caught:
        stack.run(host.context, lab)
    assert caught.value.hint == f"./invoke lab.up {LAB}, then ./invoke lab.stack {LAB}"
    assert nodes.started == []


def test_nodes_with_a_system_that_the_release_does_not_know_are_refused(
    up: FakeHost, nodes: UnitNodes, lab: Lab
) -> None:
    recorded = record.read(up.lab(LAB))
    assert recorded is not None
    other = dataclasses.replace(recorded, image="rocky-9-cloud-0123456789ab-01234567")
    record.write(up.lab(LAB), other)
    with pytest.raises(LabError, match="run rocky-9, on which contrail master never worked"):
        stack.run(up.context, lab)
    assert nodes.started == []


def test_a_stage_s_name_that_is_wrong_is_told_with_the_right_one(
    up: FakeHost, nodes: UnitNodes, lab: Lab
) -> None:
    with pytest.raises(LabError, match=r"did you mean join@compute1\?") as caught:
        stack.run(up.context, lab, first="join@compte1")
    assert caught.value.hint == f"./invoke lab.stack {LAB} --plan"
    assert nodes.started == []


# --- following


def test_following_shows_what_runs_and_starts_nothing(
    up: FakeHost, nodes: UnitNodes, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LabError, match="no stage of lab contrail-3node runs"):
        following.follow(up.context, LAB)
    monkeypatch.setattr(following, "_POLL_S", 0.01)

    def interrupt(_node: str, _name: str) -> None:
        raise KeyboardInterrupt

    nodes.before_attach = interrupt
    with pytest.raises(LabError) as caught:
        stack.run(up.context, lab)
    assert caught.value.exit_code == 130
    assert caught.value.hint is not None
    assert caught.value.hint.startswith(f"./invoke lab.stack {LAB} (attaches")
    nodes.before_attach = lambda _node, _name: None
    journal = up.lab(LAB).journal.read_text()
    history = following.follow(up.context, LAB)
    assert up.lab(LAB).journal.read_text() == journal
    assert history.states["control@controller"].is_unfinished
    assert len(nodes.started) == 1
    assert hows(up, lab) == dict.fromkeys(STAGES, "done")
    assert titles(nodes).count("controller: install it") == 1


def test_a_step_whose_work_is_about_to_begin_is_followed_once_it_has(
    up: FakeHost, nodes: UnitNodes, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal has a step before its node has the work."""

    def interrupt(_node: str, _name: str) -> None:
        raise KeyboardInterrupt

    nodes.before_attach = interrupt
    with pytest.raises(LabError):
        stack.run(up.context, lab)
    attached: list[str] = []
    nodes.before_attach = lambda _node, name: attached.append(name)
    begun = dict(nodes.units)
    nodes.units.clear()
    looks = iter(range(100))

    def is_driven(_paths: LabPaths) -> bool:
        if next(looks) == 5:
            nodes.units.update(begun)
        return not attached

    monkeypatch.setattr(following, "_POLL_S", 0.01)
    monkeypatch.setattr(following, "_is_driven", is_driven)
    following.follow(up.context, LAB)
    assert len(attached) == 1


# --- lab.up


def test_lab_up_runs_the_stages_of_a_quick_kit_only(
    host: FakeHost, nodes: UnitNodes, lab: Lab, kit: Kit
) -> None:
    outcome = host.up(lab)
    assert outcome.lacks_stack
    assert nodes.started == []


def test_a_lab_without_an_installer_lacks_nothing(host: FakeHost) -> None:
    assert not host.up(make_lab()).lacks_stack


@pytest.mark.parametrize(
    ("with_stack", "about_the_cloud"), [(True, [False, True]), (False, [False])]
)
def test_a_cloud_is_checked_once_it_is_there_and_not_where_it_was_left_out(
    host: FakeHost,
    nodes: UnitNodes,
    lab: Lab,
    kit: Kit,
    monkeypatch: pytest.MonkeyPatch,
    with_stack: bool,
    about_the_cloud: list[bool],
) -> None:
    """A spec's own checks may be about its cloud, too."""
    object.__setattr__(kit, "is_quick", True)
    asked: list[Selection] = []

    def check(*_arguments: object, selection: Selection) -> tuple[CheckResult, ...]:
        asked.append(selection)
        return ()

    monkeypatch.setattr(checking, "check", check)
    monkeypatch.setattr(plan, "expected", lambda *_arguments: ("one",))
    bringing.up(host.context, lab, with_stack=with_stack)
    for layer in (Layer.SERVICES, Layer.CUSTOM):
        assert [layer in selection.layers for selection in asked] == about_the_cloud
    assert Layer.NODES in asked[0].layers


def test_lab_up_of_a_quick_kit_ends_with_a_cloud(
    host: FakeHost, nodes: UnitNodes, lab: Lab, kit: Kit
) -> None:
    object.__setattr__(kit, "is_quick", True)
    outcome = host.up(lab)
    assert not outcome.lacks_stack
    assert len(nodes.started) == 3
    states = Journal(host.lab(LAB).journal).read().states
    assert all(state.is_done for state in states.values())
    host.up(lab)
    assert len(nodes.started) == 3


def test_a_compute_that_is_added_to_a_running_quick_cloud_gets_its_stages_by_lab_up(
    host: FakeHost, nodes: UnitNodes, lab: Lab, kit: Kit
) -> None:
    object.__setattr__(kit, "is_quick", True)
    host.up(dataclasses.replace(lab, nodes=lab.nodes[:2]))
    before = len(nodes.started)
    outcome = host.up(lab)
    assert "compute2: join compute2" in titles(nodes)[before:]
    assert not outcome.lacks_stack
