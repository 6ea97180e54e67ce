"""`--as containers`: recorded, kept by later commands, and refused of a lab that exists."""

from __future__ import annotations

import dataclasses
import json

import pytest
from rich.console import Console

from stacklab.errors import LabError, SpecError
from stacklab.model.lab import Lab, NodeKind
from stacklab.model.state import NodeState
from stacklab.views import labs
from stacklab.workflow.lab import plan as planning
from stacklab.workflow.lab import status as lab_status
from stacklab.workflow.lab import up as bringing
from stacklab.workflow.lab.kinds import read_kind
from tests.unit.checks.fake_lab import make_lab
from tests.unit.doctor.fake_machine import make_machine
from tests.unit.providers.containers.fake_machines import CONTAINERS, MIXED, Site

LAB = make_lab()
AS_CONTAINERS = NodeKind.CONTAINER


@pytest.fixture
def contained(site: Site) -> Site:
    """A lab whose spec has VMs is up as containers."""
    site.up(LAB, AS_CONTAINERS)
    return site


def kinds_in_status(site: Site) -> list[str]:
    (status,) = map(lab_status.as_dict, lab_status.status(site.host.context))
    return [node["kind"] for node in json.loads(json.dumps(status))["nodes"]]


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        (None, None),
        ("containers", NodeKind.CONTAINER),
        ("container", NodeKind.CONTAINER),
        ("vms", NodeKind.VM),
        ("vm", NodeKind.VM),
    ],
)
def test_a_kind_is_read_in_both_numbers(word: str | None, kind: NodeKind | None) -> None:
    assert read_kind(word) is kind


@pytest.mark.parametrize("word", ["", "Containers", "docker"])
def test_another_word_is_refused_with_one_that_is_right(word: str) -> None:
    with pytest.raises(LabError, match="nodes are vms or containers") as caught:
        read_kind(word)
    assert caught.value.hint == "--as containers"


def test_it_is_recorded(contained: Site) -> None:
    assert contained.record.provider == "containers"
    assert contained.record.all_as == "container"
    assert kinds_in_status(contained) == ["container"] * 3
    assert contained.host.ups == []


def test_of_a_lab_without_it_the_record_says_nothing(site: Site) -> None:
    site.up(MIXED)
    assert site.record.all_as == ""
    assert "all_as" not in site.host.lab().record.read_text()
    assert kinds_in_status(site) == ["container", "vm", "vm"]


def test_a_record_with_another_word_is_damaged(contained: Site) -> None:
    file = contained.host.lab().record
    file.write_text(file.read_text().replace('"container"', '"tin"'))
    with pytest.raises(LabError, match=r"record\.json"):
        contained.up(LAB)


def test_a_later_up_keeps_it(contained: Site) -> None:
    container = contained.container("compute1")
    contained.provider.down(contained.record, ["compute1"], patience_s=1)
    contained.up(LAB)
    assert contained.container("compute1") == container
    assert set(contained.states.values()) == {NodeState.RUNNING}
    assert contained.host.ups == []


def test_the_same_word_again_changes_nothing(contained: Site) -> None:
    calls = list(contained.machines.calls)
    contained.up(LAB, AS_CONTAINERS)
    assert contained.machines.calls == calls


def test_a_plan_keeps_it_and_says_so(contained: Site) -> None:
    rows = planning.plan(contained.host.context, LAB)
    nodes = [row for row in rows if row[0].startswith("node ")]
    assert [row[1] for row in nodes] == ["leave alone"] * 3
    assert all(row[2].startswith("container, 1 cpu") for row in nodes)


def planned(site: Site, lab: Lab) -> dict[str, str]:
    return {what: action for what, action, _why in planning.plan(site.host.context, lab)}


def test_a_plan_knows_what_containers_do_without_libvirtd(contained: Site) -> None:
    contained.provider.down(contained.record, ["compute1"], patience_s=1)
    contained.provider._machines(contained.record).freeze(contained.container("compute2"))
    contained.connect(is_cut=True)
    actions = planned(contained, LAB)
    assert actions["libvirtd"] == "start"  # for the networks
    assert actions["node controller"] == "leave alone"
    assert actions["node compute1"] == "start"
    assert actions["node compute2"] == "resume"


def test_of_a_mixed_lab_only_vms_are_not_known_without_libvirtd(site: Site) -> None:
    site.up(MIXED)
    site.connect(is_cut=True)
    actions = planned(site, MIXED)
    assert actions["node controller"] == "leave alone"
    assert actions["node compute1"] == "not known"
    assert site.host.context.states(site.record) == {"controller": NodeState.RUNNING}


def test_a_plan_of_vms_says_nothing_of_kinds(site: Site) -> None:
    rows = planning.plan(site.host.context, LAB)
    assert "container" not in str(rows)


