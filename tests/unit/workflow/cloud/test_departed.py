"""Computes that leave a lab, and a cloud that has to forget them."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest

from stacklab import record
from stacklab.errors import LabError
from stacklab.installers.contract import Kit
from stacklab.model.cloud import ComputesProgram
from stacklab.model.lab import Lab
from stacklab.model.state import NodeState
from stacklab.record import LabRecord
from stacklab.workflow.cloud import departed
from stacklab.workflow.lab import ending, plan
from stacklab.workflow.lab.changes.refusing import Consent
from stacklab.workflow.stack import stack
from tests.unit.installers.contrail.labs import make_lab
from tests.unit.nodes.fake_session import Said
from tests.unit.workflow.fake_host import FakeHost
from tests.unit.workflow.stack.conftest import host, kit, nodes
from tests.unit.workflow.stack.unit_nodes import UnitNodes

__all__ = ["host", "kit", "nodes"]

YES = Consent(removes=True, to_all=True)
LAB = make_lab()
SHRUNK = dataclasses.replace(LAB, nodes=LAB.nodes[:2])
LAST = LAB.nodes[2].name
PROGRAM = ComputesProgram(
    argv=("python3", "-"), stdin=b"forget it", look_limit_s=30, forget_limit_s=180
)
LEFT: Said = (json.dumps({"left": "the cloud's APIs: refused"}), 1)


@dataclasses.dataclass
class Cloud:
    """What is asked of the program on the controller, and what it says."""

    host: FakeHost
    says: Said = ""
    asked: list[str] = dataclasses.field(default_factory=list)
    # At each question: domains on the host, and the stages' steps that were started.
    domains: list[set[str]] = dataclasses.field(default_factory=list)
    nodes: UnitNodes = dataclasses.field(default_factory=UnitNodes)
    steps: list[int] = dataclasses.field(default_factory=list)

    def answer(self, shell: str) -> Said:
        words = re.search(r"sudo -n timeout -k 5 \d+ python3 - --patience (\S+) (.*)", shell)
        assert words, shell
        self.asked.append(words[2])
        self.domains.append(set(self.host.libvirt.names.values()))
        self.steps.append(len(self.nodes.started))
        if isinstance(self.says, tuple) and self.says[1] == -1:
            raise KeyboardInterrupt
        return self.says


@pytest.fixture
def cloud(host: FakeHost, nodes: UnitNodes, kit: Kit) -> Cloud:
    """A lab that is up with its cloud, whose kit can forget a node."""
    object.__setattr__(kit, "is_quick", True)
    object.__setattr__(kit, "computes_program", lambda _lab: PROGRAM)
    made = Cloud(host, nodes=nodes)
    nodes.computes = made.answer
    host.up(LAB)
    made.steps.clear()
    return made


def kept(host: FakeHost) -> LabRecord:
    found = record.read(host.lab(LAB.name))
    assert found is not None
    return found


def notes(host: FakeHost) -> str:
    return "\n".join(text for row, text in host.listener.heard if row == "cloud")


def test_a_compute_that_leaves_is_forgotten_once_it_is_gone_and_before_the_stages(
    cloud: Cloud,
) -> None:
    cloud.says = json.dumps({"done": f"nova's service of {LAST}"})
    before = len(cloud.nodes.started)
    outcome = cloud.host.up(SHRUNK, consent=YES)
    assert cloud.asked == [f"forget {LAST}"]
    assert not any(name.endswith(LAST) for name in cloud.domains[0])
    assert cloud.steps == [before]
    assert kept(cloud.host).departed == ()
    assert outcome.still_listed == ()
    assert f"removed nova's service of {LAST}" in notes(cloud.host)
    cloud.host.up(SHRUNK)
    assert len(cloud.asked) == 1


def test_a_cloud_that_does_not_answer_is_a_warning_and_the_next_lab_up_tries_again(
    cloud: Cloud,
) -> None:
    cloud.says = LEFT
    outcome = cloud.host.up(SHRUNK, consent=YES)
    assert outcome.still_listed == (LAST,)
    assert kept(cloud.host).departed == (LAST,)
    assert kept(cloud.host).node(LAST) is None
    (last_note,) = [line for line in notes(cloud.host).splitlines() if "WARNING" in line]
    assert "the cloud's APIs: refused" in last_note
    assert f"./invoke cloud.forget {LAB.name} {LAST}" in last_note
    cloud.says = ""
    assert cloud.host.up(SHRUNK).still_listed == ()
    assert kept(cloud.host).departed == ()


@pytest.mark.parametrize(
    ("says", "why"),
    [
        (("Traceback: \x1b[31mboom", 1), "Traceback: boom"),
        (("", 124), "no end after"),
        ((json.dumps({"done": "half"}), 137), "half"),
    ],
)
def test_a_program_that_fails_without_a_word_is_told(cloud: Cloud, says: Said, why: str) -> None:
    cloud.says = says
    assert cloud.host.up(SHRUNK, consent=YES).still_listed == (LAST,)
    assert why in notes(cloud.host)


def test_lab_stack_has_the_cloud_forget_what_lab_up_could_not(cloud: Cloud) -> None:
    """One of its stages would wait for the chassis of a node that is gone."""
    cloud.says = LEFT
    cloud.host.up(SHRUNK, consent=YES)
    before = len(cloud.nodes.started)
    cloud.asked.clear()
    cloud.says = ""
    stack.run(cloud.host.context, SHRUNK, first="control@controller")
    assert cloud.asked == [f"forget {LAST}"]
    assert cloud.steps[-1] == before
    assert len(cloud.nodes.started) > before
    assert kept(cloud.host).departed == ()


def test_killed_while_the_cloud_forgets_the_next_lab_up_goes_on_unasked(cloud: Cloud) -> None:
    cloud.says = ("", -1)
    with pytest.raises(KeyboardInterrupt):
        cloud.host.up(SHRUNK, consent=YES)
    assert kept(cloud.host).departed == (LAST,)
    cloud.says = ""
    cloud.host.up(SHRUNK)
    assert cloud.asked == [f"forget {LAST}"] * 2
    assert kept(cloud.host).departed == ()


def test_a_controller_that_is_off_is_asked_when_it_has_booted(cloud: Cloud) -> None:
    ending.down(cloud.host.context, LAB.name)
    cloud.host.up(SHRUNK, consent=YES)
    assert cloud.asked == [f"forget {LAST}"]
    assert kept(cloud.host).departed == ()
    assert f"{LAST} is tried again later: controller is off" in notes(cloud.host)


def test_a_node_that_came_back_is_not_forgotten(cloud: Cloud) -> None:
    cloud.says = LEFT
    cloud.host.up(SHRUNK, consent=YES)
    cloud.asked.clear()
    cloud.host.up(LAB)
    # Once, while it was not there yet.
    assert cloud.asked == [f"forget {LAST}"]
    assert not any(name.endswith(LAST) for name in cloud.domains[-1])
    assert kept(cloud.host).departed == ()


def test_where_no_cloud_was_installed_nobody_is_asked(
    host: FakeHost, nodes: UnitNodes, kit: Kit
) -> None:
    object.__setattr__(kit, "is_quick", True)
    object.__setattr__(kit, "computes_program", lambda _lab: PROGRAM)
    nodes.computes = lambda shell: pytest.fail(shell)
    host.up(LAB, with_stack=False)
    assert host.up(SHRUNK, consent=YES, with_stack=False).still_listed == ()


def test_a_kit_that_can_not_do_it_is_not_asked(cloud: Cloud, kit: Kit) -> None:
    object.__setattr__(kit, "computes_program", lambda _lab: None)
    (note,) = plan.changes_of(cloud.host.context, SHRUNK).notes
    assert f"it goes on listing {LAST}" in note
    assert cloud.host.up(SHRUNK, consent=YES).still_listed == ()
    assert cloud.asked == []


def test_a_controller_that_leaves_takes_the_cloud_with_it(cloud: Cloud) -> None:
    other = dataclasses.replace(LAB.nodes[0], name="other")
    lab = dataclasses.replace(SHRUNK, nodes=(other, LAB.nodes[1]))
    cloud.host.up(lab, consent=YES)
    assert cloud.asked == []


# --- the plan


def lost(cloud: Cloud, lab: Lab) -> tuple[str, ...]:
    return plan.losses(cloud.host.context, lab, plan.changes_of(cloud.host.context, lab))


def test_a_plan_names_the_vms_that_will_be_lost(cloud: Cloud) -> None:
    lines = [{"vm": "web \x1b[2J1", "node": LAST}, {"vm": "db", "node": LAST}]
    cloud.says = "\n".join(["a warning of Python", *map(json.dumps, lines), "[1]"])
    (sentence,) = lost(cloud, SHRUNK)
    assert sentence.startswith(
        f"2 VMs on {LAST} will be lost, and deleted from the cloud: web 1, db"
    )
    assert (
        "./invoke lab.cloud contrail-3node -- server migrate --live-migration 'web 1'" in sentence
    )
    assert cloud.asked == [f"vms {LAST}"]
    (note,) = plan.changes_of(cloud.host.context, SHRUNK).notes
    assert f"it forgets {LAST}" in note


def test_a_compute_that_is_made_anew_loses_its_vms_and_stays_listed(cloud: Cloud) -> None:
    nic = dataclasses.replace(LAB.nodes[2].nics[0], mac="52:54:00:ff:ff:ff")
    changed = dataclasses.replace(LAB.nodes[2], nics=(nic, *LAB.nodes[2].nics[1:]))
    lab = dataclasses.replace(LAB, nodes=(*LAB.nodes[:2], changed))
    cloud.says = json.dumps({"vm": "web", "node": LAST})
    (sentence,) = lost(cloud, lab)
    assert "1 VM on compute2 will be lost, and listed until you delete them: web" in sentence
    cloud.host.up(lab, consent=YES)
    assert cloud.asked == [f"vms {LAST}"], "the same node registers again"


def test_a_plan_without_vms_or_without_an_answer_says_that(cloud: Cloud) -> None:
    assert lost(cloud, SHRUNK) == (f"no VM is on {LAST}",)
    cloud.says = LEFT
    (sentence,) = lost(cloud, SHRUNK)
    assert sentence.endswith("which there are can't be told: the cloud's APIs: refused")
    assert lost(cloud, LAB) == ()
    cloud.host.libvirt.states[kept(cloud.host).nodes[0].handle["uuid"]] = NodeState.OFF
    (sentence,) = lost(cloud, SHRUNK)
    assert "can't be told: controller is" in sentence


# --- cloud.forget


def test_cloud_forget_ends_what_lab_up_could_not(cloud: Cloud) -> None:
    cloud.says = LEFT
    cloud.host.up(SHRUNK, consent=YES)
    with pytest.raises(LabError, match=r"still lists compute2:\nthe cloud's APIs: refused"):
        departed.forget_named(cloud.host.context, LAB.name, LAST)
    assert kept(cloud.host).departed == (LAST,)
    cloud.says = json.dumps({"done": "all"})
    assert departed.forget_named(cloud.host.context, LAB.name, LAST) == ("all",)
    assert kept(cloud.host).departed == ()


@pytest.mark.parametrize("node", [LAST, "controller", "--ovn", "a b", ""])
def test_cloud_forget_takes_no_node_of_the_lab_and_no_odd_name(cloud: Cloud, node: str) -> None:
    with pytest.raises(LabError) as caught:
        departed.forget_named(cloud.host.context, LAB.name, node)
    assert caught.value.hint
    assert cloud.asked == []


def test_cloud_forget_says_which_clouds_it_can_not_ask(cloud: Cloud, kit: Kit) -> None:
    with pytest.raises(LabError, match="is not up"):
        departed.forget_named(cloud.host.context, "none", LAST)
    object.__setattr__(kit, "computes_program", lambda _lab: None)
    with pytest.raises(LabError, match="is not known") as caught:
        departed.forget_named(cloud.host.context, LAB.name, "gone")
    assert "compute service list" in str(caught.value.hint)
