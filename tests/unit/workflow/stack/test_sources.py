"""What stages fetch is tried before they run, and refused by name."""

from __future__ import annotations

import dataclasses

import pytest

from stacklab import releases
from stacklab.errors import SourceUnreached
from stacklab.installers import remote_sources, rendering
from stacklab.installers.contract import Kit
from stacklab.installers.kit.sources import (
    RemoteSource,
    SourceKind,
    git_source,
    package_source,
    registry_sources,
)
from stacklab.model.lab import Lab
from stacklab.model.stack import Mirrors, Plugin
from stacklab.workflow.stack import sources, stack
from stacklab.workflow.stack.source_scripts import NO_REF
from tests.unit.installers.contrail.labs import make_lab as make_contrail
from tests.unit.installers.test_golden import ALL
from tests.unit.workflow.fake_host import FakeHost
from tests.unit.workflow.stack.unit_nodes import UnitNodes

LAB = "contrail-3node"
REPOSITORY = "https://git.example.org/installer"


def repositories(lab: Lab, node: object) -> tuple[RemoteSource, ...]:
    return (
        git_source(REPOSITORY, "master", phases=("control",)),
        git_source("https://git.example.org/plugin", "stable/x", settings="its url"),
        package_source(lab, phases=("join",)),
    )


@pytest.fixture
def up(host: FakeHost, nodes: UnitNodes, kit: Kit) -> FakeHost:
    object.__setattr__(kit, "sources", repositories)
    host.up(make_contrail())
    return host


def tried(nodes: UnitNodes) -> set[tuple[str, str]]:
    """Nodes, and what they tried."""
    words = ("installer", "plugin", "apt-get")
    return {(node, word) for node, script in nodes.tried for word in words if word in script}


def test_each_source_is_tried_from_the_nodes_whose_stages_fetch_it(
    up: FakeHost, nodes: UnitNodes
) -> None:
    stack.run(up.context, make_contrail())
    assert tried(nodes) >= {
        ("controller", "installer"),
        ("controller", "plugin"),
        ("compute1", "plugin"),
        ("compute1", "apt-get"),
        ("compute2", "plugin"),
    }
    assert ("compute1", "installer") not in tried(nodes)
    assert not any(node == "controller" and "print-uris" in script for node, script in nodes.tried)


def test_what_can_t_be_had_is_refused_by_name_before_anything_changes(
    up: FakeHost, nodes: UnitNodes
) -> None:
    nodes.lacks = {
        "installer": ("by git ls-remote\nfatal: \x1b[31mno such host", 1),
        "/plugin": ("by curl", NO_REF),
    }
    with pytest.raises(SourceUnreached) as caught:
        stack.run(up.context, make_contrail())
    assert caught.value.message.splitlines() == [
        "2 sources of lab contrail-3node can't be had; nothing was changed:",
        "    git https://git.example.org/installer, master",
        "      from controller, by git ls-remote: fatal: no such host",
        "      needed by control@controller",
        "      replaced by: stack.git_base, or `mirrors: git:`",
        "    git https://git.example.org/plugin, stable/x",
        "      from controller, compute1, compute2, by curl: it has no branch, tag or change "
        "stable/x",
        "      needed by control@controller, join@compute1, join@compute2",
        "      replaced by: its url",
    ]
    assert "--no-sources" in str(caught.value.hint)
    assert nodes.started == []
    assert not up.lab(LAB).journal.exists()


def test_nothing_is_tried_for_stages_that_do_not_run(up: FakeHost, nodes: UnitNodes) -> None:
    lab = make_contrail()
    stack.run(up.context, lab, last="control@controller")
    assert {node for node, _ in nodes.tried} == {"controller"}
    nodes.tried.clear()
    stack.run(up.context, lab, last="control@controller")
    assert nodes.tried == []
    stack.run(up.context, lab)
    assert {node for node, _ in nodes.tried} == {"compute1", "compute2"}