def test_a_rebuild_keeps_it(contained: Site) -> None:
    bringing.rebuild(contained.host.context, LAB, checks=False)
    assert contained.record.all_as == "container"
    assert contained.machines.actions("controller") == ["start", "remove", "start"]
    assert set(contained.states.values()) == {NodeState.RUNNING}
    assert contained.host.ups == []


def test_a_rebuild_as_vms_ends_it(contained: Site) -> None:
    bringing.rebuild(contained.host.context, LAB, checks=False, all_as=NodeKind.VM)
    assert contained.record.provider == "libvirt"
    assert contained.record.all_as == "vm"
    assert contained.host.ups == [("controller", "compute1", "compute2")]
    assert contained.machines.ends == []
    assert not contained.host.lab().container("controller").exists()


def test_a_rebuild_makes_containers_of_vms(site: Site) -> None:
    site.up(LAB)
    assert site.record.provider == "libvirt"
    bringing.rebuild(site.host.context, LAB, checks=False, all_as=AS_CONTAINERS)
    assert site.record.provider == "containers"
    assert site.record.all_as == "container"
    assert site.host.libvirt.states == {}
    assert not site.host.lab().overlay("controller").exists()
    assert kinds_in_status(site) == ["container"] * 3


def test_a_rebuild_on_a_host_that_can_t_keeps_the_old_nodes(
    site: Site,
) -> None:
    site.up(LAB)
    site.host.context.fake_machine = make_machine(absent=["systemd-nspawn"])
    with pytest.raises(LabError, match="systemd-nspawn is not installed"):
        bringing.rebuild(site.host.context, LAB, checks=False, all_as=AS_CONTAINERS)
    assert set(site.host.libvirt.states.values()) == {NodeState.RUNNING}
    assert site.record.provider == "libvirt"


@pytest.mark.parametrize("is_resolved", [True, False])
def test_a_lab_that_exists_as_vms_is_not_brought_up_as_containers(
    site: Site, is_resolved: bool
) -> None:
    site.up(LAB)
    if not is_resolved:  # killed before that was written
        site.host.lab().resolved.unlink()
    before = site.host.lab().record.read_bytes()
    with pytest.raises(LabError, match="exists, and not all of its nodes are containers") as caught:
        site.up(LAB, AS_CONTAINERS)
    assert caught.value.hint == "./invoke lab.rebuild trio --as containers"
    assert site.host.lab().record.read_bytes() == before
    assert site.machines.calls == []


def test_a_mixed_lab_is_not_brought_up_as_one_kind(up: Site) -> None:
    for kind in NodeKind:
        with pytest.raises(LabError, match="not all of its nodes are") as caught:
            up.up(MIXED, kind)
        assert caught.value.hint == f"./invoke lab.rebuild trio --as {kind}s"


def test_a_spec_whose_kinds_changed_is_refused_as_any_other_change(up: Site) -> None:
    with pytest.raises(SpecError, match=r"node compute1.*; node compute2"):
        up.up(CONTAINERS)


def test_without_kvm_a_lab_of_vms_is_told_of_containers(site: Site) -> None:
    site.up(LAB)
    (told,) = [text for _, text in site.host.listener.heard if "--as containers" in text]
    assert "./invoke lab.up trio --as containers" in told


def test_who_has_containers_is_not_told_of_them(site: Site) -> None:
    site.up(MIXED)
    assert not [text for _, text in site.host.listener.heard if "--as" in text]


def shown(lab: Lab) -> str:
    page = Console(width=200)
    with page.capture() as captured:
        for one in labs.lab_tables(lab):
            page.print(one)
    return captured.get()


def test_a_lab_with_containers_is_shown_with_the_kind_of_each_node() -> None:
    lines = shown(MIXED).splitlines()
    (header,) = [line.split() for line in lines if line.startswith("node ")]
    rows = {line.split()[0]: line.split()[1] for line in lines if line.startswith("co")}
    assert header[:3] == ["node", "kind", "role"]
    assert rows == {"controller": "container", "compute1": "vm", "compute2": "vm"}


def test_a_lab_of_vms_is_shown_without() -> None:
    assert "kind" not in shown(LAB)


@pytest.mark.parametrize("is_privileged", [True, False])
def test_up_names_the_nodes_whose_root_is_the_hosts(site: Site, is_privileged: bool) -> None:
    nodes = [dataclasses.replace(node, is_privileged=False) for node in CONTAINERS.nodes]
    nodes[1] = dataclasses.replace(nodes[1], is_privileged=is_privileged)
    site.up(dataclasses.replace(CONTAINERS, nodes=tuple(nodes)))
    warnings = [text for _row, text in site.host.listener.heard if "SECURITY.md" in text]
    expected = ["root on compute1 is as good as root on this host: see SECURITY.md"]
    assert warnings == (expected if is_privileged else [])
