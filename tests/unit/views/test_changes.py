"""What people read of a changed spec, before and without it being followed."""

from __future__ import annotations

import json

from stacklab.views import changes as views
from stacklab.views.tables import console
from stacklab.workflow.lab.changes.change import NO_CHANGES, Change, Changes, Cost, Subject

CHANGES = Changes(
    lines=(
        Change(subject=Subject.NETWORK, name="net1", what="mtu", before="1500", after="1400",
               cost=Cost.REBUILD),
        Change(subject=Subject.NODE, name="compute1", what="memory", before="1GiB", after="2GiB",
               cost=Cost.REBOOT),
        Change(subject=Subject.NODE, name="compute1", cost=Cost.REBUILD,
               why="network net1 is made anew"),
        Change(subject=Subject.NODE, name="controller", what="cpus", before="1", after="2",
               cost=Cost.REBOOT),
        Change(subject=Subject.NODE, name="compute2", cost=Cost.REMOVE),
        Change(subject=Subject.NODE, name="compute3", what="compute", cost=Cost.NEW),
    ),
    notes=("the cloud goes on listing compute2",),
)  # fmt: skip


def shown(changes: Changes) -> list[str]:
    terminal = console()
    with terminal.capture() as capture:
        for one in views.plan_tables(changes, [("node compute1", "rebuild", "1 cpu")]):
            terminal.print(one)
    return [" ".join(line.split()) for line in capture.get().splitlines()]


def test_each_change_has_a_line_with_its_cost_before_the_plan() -> None:
    assert shown(CHANGES) == [
        "changed how cost why",
        "network net1 mtu 1500 -> 1400 rebuild",
        "node compute1 memory 1GiB -> 2GiB reboot",
        "node compute1 - rebuild network net1 is made anew",
        "node controller cpus 1 -> 2 reboot",
        "node compute2 - remove",
        "node compute3 compute new",
        "note: the cloud goes on listing compute2",
        "",
        "what why",
        "node compute1 rebuild 1 cpu",
    ]


def test_a_vm_s_name_is_shown_as_it_is() -> None:
    lost = ["1 VM on compute2 will be lost: [red]web[/bold]"]
    terminal = console()
    with terminal.capture() as capture:
        for one in views.plan_tables(CHANGES, [], lost):
            terminal.print(one)
    assert f"note: {lost[0]}" in capture.get()
    assert json.loads(json.dumps(views.plan_as_dict(CHANGES, [], lost)))["notes"][-1] == lost[0]


def test_a_lab_that_is_as_its_spec_says_has_its_plan_alone() -> None:
    assert shown(NO_CHANGES) == ["what why", "node compute1 rebuild 1 cpu"]


def test_a_person_is_asked_once_for_each_node_by_the_dearest_that_happens_to_it() -> None:
    assert views.question(CHANGES) == "Reboot controller, rebuild net1, compute1, remove compute2?"


def test_machines_read_the_same() -> None:
    data = views.plan_as_dict(CHANGES, [("image", "keep", "debian-12")])
    read = json.loads(json.dumps(data))
    assert read["changes"][1] == {
        "subject": "node",
        "name": "compute1",
        "what": "memory",
        "before": "1GiB",
        "after": "2GiB",
        "cost": "reboot",
        "why": "",
        "adds_nic": False,
    }
    assert read["notes"] == ["the cloud goes on listing compute2"]
    assert read["steps"] == [{"what": "image", "action": "keep", "why": "debian-12"}]