def test_who_asks_for_it_goes_on_without_trying(up: FakeHost, nodes: UnitNodes) -> None:
    nodes.lacks = {"installer": ("no", 1)}
    stack.run(up.context, make_contrail(), tries_sources=False)
    assert nodes.tried == []
    assert len(nodes.started) == 3


def test_who_comes_back_to_work_that_runs_is_not_sent_away(up: FakeHost, nodes: UnitNodes) -> None:
    def interrupt(_node: str, _name: str) -> None:
        raise KeyboardInterrupt

    nodes.before_attach = interrupt
    with pytest.raises(Exception, match="interrupted"):
        stack.run(up.context, make_contrail())
    nodes.before_attach = lambda _node, _name: None
    nodes.lacks = {"plugin": ("no", 1)}
    stack.run(up.context, make_contrail())
    # What failed is begun anew, and does need its sources.
    nodes.ends = {"join compute1": "exited 3 exit-code 2.5 running"}
    with pytest.raises(SourceUnreached):
        stack.run(up.context, make_contrail("R3.0"))


def test_work_that_was_left_before_from_does_not_spare_the_others(
    up: FakeHost, nodes: UnitNodes
) -> None:
    def interrupt(_node: str, _name: str) -> None:
        raise KeyboardInterrupt

    nodes.before_attach = interrupt
    with pytest.raises(Exception, match="interrupted"):
        stack.run(up.context, make_contrail())
    nodes.lacks = {"plugin": ("no", 1)}
    with pytest.raises(SourceUnreached):
        stack.run(up.context, make_contrail(), first="join@compute1")


def test_a_node_that_can_t_be_asked_is_left_to_its_stages(up: FakeHost, nodes: UnitNodes) -> None:
    nodes.unreached = ["Connection refused"]
    stack.run(up.context, make_contrail())
    assert any("was not tried" in text for _, text in up.listener.heard)


def test_the_plan_names_mirrors_of_this_host(up: FakeHost, nodes: UnitNodes) -> None:
    lab = make_contrail()
    mirrors = Mirrors(git=(("https://mirror.example.org/m/", "https://git.example.org/"),))
    urls = {one.url for one in sources.wanted(lab, rendering.stages(lab), mirrors)}
    assert urls == {
        "https://mirror.example.org/m/installer",
        "https://mirror.example.org/m/plugin",
        "",
    }


@pytest.mark.parametrize("name", list(ALL))
def test_phases_of_sources_are_phases_of_the_kit(name: str) -> None:
    lab = ALL[name]
    phases = {stage.name.partition("@")[0] for stage in rendering.stages(lab)}
    for node in lab.nodes:
        for source in remote_sources(lab, node):
            assert phases.issuperset(source.phases), source


def test_refs_of_the_spec_are_looked_for_where_they_are_fetched() -> None:
    lab = next(lab for lab in ALL.values() if lab.stack.installer == "devstack")
    plugin = Plugin(name="zun", url="https://git.example.org/zun", ref="old")
    refs = (("devstack", "refs/changes/1"), ("nova", "feature/x"), ("zun", "stable/y"))
    changed = dataclasses.replace(
        lab, stack=dataclasses.replace(lab.stack, refs=refs, plugins=(plugin,))
    )
    release = releases.find(changed.stack.installer, changed.stack.release)
    found = {
        (source.url.rpartition("/")[2], source.ref)
        for source in remote_sources(changed, changed.controller)
        if source.kind is SourceKind.GIT and source.ref
    }
    assert found == {("devstack", "refs/changes/1"), ("nova", "feature/x"), ("zun", "stable/y")}
    assert release.repository.endswith("/devstack")


@pytest.mark.parametrize(
    ("registry", "url"),
    [
        ("registry.example.org:4000", "https://registry.example.org:4000/v2/"),
        ("registry.example.org/name", "https://registry.example.org/v2/"),
        ("opensdn", ""),
        ("", ""),
    ],
)
def test_a_registry_without_a_host_is_the_engine_s_own(registry: str, url: str) -> None:
    assert [source.url for source in registry_sources(registry)] == [url] * bool(url)
